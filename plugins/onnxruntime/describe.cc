// SPDX-License-Identifier: Apache-2.0
// What a model declares: read from the session, given defaults, put into SMI's words.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "errors.h"
#include "model.h"
#include "tensors.h"

namespace mlos_ort {
namespace {

// Exports that list every weight as an input that may be left out have many of these; real options are few.
constexpr size_t kMostOverridable = 16;

const Ort::AllocatorWithDefaultOptions& Allocator() {
  static const Ort::AllocatorWithDefaultOptions allocator;
  return allocator;
}

Port ReadPort(const char* name, const Ort::TypeInfo& type) {
  Port out;
  out.name = name;
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) return out;
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  out.type = tensor.GetElementType();
  out.dtype = DTypeOf(out.type);
  out.shape = tensor.GetShape();
  std::vector<const char*> names(out.shape.size());
  if (!names.empty()) tensor.GetSymbolicDimensions(names.data(), names.size());
  for (const char* dim : names) out.dim_names.emplace_back(dim == nullptr ? "" : dim);
  return out;
}

void WantTensor(const Port& input) {
  if (input.dtype != SMI_DTYPE_INVALID) return;
  throw Failure(SMI_UNSUPPORTED, "input '" + input.name + "' is no tensor of a dtype that can be sent");
}

bool Contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// A free dimension that is known to be something else than a batch.
bool IsOtherThanBatch(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return Contains(name, "seq") || Contains(name, "len") || Contains(name, "time") ||
         Contains(name, "token") || Contains(name, "height") || Contains(name, "width") ||
         Contains(name, "frame");
}

const char* DefaultText(Default missing) {
  switch (missing) {
    case Default::kModelsOwn:
      return "left out: the model's own value";
    case Default::kOnes:
      return "left out: ones, shaped like input_ids";
    case Default::kZeros:
      return "left out: zeros, shaped like input_ids";
    case Default::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string ToString(const Port& port) {
  std::string out = std::string(smi_dtype_name(port.dtype)) + " [";
  for (size_t i = 0; i < port.shape.size(); ++i) {
    if (i > 0) out += ", ";
    const bool named = port.shape[i] < 0 && !port.dim_names[i].empty();
    out += named ? port.dim_names[i] : port.shape[i] < 0 ? "?" : std::to_string(port.shape[i]);
  }
  return out + "]";
}

std::vector<Port> ReadInputs(const Ort::Session& session) {
  std::vector<Port> out;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    out.push_back(ReadPort(session.GetInputNameAllocated(i, Allocator()).get(), session.GetInputTypeInfo(i)));
    WantTensor(out.back());
  }
  const size_t overridable = session.GetOverridableInitializerCount();
  for (size_t i = 0; i < overridable && overridable <= kMostOverridable; ++i) {
    const auto name = session.GetOverridableInitializerNameAllocated(i, Allocator());
    Port port = ReadPort(name.get(), session.GetOverridableInitializerTypeInfo(i));
    if (port.dtype == SMI_DTYPE_INVALID) continue;
    port.missing = Default::kModelsOwn;
    out.push_back(std::move(port));
  }
  return out;
}

std::vector<Port> ReadOutputs(const Ort::Session& session, const smi_plugin& plugin) {
  std::vector<Port> out;
  for (size_t i = 0; i < session.GetOutputCount(); ++i) {
    Port port = ReadPort(session.GetOutputNameAllocated(i, Allocator()).get(), session.GetOutputTypeInfo(i));
    if (port.dtype != SMI_DTYPE_INVALID) {
      out.push_back(std::move(port));
    } else {
      plugin.Log(
          2, ("output '" + port.name + "' is no tensor of a dtype that can be sent; it is left out").c_str());
    }
  }
  if (out.empty())
    throw Failure(SMI_UNSUPPORTED, "the model has no output that is a tensor of a dtype that can be sent");
  return out;
}

void AssignDefaults(std::vector<Port>* inputs) {
  const auto ids =
      std::find_if(inputs->begin(), inputs->end(), [](const Port& p) { return p.name == "input_ids"; });
  if (ids == inputs->end()) return;
  // With a cache of earlier tokens the mask is longer than the ids.
  const bool has_past =
      std::any_of(inputs->begin(), inputs->end(), [](const Port& p) { return p.name.starts_with("past"); });
  for (Port& port : *inputs) {
    if (port.missing != Default::kNone || port.shape.size() != ids->shape.size() || port.dtype == SMI_BYTES)
      continue;
    if (port.name == "attention_mask" && !has_past) port.missing = Default::kOnes;
    if (port.name == "token_type_ids") port.missing = Default::kZeros;
  }
}

int32_t BatchDimension(const std::vector<Port>& inputs, const std::vector<Port>& outputs) {
  const std::string* name = nullptr;
  const auto fits = [&](const Port& port) {
    // The model's own value would have to be the same for all items.
    if (port.missing == Default::kModelsOwn) return false;
    if (port.shape.empty() || port.shape[0] >= 0 || IsOtherThanBatch(port.dim_names[0])) return false;
    if (name == nullptr) name = &port.dim_names[0];
    return port.dim_names[0] == *name;
  };
  const bool all =
      std::all_of(inputs.begin(), inputs.end(), fits) && std::all_of(outputs.begin(), outputs.end(), fits);
  return all && !inputs.empty() ? 0 : -1;
}

uint32_t PreferredBatch(const std::vector<Port>& inputs) {
  // Rows of numbers or of tokens share each weight that is read; pictures and sounds keep the CPU busy alone.
  const bool rows =
      std::all_of(inputs.begin(), inputs.end(), [](const Port& port) { return port.shape.size() <= 2; });
  return rows ? 8 : 0;
}

void PortSpecs::Fill(const std::vector<Port>& ports) {
  specs_.clear();
  dim_names_.clear();
  dim_names_.reserve(ports.size());
  for (const Port& port : ports) {
    std::vector<smi_str>& names = dim_names_.emplace_back();
    for (const std::string& name : port.dim_names) names.push_back({name.data(), name.size()});
    smi_tensor_spec spec{};
    spec.struct_size = sizeof spec;
    spec.dtype = port.dtype;
    spec.name = {port.name.data(), port.name.size()};
    spec.shape = port.shape.data();
    spec.dim_names = names.data();
    spec.rank = static_cast<uint32_t>(port.shape.size());
    spec.flags = port.missing == Default::kNone ? 0 : static_cast<uint32_t>(SMI_SPEC_OPTIONAL);
    spec.description = smi_text(DefaultText(port.missing));
    specs_.push_back(spec);
  }
}

}  // namespace mlos_ort
