// SPDX-License-Identifier: Apache-2.0
// How large an ONNX model is, from the headers of its file alone: a walk over the protobuf that skips every weight.
//
//   ModelProto  : graph = 7
//   GraphProto  : node = 1, initializer = 5
//   NodeProto   : attribute = 5        AttributeProto : t = 5, g = 6, tensors = 10, graphs = 11
//   TensorProto : dims = 1, data_type = 2, external_data = 13 (key = 1, value = 2), data_location = 14 (1 = external)
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>

namespace mlos_ort {

struct OnnxFile {
  uint64_t file_bytes = 0;
  uint64_t external_bytes = 0;  // weights in other files
  uint64_t half_bytes = 0;      // of all weights, those that are 16-bit floats
  uint64_t parameters = 0;      // elements of all weights
  std::set<std::string>
      external_files;  // their locations as the file says them, not checked; at most kMaxExternalFiles
};
inline constexpr size_t kMaxExternalFiles = 4096;

// Throws Failure: SMI_NOT_FOUND when the file cannot be read, SMI_CORRUPT when it is no ONNX model.
OnnxFile ReadOnnxFile(const std::string& path);

// The same for bytes in memory; never throws. False when they are no ONNX model.
bool ReadOnnxBytes(std::span<const std::byte> bytes, OnnxFile* out) noexcept;

}  // namespace mlos_ort
