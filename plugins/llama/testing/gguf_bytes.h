// SPDX-License-Identifier: Apache-2.0
// Writes GGUF files by hand, so that tests can break one thing at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mlos::llama {

class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& Text(std::string_view text) {
    Number<uint64_t>(text.size());
    bytes_.append(text);
    return *this;
  }
  GgufBytes& Header(uint64_t n_tensors, uint64_t n_pairs, uint32_t version = 3) {
    bytes_ += "GGUF";
    return Number(version).Number(n_tensors).Number(n_pairs);
  }
  GgufBytes& PairU32(std::string_view key, uint32_t value) {
    return Text(key).Number<uint32_t>(4).Number(value);
  }
  GgufBytes& PairText(std::string_view key, std::string_view value) {
    return Text(key).Number<uint32_t>(8).Text(value);
  }
  // A two-dimensional tensor of f32 (type 0) unless told otherwise.
  GgufBytes& Tensor(std::string_view name, int64_t columns, int64_t rows, uint64_t offset, int32_t type = 0) {
    return Text(name).Number<uint32_t>(2).Number(columns).Number(rows).Number(type).Number(offset);
  }
  GgufBytes& PadTo(size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBytes& Zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace mlos::llama
