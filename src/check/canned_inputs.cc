// SPDX-License-Identifier: Apache-2.0
#include "check/canned_inputs.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mlos::check {
namespace {

constexpr int64_t kSequence = 8;
constexpr int64_t kPicture = 224;
constexpr int64_t kSamples = 16'000;
constexpr int64_t kOther = 4;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

template <typename T>
void Fill(Tensor* tensor, T value, T step) {
  for (T& element : tensor->As<T>()) {
    element = value;
    value = static_cast<T>(value + step);
  }
}

template <typename T, typename Convert>
void FillFloats(Tensor* tensor, Convert convert) {
  size_t i = 0;
  for (T& element : tensor->As<T>())
    element = convert(static_cast<float>(std::sin(0.7 * static_cast<double>(i++))));
}

template <typename T>
void FillInts(const TensorSpec& spec, Tensor* tensor) {
  const bool counts = Contains(spec.name, "position");
  const bool ones = Contains(spec.name, "input_ids") || Contains(spec.name, "mask");
  Fill<T>(tensor, static_cast<T>(ones ? 1 : 0), static_cast<T>(counts ? 1 : 0));
}

Status FillTensor(const TensorSpec& spec, Tensor* tensor) {
  switch (spec.dtype) {
    case DType::kFp32:
      FillFloats<float>(tensor, [](float value) { return value; });
      return OkStatus();
    case DType::kFp64:
      FillFloats<double>(tensor, [](float value) { return static_cast<double>(value); });
      return OkStatus();
    case DType::kFp16:
      FillFloats<uint16_t>(tensor, FloatToHalf);
      return OkStatus();
    case DType::kBf16:
      FillFloats<uint16_t>(tensor, FloatToBf16);
      return OkStatus();
    case DType::kInt64:
    case DType::kUint64:
      FillInts<int64_t>(spec, tensor);
      return OkStatus();
    case DType::kInt32:
    case DType::kUint32:
      FillInts<int32_t>(spec, tensor);
      return OkStatus();
    case DType::kInt16:
    case DType::kUint16:
      FillInts<int16_t>(spec, tensor);
      return OkStatus();
    case DType::kInt8:
    case DType::kUint8:
    case DType::kBool:
      FillInts<int8_t>(spec, tensor);
      return OkStatus();
    case DType::kBytes:
    case DType::kInvalid:
      break;
  }
  return Internal("no values for input '" + spec.name + "'");
}

}  // namespace

int64_t CannedSize(std::string_view name, const CannedOptions& options) {
  if (const size_t plus = name.find('+'); plus != std::string_view::npos)
    return CannedSize(name.substr(0, plus), options) + CannedSize(name.substr(plus + 1), options);
  if (Contains(name, "batch")) return 1;
  if (Contains(name, "past")) return 0;
  if (Contains(name, "samples") || Contains(name, "audio")) return kSamples;
  if (Contains(name, "sequence") || Contains(name, "seq") || Contains(name, "length"))
    return options.max_length == 0 ? kSequence : std::min<int64_t>(kSequence, options.max_length);
  if (Contains(name, "height") || Contains(name, "width")) return kPicture;
  return kOther;
}

Result<std::vector<NamedTensor>> CannedInputs(const ModelInterface& interface, const CannedOptions& options) {
  std::vector<NamedTensor> inputs;
  for (const TensorSpec& spec : interface.inputs) {
    if (spec.optional) continue;
    if (spec.dtype == DType::kBytes) {
      return Unimplemented("input '" + spec.name +
                           "' takes text: no first execution without a sentence of yours");
    }
    Shape shape = spec.shape;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] >= 0) continue;
      const std::string name = i < spec.dim_names.size() ? spec.dim_names[i] : "";
      const bool sound = name.empty() && spec.name == "input_values";
      // A dimension without a name is most often the batch when it comes first.
      shape[i] = sound && i > 0 ? kSamples : name.empty() && i == 0 ? 1 : CannedSize(name, options);
    }
    MLOS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(spec.dtype, std::move(shape)));
    MLOS_RETURN_IF_ERROR(FillTensor(spec, &tensor));
    inputs.push_back({spec.name, std::move(tensor)});
  }
  return inputs;
}

}  // namespace mlos::check
