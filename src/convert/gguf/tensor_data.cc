// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/tensor_data.h"

#include <algorithm>
#include <cstring>

namespace mlos::convert {
namespace {

constexpr size_t kPieceElements = 1 << 16;

bool SameFormat(DType from, GgmlType to) {
  return (from == DType::kFp32 && to == GgmlType::kF32) || (from == DType::kFp16 && to == GgmlType::kF16) ||
         (from == DType::kBf16 && to == GgmlType::kBf16);
}

template <typename T>
T Load(const std::byte* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}

void ToFloats(DType dtype, std::span<const std::byte> bytes, std::vector<float>* out) {
  const size_t count = bytes.size() / DTypeSize(dtype);
  out->resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (dtype == DType::kFp32) (*out)[i] = Load<float>(bytes.data() + 4 * i);
    if (dtype == DType::kFp16) (*out)[i] = HalfToFloat(Load<uint16_t>(bytes.data() + 2 * i));
    if (dtype == DType::kBf16) (*out)[i] = Bf16ToFloat(Load<uint16_t>(bytes.data() + 2 * i));
  }
}

Status SendFloats(std::span<const float> values, GgmlType type, const ByteSink& sink) {
  if (type == GgmlType::kF32) return sink(std::as_bytes(values));
  std::vector<uint16_t> narrow(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    narrow[i] = type == GgmlType::kF16 ? FloatToHalf(values[i]) : FloatToBf16(values[i]);
  }
  return sink(std::as_bytes(std::span(narrow)));
}

// One run of elements, as they lie.
Status SendRun(std::span<const std::byte> bytes, DType dtype, GgmlType type, bool plus_one,
               const ByteSink& sink) {
  if (SameFormat(dtype, type) && !plus_one) return sink(bytes);
  const size_t piece = kPieceElements * DTypeSize(dtype);
  std::vector<float> values;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    ToFloats(dtype, bytes.subspan(at, std::min(piece, bytes.size() - at)), &values);
    if (plus_one) {
      for (float& value : values) value += 1;
    }
    MLOS_RETURN_IF_ERROR(SendFloats(values, type, sink));
  }
  return OkStatus();
}

// Row `r` of the file is this row of the checkpoint.
size_t PairedRow(size_t r, size_t head_rows) {
  const size_t within = r % head_rows;
  return r - within + within % 2 * (head_rows / 2) + within / 2;
}

}  // namespace

Status StreamTensor(const Checkpoint& checkpoint, const DecoderTensor& tensor, GgmlType type,
                    const ByteSink& sink) {
  if (tensor.source == nullptr) return SendFloats(tensor.values, type, sink);
  const std::span<const std::byte> bytes = checkpoint.Bytes(*tensor.source);
  const DType dtype = tensor.source->entry.dtype;
  if (tensor.change != DecoderTensor::Change::kRopePairs) {
    return SendRun(bytes, dtype, type, tensor.change == DecoderTensor::Change::kPlusOne, sink);
  }
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const size_t row_bytes = bytes.size() / rows;
  const size_t head_rows = rows / static_cast<size_t>(tensor.heads);
  for (size_t r = 0; r < rows; ++r) {
    MLOS_RETURN_IF_ERROR(
        SendRun(bytes.subspan(PairedRow(r, head_rows) * row_bytes, row_bytes), dtype, type, false, sink));
  }
  return OkStatus();
}

}  // namespace mlos::convert
