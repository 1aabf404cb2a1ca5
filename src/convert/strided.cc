// SPDX-License-Identifier: Apache-2.0
#include "convert/strided.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mlos::convert {

StridedReader::StridedReader(std::span<const std::byte> base, Shape shape, Shape strides,
                             size_t element_bytes)
    : base_(base),
      shape_(std::move(shape)),
      strides_(std::move(strides)),
      element_bytes_(element_bytes),
      index_(shape_.size(), 0),
      left_(ElementCount(shape_).value_or(0)) {}

size_t StridedReader::Read(std::span<std::byte> buffer) {
  size_t done = 0;
  for (; left_ > 0 && done + element_bytes_ <= buffer.size(); done += element_bytes_, --left_) {
    int64_t at = 0;
    for (size_t i = 0; i < index_.size(); ++i) at += index_[i] * strides_[i];
    std::memcpy(buffer.data() + done, base_.data() + static_cast<size_t>(at) * element_bytes_,
                element_bytes_);
    for (size_t i = index_.size(); i-- > 0;) {
      if (++index_[i] < shape_[i]) break;
      index_[i] = 0;
    }
  }
  return done;
}

}  // namespace mlos::convert
