// SPDX-License-Identifier: Apache-2.0
// Reads numbers from bytes that came from outside, never past the end. Inside convert/torch only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace mlos::convert {

static_assert(std::endian::native == std::endian::little);

// Borrows the bytes. A read past the end gives zero or nothing, and failed() from then on.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
    requires std::is_arithmetic_v<T>
  T Read() {
    T value{};
    const std::span<const std::byte> raw = Take(sizeof(T));
    if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> Take(uint64_t size) {
    if (failed_ || size > bytes_.size() - position_) {
      failed_ = true;
      return {};
    }
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(size));
    position_ += static_cast<size_t>(size);
    return taken;
  }
  std::string_view TakeText(uint64_t size) {
    const auto taken = Take(size);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  // Up to the next newline, which is taken too and not returned.
  std::string_view TakeLine() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_,
                                bytes_.size() - position_);
    const size_t end = rest.find('\n');
    if (failed_ || end == std::string_view::npos) {
      failed_ = true;
      return {};
    }
    position_ += end + 1;
    return rest.substr(0, end);
  }

  bool failed() const { return failed_; }
  size_t position() const { return position_; }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace mlos::convert
