// SPDX-License-Identifier: Apache-2.0
// Shapes, and tensors that borrow (TensorView) or own (Tensor) their bytes.
//
// Elements are contiguous, row-major, little-endian. A BYTES tensor holds its strings one after another, each as a
// 32-bit little-endian length and that many bytes (Open Inference Protocol, binary tensor data extension), so that
// every tensor is one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/arena.h"
#include "tensor/dtype.h"

namespace mlos {

using Shape = std::vector<int64_t>;

// "[2, -1, 3]".
std::string ShapeToString(std::span<const int64_t> shape);

// Product of the dimensions (1 for rank 0). Fails on a negative dimension or when it exceeds 2^63-1.
Result<int64_t> ElementCount(std::span<const int64_t> shape);

// Bytes of a dense tensor of a fixed-size dtype; fails like ElementCount, and for kBytes.
Result<size_t> TensorBytes(DType dtype, std::span<const int64_t> shape);

// Borrows; the owner must outlive it.
struct TensorView {
  DType dtype = DType::kInvalid;
  std::span<const int64_t> shape;
  std::span<const std::byte> data;

  template <typename T>
  std::span<const T> As() const {
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
  }
};

// Owns its bytes, 64-byte aligned. Moves are cheap; copies are explicit (Clone).
class Tensor {
 public:
  Tensor() = default;
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  // Uninitialised bytes for a fixed-size dtype; from `arena` when that is not null and has room, else from the heap.
  static Result<Tensor> Allocate(DType dtype, Shape shape,
                                 const std::shared_ptr<TensorArena>& arena = nullptr);
  // A copy of `data`, whose size must be what dtype and shape say (kBytes: the encoding above, checked).
  static Result<Tensor> Copy(DType dtype, Shape shape, std::span<const std::byte> data,
                             const std::shared_ptr<TensorArena>& arena = nullptr);
  // Takes over a block of `arena`, whose size must be what dtype and shape say (kBytes: not looked into).
  static Result<Tensor> Adopt(DType dtype, Shape shape, std::span<std::byte> block,
                              std::shared_ptr<TensorArena> arena);
  template <typename T>
  static Result<Tensor> FromValues(DType dtype, Shape shape, std::span<const T> values) {
    return Copy(dtype, std::move(shape), std::as_bytes(values));
  }
  static Result<Tensor> FromStrings(Shape shape, std::span<const std::string> strings);

  Tensor Clone() const;
  // The same bytes under another shape of equal element count.
  Status Reshape(Shape shape);

  // Null when the bytes are on the heap.
  const TensorArena* arena() const { return data_.get_deleter().arena.get(); }
  // The tensor's block becomes the caller's, to give back to arena(); the tensor is empty afterwards.
  std::byte* Release();

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t element_count() const { return element_count_; }
  std::span<std::byte> data() { return {data_.get(), size_bytes_}; }
  std::span<const std::byte> data() const { return {data_.get(), size_bytes_}; }
  TensorView view() const { return {dtype_, shape_, data()}; }
  operator TensorView() const { return view(); }  // NOLINT(google-explicit-constructor)

  template <typename T>
  std::span<T> As() {
    return {reinterpret_cast<T*>(data_.get()), size_bytes_ / sizeof(T)};
  }
  template <typename T>
  std::span<const T> As() const {
    return {reinterpret_cast<const T*>(data_.get()), size_bytes_ / sizeof(T)};
  }

 private:
  struct FreeDeleter {
    std::shared_ptr<TensorArena> arena;  // null: the heap
    void operator()(std::byte* p) const;
  };
  static Result<Tensor> AllocateBytes(DType dtype, Shape shape, int64_t element_count, size_t size_bytes,
                                      const std::shared_ptr<TensorArena>& arena = nullptr);

  DType dtype_ = DType::kInvalid;
  Shape shape_;
  int64_t element_count_ = 0;
  size_t size_bytes_ = 0;
  std::unique_ptr<std::byte[], FreeDeleter> data_;
};

// The strings of a kBytes tensor, borrowed from its bytes. Fails when the encoding does not hold exactly
// `element count` strings.
Result<std::vector<std::string_view>> DecodeStrings(const TensorView& tensor);

}  // namespace mlos
