// SPDX-License-Identifier: Apache-2.0
// The elements of a strided tensor in row-major order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace mlos::convert {

class StridedReader {
 public:
  // `base`: from the tensor's first element on; every element must lie inside. Strides count elements.
  StridedReader(std::span<const std::byte> base, Shape shape, Shape strides, size_t element_bytes);

  // Fills `buffer`, a multiple of the element's size, with the next elements; returns how many bytes were left to fill it with.
  size_t Read(std::span<std::byte> buffer);

 private:
  const std::span<const std::byte> base_;
  const Shape shape_;
  const Shape strides_;
  const size_t element_bytes_;
  std::vector<int64_t> index_;
  int64_t left_;
};

}  // namespace mlos::convert
