// SPDX-License-Identifier: Apache-2.0
#include "convert/int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "convert/strided.h"

namespace mlos::convert {
namespace {

float ElementAt(DType dtype, const std::byte* at) {
  const auto load = [at]<typename T>(T value) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  switch (dtype) {
    case DType::kFp64:
      return static_cast<float>(load(0.0));
    case DType::kFp16:
      return HalfToFloat(load(uint16_t{0}));
    case DType::kBf16:
      return Bf16ToFloat(load(uint16_t{0}));
    default:
      return load(0.0F);
  }
}

}  // namespace

Result<Int8Matrix> QuantizeMatrix(std::span<const std::byte> source, DType dtype, const Shape& shape,
                                  const Shape& strides) {
  if (shape.size() != 2 || !IsFloatingPoint(dtype))
    return Internal("int8 is for matrices of floating-point numbers");
  const auto out = static_cast<size_t>(shape[0]);
  const auto in = static_cast<size_t>(shape[1]);
  const size_t element = DTypeSize(dtype);
  MLOS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(dtype, shape));
  if (strides.empty() && source.size() < bytes)
    return DataLoss("a matrix ended early: its file became shorter");
  StridedReader reader(source, shape, strides.empty() ? Shape{shape[1], 1} : strides, element);
  Int8Matrix matrix;
  matrix.values.resize(out * in);
  matrix.scales.resize(out);
  std::vector<std::byte> row(in * element);
  std::vector<float> floats(in);
  for (size_t j = 0; j < out; ++j) {
    reader.Read(row);
    float largest = 0;
    for (size_t i = 0; i < in; ++i) {
      floats[i] = ElementAt(dtype, row.data() + i * element);
      if (!std::isfinite(floats[i])) return DataLoss("a matrix holds a value that is no finite number");
      largest = std::max(largest, std::fabs(floats[i]));
    }
    matrix.scales[j] = largest / kInt8Levels;
    const float inverse = matrix.scales[j] > 0 ? 1 / matrix.scales[j] : 0;
    for (size_t i = 0; i < in; ++i) {
      const float level = std::nearbyint(floats[i] * inverse);
      matrix.values[i * out + j] = static_cast<int8_t>(std::clamp<float>(level, -kInt8Levels, kInt8Levels));
    }
  }
  return matrix;
}

}  // namespace mlos::convert
