// SPDX-License-Identifier: Apache-2.0
// Matrices of linear layers as int8.
//
// y = x W^T: column j of the result is scaled by scales[j] = max |W[j, :]| / 64, W[j, i] is about values[i, j] * scales[j]. 64 and not
// 127, because processors without VNNI add pairs of products of unsigned and signed bytes in 16 bits, which 255 * 127 * 2 overflows:
// the answer would depend on the processor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "tensor/tensor.h"

namespace mlos::convert {

inline constexpr int kInt8Levels = 64;

struct Int8Matrix {
  std::vector<int8_t> values;  // [in, out]
  std::vector<float> scales;   // [out]
};

// `source`: from the first element of a matrix [out, in] on; strides as TensorEntry's. Rows of zeros have scale 0. kDataLoss when
// an element is not finite or the bytes end early.
Result<Int8Matrix> QuantizeMatrix(std::span<const std::byte> source, DType dtype, const Shape& shape,
                                  const Shape& strides);

}  // namespace mlos::convert
