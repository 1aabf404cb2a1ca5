// SPDX-License-Identifier: Apache-2.0
#include "tensor/dtype.h"

#include <array>
#include <bit>

namespace mlos {
namespace {

struct Row {
  DType dtype;
  size_t size_bytes;
  std::string_view name;
  std::string_view manifest_name;
};

constexpr std::array<Row, 14> kRows = {{
    {DType::kBool, 1, "BOOL", "bool"},
    {DType::kUint8, 1, "UINT8", "uint8"},
    {DType::kUint16, 2, "UINT16", "uint16"},
    {DType::kUint32, 4, "UINT32", "uint32"},
    {DType::kUint64, 8, "UINT64", "uint64"},
    {DType::kInt8, 1, "INT8", "int8"},
    {DType::kInt16, 2, "INT16", "int16"},
    {DType::kInt32, 4, "INT32", "int32"},
    {DType::kInt64, 8, "INT64", "int64"},
    {DType::kFp16, 2, "FP16", "float16"},
    {DType::kBf16, 2, "BF16", "bfloat16"},
    {DType::kFp32, 4, "FP32", "float32"},
    {DType::kFp64, 8, "FP64", "float64"},
    {DType::kBytes, 0, "BYTES", "string"},
}};

const Row* Find(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

size_t DTypeSize(DType dtype) {
  const Row* row = Find(dtype);
  return row ? row->size_bytes : 0;
}

std::string_view DTypeName(DType dtype) {
  const Row* row = Find(dtype);
  return row ? row->name : "INVALID";
}

std::string_view DTypeManifestName(DType dtype) {
  const Row* row = Find(dtype);
  return row ? row->manifest_name : "invalid";
}

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name || row.manifest_name == name) return row.dtype;
  }
  return std::nullopt;
}

bool IsFloatingPoint(DType dtype) {
  return dtype == DType::kFp16 || dtype == DType::kBf16 || dtype == DType::kFp32 || dtype == DType::kFp64;
}

bool IsInteger(DType dtype) { return dtype >= DType::kUint8 && dtype <= DType::kInt64; }

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1FU;
  const uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Subnormal halves are exact multiples of 2^-24.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // rounds past 65504
  if (magnitude < 0x38800000U) {
    // Adding 0.5 aligns the value (its ulp is 2^-24), so that the FPU's own rounding leaves the subnormal in the low bits.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(aligned) - 0x3F000000U));
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  const uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + odd;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

float Bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace mlos
