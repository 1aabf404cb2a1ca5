// SPDX-License-Identifier: Apache-2.0
// Reads the protobuf wire format in place: fields one after another, nothing copied, nothing past the end.
//
//   message = *field      field = key payload      key = varint: number << 3 | wire type
//   payload = varint (0) | 8 bytes (1) | varint length, bytes (2) | 4 bytes (5); groups (3, 4) are refused
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/checked.h"

namespace mlos::package {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct ProtobufField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;                // kVarint, kFixed64, kFixed32
  std::span<const std::byte> bytes;  // kBytes

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  bool IsBytes(uint32_t n) const { return number == n && type == WireType::kBytes; }
  bool IsVarint(uint32_t n) const { return number == n && type == WireType::kVarint; }
};

// Borrows the message.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::span<const std::byte> message) : rest_(message) {}

  // The next field; false at the end and at damage, which failed() tells apart.
  bool Next(ProtobufField* field) {
    if (failed_ || rest_.empty()) return false;
    failed_ = !ReadField(field);
    return !failed_;
  }
  bool failed() const { return failed_; }
  // Bytes not yet read; after a failure, from where it happened.
  size_t rest() const { return rest_.size(); }

  // For packed numbers. False at the end and at damage.
  bool NextVarint(uint64_t* value) {
    if (failed_ || rest_.empty()) return false;
    failed_ = !ReadVarint(value);
    return !failed_;
  }

 private:
  bool ReadVarint(uint64_t* value) {
    uint64_t result = 0;
    for (size_t i = 0; i < 10 && i < rest_.size(); ++i) {
      const auto byte = static_cast<uint8_t>(rest_[i]);
      if (i == 9 && byte > 1) return false;
      result |= uint64_t{byte & 0x7Fu} << (7 * i);
      if (byte < 0x80) {
        *value = result;
        rest_ = rest_.subspan(i + 1);
        return true;
      }
    }
    return false;
  }

  bool ReadFixed(size_t size, uint64_t* value) {
    if (rest_.size() < size) return false;
    *value = 0;
    for (size_t i = 0; i < size; ++i) *value |= uint64_t{static_cast<uint8_t>(rest_[i])} << (8 * i);
    rest_ = rest_.subspan(size);
    return true;
  }

  bool ReadField(ProtobufField* field) {
    uint64_t key = 0;
    if (!ReadVarint(&key)) return false;
    // Field numbers are 1 to 2^29-1.
    if ((key >> 3) == 0 || (key >> 3) > 0x1FFFFFFF) return false;
    field->number = static_cast<uint32_t>(key >> 3);
    field->type = static_cast<WireType>(key & 7);
    switch (field->type) {
      case WireType::kVarint:
        return ReadVarint(&field->value);
      case WireType::kFixed64:
        return ReadFixed(8, &field->value);
      case WireType::kFixed32:
        return ReadFixed(4, &field->value);
      case WireType::kBytes: {
        uint64_t length = 0;
        if (!ReadVarint(&length) || length > rest_.size()) return false;
        field->bytes = rest_.first(static_cast<size_t>(length));
        rest_ = rest_.subspan(static_cast<size_t>(length));
        return true;
      }
    }
    return false;
  }

  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace mlos::package
