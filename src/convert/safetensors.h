// SPDX-License-Identifier: Apache-2.0
// Reads the header of a safetensors file: names, dtypes, shapes and where the bytes lie. Tensor bytes are not touched.
//
//   file    = length:u64le header data
//   header  = JSON object of `length` bytes: {"name": {"dtype": D, "shape": [..], "data_offsets": [begin, end]}, ...,
//             "__metadata__": {"key": "value"}}
//   D       = F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL
//
// What lies about itself is refused: every check that the format allows is made here, so that later code may trust
// offsets and sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/tensor.h"

namespace mlos::convert {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;  // the format's own limit

struct TensorEntry {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;
  uint64_t offset = 0;      // from the start of the file
  uint64_t size_bytes = 0;  // in row-major order
  Shape strides;  // elements; empty = the bytes lie in row-major order, as they always do in safetensors
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // by offset; together they fill the file to its last byte
  std::map<std::string, std::string> metadata;
};

// `file` is the whole file (mapped: only the pages of the header are read). kDataLoss when damaged or lying, naming the
// tensor; kUnimplemented for a dtype outside the list.
Result<SafetensorsHeader> ParseSafetensors(std::span<const std::byte> file);

}  // namespace mlos::convert
