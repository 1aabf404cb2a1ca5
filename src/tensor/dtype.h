// SPDX-License-Identifier: Apache-2.0
// Element types: every ONNX tensor type that holds plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mlos {

// Values equal SMI's smi_dtype (include/smi/smi.h); src/plugin asserts it.
enum class DType : int32_t {
  kInvalid = 0,
  kBool = 1,
  kUint8 = 2,
  kUint16 = 3,
  kUint32 = 4,
  kUint64 = 5,
  kInt8 = 6,
  kInt16 = 7,
  kInt32 = 8,
  kInt64 = 9,
  kFp16 = 10,
  kBf16 = 11,
  kFp32 = 12,
  kFp64 = 13,
  kBytes = 14,  // strings
};

// Bytes of one element; 0 for kBytes (variable) and kInvalid.
size_t DTypeSize(DType dtype);

// Open Inference Protocol name: "BOOL" "UINT8" ... "FP16" "BF16" "FP32" "FP64" "BYTES"; "INVALID" otherwise.
std::string_view DTypeName(DType dtype);

// The reverse; case-sensitive. Also knows the manifest's spellings: "float32", "int64", "bool", "string" ...
std::optional<DType> DTypeFromName(std::string_view name);

// Manifest spelling: "float32", "int64", "bfloat16", "string" ...
std::string_view DTypeManifestName(DType dtype);

bool IsFloatingPoint(DType dtype);
bool IsInteger(DType dtype);

// IEEE 754 binary16 and bfloat16 to and from float; conversions to the narrow type round to nearest even.
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);
float Bf16ToFloat(uint16_t bits);
uint16_t FloatToBf16(float value);

}  // namespace mlos
