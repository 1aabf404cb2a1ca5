// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/checked.h"

namespace mlos {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

std::string ShapeToString(std::span<const int64_t> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

Result<int64_t> ElementCount(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0) return InvalidArgument("shape " + ShapeToString(shape) + " has a negative dimension");
    const auto product = CheckedMul<int64_t>(count, dim);
    if (!product) return InvalidArgument("shape " + ShapeToString(shape) + " has more than 2^63-1 elements");
    count = *product;
  }
  return count;
}

Result<size_t> TensorBytes(DType dtype, std::span<const int64_t> shape) {
  const size_t element_bytes = DTypeSize(dtype);
  if (element_bytes == 0) {
    return InvalidArgument("dtype " + std::string(DTypeName(dtype)) + " has no fixed element size");
  }
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  const auto bytes = CheckedMul<uint64_t>(static_cast<uint64_t>(count), element_bytes);
  if (!bytes || *bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return InvalidArgument("shape " + ShapeToString(shape) + " of " + std::string(DTypeName(dtype)) +
                           " exceeds 2^63-1 bytes");
  }
  return static_cast<size_t>(*bytes);
}

void Tensor::FreeDeleter::operator()(std::byte* p) const {
  if (arena != nullptr) {
    arena->Free(p);
  } else {
    std::free(p);
  }
}

Result<Tensor> Tensor::AllocateBytes(DType dtype, Shape shape, int64_t element_count, size_t size_bytes,
                                     const std::shared_ptr<TensorArena>& arena) {
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = std::move(shape);
  t.element_count_ = element_count;
  t.size_bytes_ = size_bytes;
  if (arena != nullptr && size_bytes > 0) {
    if (std::byte* block = arena->Allocate(size_bytes); block != nullptr) {
      t.data_ = {block, FreeDeleter{arena}};
      return t;
    }
  }
  const auto padded = CheckedAdd<size_t>(size_bytes, kAlignment);
  void* p = padded ? std::aligned_alloc(kAlignment, *padded / kAlignment * kAlignment) : nullptr;
  if (p == nullptr) {
    return Status(Code::kResourceExhausted, "cannot allocate " + std::to_string(size_bytes) +
                                                " bytes for a tensor of shape " + ShapeToString(t.shape_));
  }
  t.data_.reset(static_cast<std::byte*>(p));
  return t;
}

Result<Tensor> Tensor::Allocate(DType dtype, Shape shape, const std::shared_ptr<TensorArena>& arena) {
  MLOS_ASSIGN_OR_RETURN(const size_t size_bytes, TensorBytes(dtype, shape));
  const int64_t count = static_cast<int64_t>(size_bytes / DTypeSize(dtype));
  return AllocateBytes(dtype, std::move(shape), count, size_bytes, arena);
}

Result<Tensor> Tensor::Adopt(DType dtype, Shape shape, std::span<std::byte> block,
                             std::shared_ptr<TensorArena> arena) {
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  if (dtype != DType::kBytes) {
    MLOS_ASSIGN_OR_RETURN(const size_t wanted, TensorBytes(dtype, shape));
    if (wanted != block.size()) {
      return InvalidArgument("a " + std::string(DTypeName(dtype)) + " tensor of shape " +
                             ShapeToString(shape) + " has " + std::to_string(wanted) + " bytes, the block " +
                             std::to_string(block.size()));
    }
  }
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = std::move(shape);
  t.element_count_ = count;
  t.size_bytes_ = block.size();
  t.data_ = {block.data(), FreeDeleter{std::move(arena)}};
  return t;
}

std::byte* Tensor::Release() {
  size_bytes_ = 0;
  element_count_ = 0;
  shape_ = {0};
  return data_.release();
}

Result<Tensor> Tensor::Copy(DType dtype, Shape shape, std::span<const std::byte> data,
                            const std::shared_ptr<TensorArena>& arena) {
  if (dtype == DType::kBytes) {
    MLOS_RETURN_IF_ERROR(DecodeStrings({dtype, shape, data}).status());
  } else {
    MLOS_ASSIGN_OR_RETURN(const size_t wanted, TensorBytes(dtype, shape));
    if (wanted != data.size()) {
      return InvalidArgument("a " + std::string(DTypeName(dtype)) + " tensor of shape " +
                             ShapeToString(shape) + " has " + std::to_string(wanted) + " bytes, got " +
                             std::to_string(data.size()));
    }
  }
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  MLOS_ASSIGN_OR_RETURN(Tensor t, AllocateBytes(dtype, std::move(shape), count, data.size(), arena));
  if (!data.empty()) std::memcpy(t.data_.get(), data.data(), data.size());
  return t;
}

Result<Tensor> Tensor::FromStrings(Shape shape, std::span<const std::string> strings) {
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  if (static_cast<uint64_t>(count) != strings.size()) {
    return InvalidArgument("shape " + ShapeToString(shape) + " has " + std::to_string(count) +
                           " elements, got " + std::to_string(strings.size()) + " strings");
  }
  uint64_t size_bytes = 0;
  for (const std::string& s : strings) {
    if (s.size() > std::numeric_limits<uint32_t>::max()) return TooLarge("a string of more than 4 GiB");
    size_bytes += sizeof(uint32_t) + s.size();
  }
  MLOS_ASSIGN_OR_RETURN(Tensor t, AllocateBytes(DType::kBytes, std::move(shape), count, size_bytes));
  std::byte* out = t.data_.get();
  for (const std::string& s : strings) {
    const auto length = static_cast<uint32_t>(s.size());
    std::memcpy(out, &length, sizeof length);
    std::memcpy(out + sizeof length, s.data(), s.size());
    out += sizeof length + s.size();
  }
  return t;
}

Tensor Tensor::Clone() const {
  Result<Tensor> copy = AllocateBytes(dtype_, shape_, element_count_, size_bytes_);
  if (!copy.ok()) std::abort();
  if (size_bytes_ > 0) std::memcpy(copy->data_.get(), data_.get(), size_bytes_);
  return std::move(copy).value();
}

Status Tensor::Reshape(Shape shape) {
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  if (count != element_count_) {
    return InvalidArgument("cannot reshape " + ShapeToString(shape_) + " to " + ShapeToString(shape));
  }
  shape_ = std::move(shape);
  return OkStatus();
}

Result<std::vector<std::string_view>> DecodeStrings(const TensorView& tensor) {
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(tensor.shape));
  const auto* bytes = reinterpret_cast<const char*>(tensor.data.data());
  const size_t size = tensor.data.size();
  if (static_cast<uint64_t>(count) > size / sizeof(uint32_t)) {
    return InvalidArgument("a BYTES tensor of shape " + ShapeToString(tensor.shape) + " needs at least " +
                           std::to_string(count) + " length prefixes, got " + std::to_string(size) +
                           " bytes");
  }
  std::vector<std::string_view> out;
  out.reserve(static_cast<size_t>(count));
  size_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t length = 0;
    if (!RangeFits(at, sizeof length, size))
      return InvalidArgument("BYTES tensor ends inside a length prefix");
    std::memcpy(&length, bytes + at, sizeof length);
    at += sizeof length;
    if (!RangeFits(at, length, size)) {
      return InvalidArgument("BYTES tensor: string " + std::to_string(i) + " runs past the end");
    }
    out.emplace_back(bytes + at, length);
    at += length;
  }
  if (at != size) {
    return InvalidArgument("BYTES tensor has " + std::to_string(size - at) + " bytes after its last string");
  }
  return out;
}

}  // namespace mlos
