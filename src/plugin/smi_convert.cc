// SPDX-License-Identifier: Apache-2.0
#include "plugin/smi_convert.h"

#include <algorithm>
#include <cstring>

namespace mlos::plugin {
namespace {

static_assert(static_cast<int>(DType::kInvalid) == SMI_DTYPE_INVALID);
static_assert(static_cast<int>(DType::kBool) == SMI_BOOL);
static_assert(static_cast<int>(DType::kUint8) == SMI_UINT8);
static_assert(static_cast<int>(DType::kUint16) == SMI_UINT16);
static_assert(static_cast<int>(DType::kUint32) == SMI_UINT32);
static_assert(static_cast<int>(DType::kUint64) == SMI_UINT64);
static_assert(static_cast<int>(DType::kInt8) == SMI_INT8);
static_assert(static_cast<int>(DType::kInt16) == SMI_INT16);
static_assert(static_cast<int>(DType::kInt32) == SMI_INT32);
static_assert(static_cast<int>(DType::kInt64) == SMI_INT64);
static_assert(static_cast<int>(DType::kFp16) == SMI_FP16);
static_assert(static_cast<int>(DType::kBf16) == SMI_BF16);
static_assert(static_cast<int>(DType::kFp32) == SMI_FP32);
static_assert(static_cast<int>(DType::kFp64) == SMI_FP64);
static_assert(static_cast<int>(DType::kBytes) == SMI_BYTES);

// More than any model has; guards against garbage.
constexpr uint32_t kMaxTensors = 4096;
constexpr uint32_t kMaxRank = 64;

Result<TensorSpec> SpecFromSmi(const smi_tensor_spec* spec) {
  if (!SMI_HAS(spec, smi_tensor_spec, description))
    return Internal("a tensor description smaller than in SMI 1.0");
  TensorSpec out;
  out.name = View(spec->name);
  if (out.name.empty()) return Internal("a tensor without a name");
  if (spec->dtype <= SMI_DTYPE_INVALID || spec->dtype > SMI_BYTES) {
    return Internal("tensor '" + out.name + "' with the unknown dtype " + std::to_string(spec->dtype));
  }
  out.dtype = static_cast<DType>(spec->dtype);
  if (spec->rank > kMaxRank || (spec->rank > 0 && spec->shape == nullptr)) {
    return Internal("tensor '" + out.name + "' with no shape, or one of rank " + std::to_string(spec->rank));
  }
  out.shape.assign(spec->shape, spec->shape + spec->rank);
  if (std::ranges::any_of(out.shape, [](int64_t dim) { return dim < -1; })) {
    return Internal("tensor '" + out.name + "' with the shape " + ShapeToString(out.shape));
  }
  for (uint32_t i = 0; i < spec->rank; ++i) {
    out.dim_names.emplace_back(spec->dim_names == nullptr ? std::string_view() : View(spec->dim_names[i]));
  }
  out.optional = (spec->flags & SMI_SPEC_OPTIONAL) != 0;
  out.description = View(spec->description);
  return out;
}

Result<std::vector<TensorSpec>> SpecsFromSmi(const smi_tensor_spec* specs, uint32_t count) {
  if (count > kMaxTensors || (count > 0 && specs == nullptr)) {
    return Internal("a list of " + std::to_string(count) + " tensors that cannot be read");
  }
  std::vector<TensorSpec> out;
  for (uint32_t i = 0; i < count; ++i) {
    MLOS_ASSIGN_OR_RETURN(TensorSpec spec, SpecFromSmi(SMI_AT(specs, smi_tensor_spec, i)));
    if (std::ranges::find(out, spec.name, &TensorSpec::name) != out.end()) {
      return Internal("two tensors named '" + spec.name + "'");
    }
    out.push_back(std::move(spec));
  }
  return out;
}

Result<ModelInterface> Convert(const smi_model_info& info) {
  ModelInterface out;
  MLOS_ASSIGN_OR_RETURN(out.inputs, SpecsFromSmi(info.inputs, info.n_inputs));
  MLOS_ASSIGN_OR_RETURN(out.outputs, SpecsFromSmi(info.outputs, info.n_outputs));
  out.executes = (info.capabilities & SMI_CAP_EXECUTE) != 0;
  out.generates = (info.capabilities & SMI_CAP_GENERATE) != 0;
  out.has_chat_template = (info.capabilities & SMI_CAP_CHAT_TEMPLATE) != 0;
  out.context_length = info.context_length;
  out.embedding_length = info.embedding_length;
  out.batch_dimension = info.batch_dimension;
  for (const TensorSpec& input : out.inputs) {
    if (out.batch_dimension >= static_cast<int32_t>(input.shape.size())) {
      return Internal("batch dimension " + std::to_string(out.batch_dimension) + ", which input '" +
                      input.name + "' lacks");
    }
  }
  if (out.batch_dimension < -1) return Internal("batch dimension " + std::to_string(out.batch_dimension));
  return out;
}

}  // namespace

Code CodeFromSmi(smi_code code) {
  switch (code) {
    case SMI_OK:
      return Code::kOk;
    case SMI_INVALID_ARGUMENT:
      return Code::kInvalidArgument;
    case SMI_BAD_INPUT:
      return Code::kUnprocessable;
    case SMI_NOT_FOUND:
      return Code::kNotFound;
    case SMI_UNSUPPORTED:
      return Code::kUnimplemented;
    case SMI_CORRUPT:
      return Code::kDataLoss;
    case SMI_WRONG_STATE:
      return Code::kFailedPrecondition;
    case SMI_UNAVAILABLE:
    case SMI_OUT_OF_MEMORY:
      return Code::kUnavailable;
    case SMI_CANCELLED:
      return Code::kCancelled;
    case SMI_DEADLINE_EXCEEDED:
      return Code::kDeadlineExceeded;
    default:
      return Code::kInternal;
  }
}

Status StatusFromSmi(smi_code code, const smi_error* error, const std::string& plugin_id) {
  if (code == SMI_OK) return OkStatus();
  std::string message = "plugin '" + plugin_id + "': ";
  const size_t start = message.size();
  if (error != nullptr && error->struct_size > offsetof(smi_error, message)) {
    const size_t room =
        std::min<size_t>(error->struct_size - offsetof(smi_error, message), sizeof error->message);
    message.append(error->message, strnlen(error->message, room));
  }
  if (message.size() == start) message += "failed with code " + std::to_string(code) + " and no message";
  return Status(CodeFromSmi(code), std::move(message));
}

smi_error EmptyError() {
  smi_error error;
  error.struct_size = sizeof error;
  error.code = SMI_OK;
  error.message[0] = '\0';
  return error;
}

FinishReason FinishFromSmi(smi_finish finish) {
  switch (finish) {
    case SMI_FINISH_STOP:
      return FinishReason::kStop;
    case SMI_FINISH_LENGTH:
      return FinishReason::kLength;
    case SMI_FINISH_CANCELLED:
      return FinishReason::kCancelled;
    default:
      return FinishReason::kNone;
  }
}

std::vector<std::string> CapabilityNames(uint32_t capabilities) {
  static constexpr std::pair<uint32_t, const char*> kNames[] = {
      {SMI_CAP_EXECUTE, "execute"},       {SMI_CAP_GENERATE, "generate"},
      {SMI_CAP_CANCEL, "cancel"},         {SMI_CAP_PARTIAL_OUTPUTS, "partial_outputs"},
      {SMI_CAP_CONCURRENT, "concurrent"}, {SMI_CAP_CHAT_TEMPLATE, "chat_template"},
  };
  std::vector<std::string> out;
  for (const auto& [bit, name] : kNames) {
    if ((capabilities & bit) != 0) out.emplace_back(name);
  }
  return out;
}

Result<ModelInterface> InterfaceFromSmi(const smi_model_info* info, const std::string& plugin_id) {
  const std::string context = "plugin '" + plugin_id + "' describes its model with ";
  if (info == nullptr || !SMI_HAS(info, smi_model_info, preferred_batch)) {
    return Internal(context + "nothing, or less than SMI 1.0 asks for");
  }
  Result<ModelInterface> out = Convert(*info);
  if (!out.ok()) return Internal(context + out.status().message());
  return out;
}

}  // namespace mlos::plugin
