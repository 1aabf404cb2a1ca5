// SPDX-License-Identifier: Apache-2.0
#include "preprocess/pooling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace mlos::preprocess {
namespace {

constexpr float kSmallestCount = 1e-9F;
constexpr float kSmallestNorm = 1e-12F;

// One text: its token rows and which of them count.
struct Rows {
  std::span<const float> values;  // [sequence, width]
  std::span<const float> mask;    // [sequence]
  size_t width;
  std::span<const float> Row(size_t i) const { return values.subspan(i * width, width); }
};

void Mean(const Rows& rows, std::span<float> out) {
  std::fill(out.begin(), out.end(), 0.0F);
  float count = 0;
  for (size_t i = 0; i < rows.mask.size(); ++i) {
    if (rows.mask[i] == 0) continue;
    count += rows.mask[i];
    const auto row = rows.Row(i);
    for (size_t j = 0; j < out.size(); ++j) out[j] += row[j] * rows.mask[i];
  }
  const float divisor = std::max(count, kSmallestCount);
  for (float& value : out) value /= divisor;
}

void Max(const Rows& rows, std::span<float> out) {
  std::fill(out.begin(), out.end(), std::numeric_limits<float>::lowest());
  for (size_t i = 0; i < rows.mask.size(); ++i) {
    if (rows.mask[i] == 0) continue;
    const auto row = rows.Row(i);
    for (size_t j = 0; j < out.size(); ++j) out[j] = std::max(out[j], row[j]);
  }
}

void OneToken(const Rows& rows, bool last, std::span<float> out) {
  size_t found = 0;
  for (size_t i = 0; i < rows.mask.size(); ++i) {
    if (rows.mask[i] == 0) continue;
    found = i;
    if (!last) break;
  }
  const auto row = rows.Row(found);
  std::copy(row.begin(), row.end(), out.begin());
}

void Normalize(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  const float norm = std::max(static_cast<float>(std::sqrt(squares)), kSmallestNorm);
  for (float& value : vector) value /= norm;
}

std::vector<float> ToFloats(const TensorView& tensor) {
  std::vector<float> values;
  values.reserve(tensor.data.size() / DTypeSize(tensor.dtype));
  if (tensor.dtype == DType::kFp16) {
    for (const uint16_t bits : tensor.As<uint16_t>()) values.push_back(HalfToFloat(bits));
  } else if (tensor.dtype == DType::kInt64) {
    for (const int64_t value : tensor.As<int64_t>()) values.push_back(static_cast<float>(value));
  } else {
    for (const int32_t value : tensor.As<int32_t>()) values.push_back(static_cast<float>(value));
  }
  return values;
}

Status CheckArguments(const TensorView& tokens, const TensorView* mask) {
  if ((tokens.dtype != DType::kFp32 && tokens.dtype != DType::kFp16) || tokens.shape.size() != 3 ||
      tokens.shape[1] < 1) {
    return Unprocessable("pooling needs FP32 or FP16 [batch, sequence, width], the model gave " +
                         std::string(DTypeName(tokens.dtype)) + " " + ShapeToString(tokens.shape));
  }
  if (mask == nullptr) return OkStatus();
  if ((mask->dtype != DType::kInt64 && mask->dtype != DType::kInt32) || mask->shape.size() != 2 ||
      mask->shape[0] != tokens.shape[0] || mask->shape[1] != tokens.shape[1]) {
    return Unprocessable("pooling needs an attention_mask for " + ShapeToString(tokens.shape) + ", it is " +
                         std::string(DTypeName(mask->dtype)) + " " + ShapeToString(mask->shape));
  }
  return OkStatus();
}

}  // namespace

std::optional<Pooling> PoolingFromName(std::string_view name) {
  if (name == "mean") return Pooling::kMean;
  if (name == "cls") return Pooling::kCls;
  if (name == "max") return Pooling::kMax;
  if (name == "lasttoken") return Pooling::kLastToken;
  return std::nullopt;
}

Result<Tensor> Pool(const TensorView& tokens, const TensorView* mask, Pooling pooling, bool normalize) {
  MLOS_RETURN_IF_ERROR(CheckArguments(tokens, mask));
  const auto batch = static_cast<size_t>(tokens.shape[0]);
  const auto sequence = static_cast<size_t>(tokens.shape[1]);
  const auto width = static_cast<size_t>(tokens.shape[2]);
  const std::vector<float> weights =
      mask == nullptr ? std::vector<float>(batch * sequence, 1.0F) : ToFloats(*mask);
  const std::vector<float> widened = tokens.dtype == DType::kFp16 ? ToFloats(tokens) : std::vector<float>();
  const std::span<const float> values =
      tokens.dtype == DType::kFp16 ? std::span<const float>(widened) : tokens.As<float>();

  MLOS_ASSIGN_OR_RETURN(Tensor result, Tensor::Allocate(DType::kFp32, {tokens.shape[0], tokens.shape[2]}));
  for (size_t i = 0; i < batch; ++i) {
    const Rows rows{values.subspan(i * sequence * width, sequence * width),
                    std::span<const float>(weights).subspan(i * sequence, sequence), width};
    const std::span<float> out = result.As<float>().subspan(i * width, width);
    switch (pooling) {
      case Pooling::kMean:
        Mean(rows, out);
        break;
      case Pooling::kMax:
        Max(rows, out);
        break;
      case Pooling::kCls:
        OneToken(rows, /*last=*/false, out);
        break;
      case Pooling::kLastToken:
        OneToken(rows, /*last=*/true, out);
        break;
    }
    if (normalize) Normalize(out);
  }
  return result;
}

}  // namespace mlos::preprocess
