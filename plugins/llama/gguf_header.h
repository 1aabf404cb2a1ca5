// SPDX-License-Identifier: Apache-2.0
// The header of a GGUF file, checked before the engine sees the file: the engine maps what the header promises, so a
// header that promises more than the file holds would end in SIGBUS.
//
//   file   := "GGUF" version:u32 n_tensors:u64 n_pairs:u64 pair* tensor* padding data        all little-endian
//   pair   := key:string type:u32 value          value of type array := element_type:u32 count:u64 element*
//   tensor := name:string n_dims:u32 dim:u64{n_dims} type:u32 offset:u64     offset counts from the start of data
//   string := size:u64 byte{size}
//
// data begins at the next multiple of general.alignment (32 unless stated).
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "status.h"

namespace mlos::llama {

// Bytes read front to back.
class ByteSource {
 public:
  explicit ByteSource(uint64_t size) : size_(size) {}
  virtual ~ByteSource() = default;
  // False when fewer than `count` bytes are left or reading fails.
  bool Read(void* to, uint64_t count);
  bool Skip(uint64_t count);
  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }
  uint64_t left() const { return size_ - position_; }

 protected:
  virtual bool DoRead(void* to, uint64_t count) = 0;
  virtual bool DoSkip(uint64_t count) = 0;

 private:
  uint64_t size_;
  uint64_t position_ = 0;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : ByteSource(bytes.size()), next_(bytes.data()) {}

 private:
  bool DoRead(void* to, uint64_t count) override;
  bool DoSkip(uint64_t count) override;
  const char* next_;
};

struct GgufArray {
  uint64_t count = 0;
  std::vector<int64_t> integers;  // only of short arrays of integers: sizes that differ by layer
};
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, GgufArray>;

struct GgufTensor {
  std::string name;
  int32_t type = 0;  // ggml_type
  int64_t dims[4] = {1, 1, 1, 1};
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

class GgufHeader {
 public:
  // SMI_CORRUPT, saying what is wrong and where, unless every value lies inside its bounds, no name comes twice and every
  // tensor lies inside the file.
  static Status Read(ByteSource& source, GgufHeader* header);
  // SMI_NOT_FOUND when the file cannot be opened.
  static Status ReadFile(const std::string& path, GgufHeader* header);

  // Empty when the key is missing or of another kind. Integers of either sign that fit are accepted.
  std::optional<uint64_t> Uint(const std::string& key) const;
  std::optional<bool> Bool(const std::string& key) const;
  std::string String(const std::string& key) const;
  // Elements of an array; 0 when there is none.
  uint64_t ArrayCount(const std::string& key) const;
  // A size that is one number, or one for each layer: the largest.
  std::optional<uint64_t> Largest(const std::string& key) const;
  // The same for layer `layer`.
  std::optional<uint64_t> OfLayer(const std::string& key, uint64_t layer) const;

  const std::map<std::string, GgufValue>& pairs() const { return pairs_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t header_bytes() const { return header_bytes_; }

 private:
  std::map<std::string, GgufValue> pairs_;
  std::vector<GgufTensor> tensors_;
  uint64_t file_bytes_ = 0;
  uint64_t header_bytes_ = 0;  // where data begins
};

}  // namespace mlos::llama
