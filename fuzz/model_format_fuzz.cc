// SPDX-License-Identifier: Apache-2.0
// Any bytes as a model file. The first byte chooses the file's name, the rest is the file.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "package/format.h"
#include "package/path.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr std::array kNames = {"m",    "m.onnx", "m.gguf",   "m.safetensors",  "m.pt", "m.pkl",
                                        "m.h5", "m.zip",  "m.tflite", "saved_model.pb", "m.bin"};
  if (size == 0) return 0;
  const char* name = kNames[data[0] % kNames.size()];
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const auto format = mlos::package::DetectFormat(bytes, name);
  const auto info = mlos::package::InspectModel(bytes, name);
  if (!info.ok()) return 0;
  // What is inspected was detected, and names only files that stay inside the package.
  if (!format.ok() || *format != info->format) std::abort();
  for (const std::string& file : info->external_files) {
    if (!mlos::package::CheckPackagePath(file).ok()) std::abort();
  }
  return 0;
}
