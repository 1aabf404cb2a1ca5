// SPDX-License-Identifier: Apache-2.0
// The walk over an ONNX file's headers. Whatever the bytes are, it ends and never reads past them.
#include <cstdint>
#include <span>

#include "../plugins/onnxruntime/onnx_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos_ort::OnnxFile file;
  mlos_ort::ReadOnnxBytes(std::as_bytes(std::span(data, size)), &file);
  return 0;
}
