// SPDX-License-Identifier: Apache-2.0
// Reads little-endian numbers from bytes, never past the end. Inside package/ only.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace mlos::package {

static_assert(std::endian::native == std::endian::little);

// Borrows the bytes. A read past the end gives zero, and failed() from then on.
class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
    requires std::is_arithmetic_v<T>
  T Read() {
    T value{};
    const std::span<const std::byte> raw = Take(sizeof(T));
    if (!failed_) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> Take(uint64_t size) {
    if (failed_ || size > rest()) {
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

  bool failed() const { return failed_; }
  size_t position() const { return position_; }
  size_t rest() const { return bytes_.size() - position_; }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace mlos::package
