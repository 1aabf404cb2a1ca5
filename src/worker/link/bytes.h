// SPDX-License-Identifier: Apache-2.0
// Packed little-endian values in and out of memory: what messages and payloads are made of. A string is a uint32 length and
// that many bytes; a list is a uint32 count and its elements.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

static_assert(std::endian::native == std::endian::little);

namespace mlos::worker {

// Writes as far as there is room and counts on; size() tells how much would have been needed.
class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> out) : out_(out) {}
  template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  ByteWriter& Put(T value) {
    Raw(&value, sizeof value);
    return *this;
  }
  ByteWriter& String(std::string_view text) {
    Put(static_cast<uint32_t>(text.size()));
    Raw(text.data(), text.size());
    return *this;
  }
  void Raw(const void* bytes, size_t count) {
    if (size_ <= out_.size() && count <= out_.size() - size_ && count > 0)
      std::memcpy(out_.data() + size_, bytes, count);
    size_ += count;
  }
  size_t size() const { return size_; }
  bool fits() const { return size_ <= out_.size(); }

 private:
  const std::span<std::byte> out_;
  size_t size_ = 0;
};

// Reads; past the end every value is zero and ok() false. Borrows the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> in) : in_(in) {}
  template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  T Get() {
    T value{};
    if (Has(sizeof value)) {
      std::memcpy(&value, in_.data() + at_, sizeof value);
      at_ += sizeof value;
    }
    return value;
  }
  std::string_view String() {
    const auto length = Get<uint32_t>();
    if (!Has(length)) return {};
    const auto* text = reinterpret_cast<const char*>(in_.data() + at_);
    at_ += length;
    return {text, length};
  }
  // The count of a list whose elements take at least `least_bytes` each; 0 and not ok() when so many cannot follow.
  uint32_t Count(size_t least_bytes) {
    const auto count = Get<uint32_t>();
    if (count > remaining() / least_bytes) ok_ = false;
    return ok_ ? count : 0;
  }
  bool ok() const { return ok_; }
  // Everything was there and nothing is left.
  bool AtEnd() const { return ok_ && at_ == in_.size(); }
  size_t remaining() const { return in_.size() - at_; }

 private:
  bool Has(size_t count) {
    if (count > remaining()) ok_ = false;
    return ok_;
  }
  std::span<const std::byte> in_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace mlos::worker
