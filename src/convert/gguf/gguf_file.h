// SPDX-License-Identifier: Apache-2.0
// Writes GGUF files, version 3, little-endian:
//
//   file    = "GGUF" 3:u32 n_tensors:u64 n_values:u64 value* tensor* padding data
//   value   = key:string type:u32 payload
//   string  = length:u64 bytes
//   array   = type:u32 count:u64 element*                   payload of type 9
//   tensor  = name:string n_dims:u32 dim:u64* type:u32 offset:u64     innermost dimension first; offset into data
//   data    = each tensor's bytes, padded to 32
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/tensor.h"

namespace mlos::convert {

// The tensor types that checkpoints have, by ggml's numbers.
enum class GgmlType : uint32_t { kF32 = 0, kF16 = 1, kBf16 = 30 };
uint64_t ElementBytes(GgmlType type);

// Keys with their values, in the order in which they were set. A key that is set twice keeps the last value.
class GgufMetadata {
 public:
  void SetU32(std::string_view key, uint32_t value);
  void SetF32(std::string_view key, float value);
  void SetBool(std::string_view key, bool value);
  void SetString(std::string_view key, std::string_view value);
  void SetStrings(std::string_view key, std::span<const std::string> values);
  void SetF32s(std::string_view key, std::span<const float> values);
  void SetI32s(std::string_view key, std::span<const int32_t> values);
  void SetBools(std::string_view key, const std::vector<bool>& values);

  void Append(const GgufMetadata& more);

  size_t size() const { return values_.size(); }
  std::string Serialize() const;

 private:
  std::string& Payload(std::string_view key);

  std::vector<std::pair<std::string, std::string>> values_;  // key, type and payload
};

struct GgufTensorInfo {
  std::string name;
  GgmlType type = GgmlType::kF32;
  Shape shape;  // outermost dimension first, as checkpoints have it
  uint64_t size_bytes() const;
};

// Takes the next bytes of a tensor.
using ByteSink = std::function<Status(std::span<const std::byte>)>;

// Writes `path` through a temporary file beside it; on an error nothing is left. `data` hands the bytes of tensor `index` to the
// sink, in order and exactly size_bytes() of them.
Status WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                 std::span<const GgufTensorInfo> tensors,
                 const std::function<Status(size_t index, const ByteSink& sink)>& data);

}  // namespace mlos::convert
