// SPDX-License-Identifier: Apache-2.0
#include "convert/onnx_proto.h"

#include <bit>

namespace mlos::convert {
namespace {

constexpr uint32_t kWireVarint = 0;
constexpr uint32_t kWireBytes = 2;
constexpr uint32_t kWire32Bit = 5;

}  // namespace

void ProtoWriter::Varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

void ProtoWriter::Int(uint32_t field, int64_t value) {
  Varint(uint64_t{field} << 3 | kWireVarint);
  Varint(static_cast<uint64_t>(value));
}

void ProtoWriter::Float(uint32_t field, float value) {
  Varint(uint64_t{field} << 3 | kWire32Bit);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<char>(bits >> shift & 0xFF));
}

void ProtoWriter::String(uint32_t field, std::string_view value) {
  Varint(uint64_t{field} << 3 | kWireBytes);
  Varint(value.size());
  bytes_.append(value);
}

namespace onnx {

int64_t DataType(DType dtype) {
  switch (dtype) {
    case DType::kInvalid:
      return 0;
    case DType::kFp32:
      return 1;
    case DType::kUint8:
      return 2;
    case DType::kInt8:
      return 3;
    case DType::kUint16:
      return 4;
    case DType::kInt16:
      return 5;
    case DType::kInt32:
      return 6;
    case DType::kInt64:
      return 7;
    case DType::kBytes:
      return 8;
    case DType::kBool:
      return 9;
    case DType::kFp16:
      return 10;
    case DType::kFp64:
      return 11;
    case DType::kUint32:
      return 12;
    case DType::kUint64:
      return 13;
    case DType::kBf16:
      return 16;
  }
  return 0;
}

}  // namespace onnx
}  // namespace mlos::convert
