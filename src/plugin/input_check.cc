// SPDX-License-Identifier: Apache-2.0
#include "plugin/input_check.h"

#include <algorithm>

#include "base/clock.h"

namespace mlos::plugin {
namespace {

// "'input_ids' INT64 [batch, sequence], 'mask' ... (optional)": what the caller may send.
std::string Declared(const std::vector<TensorSpec>& specs) {
  std::string out;
  for (const TensorSpec& spec : specs) {
    if (!out.empty()) out += ", ";
    out += "'" + spec.name + "' " + SpecToString(spec);
    if (spec.optional) out += " (optional)";
  }
  return out.empty() ? "none" : out;
}

}  // namespace

Status CheckInputs(const ModelInterface& interface, const std::vector<NamedTensor>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const NamedTensor& input = inputs[i];
    const TensorSpec* spec = interface.FindInput(input.name);
    if (spec == nullptr) {
      return Unprocessable("the model has no input '" + input.name +
                           "'; its inputs: " + Declared(interface.inputs));
    }
    const auto same = [&](const NamedTensor& other) { return other.name == input.name; };
    if (std::any_of(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(i), same)) {
      return Unprocessable("input '" + input.name + "' is given twice");
    }
    MLOS_RETURN_IF_ERROR(CheckTensor(*spec, input.tensor));
  }
  for (const TensorSpec& spec : interface.inputs) {
    if (spec.optional || std::ranges::find(inputs, spec.name, &NamedTensor::name) != inputs.end()) continue;
    return Unprocessable("input '" + spec.name + "' is missing: wanted " + SpecToString(spec) +
                         "; the model's inputs: " + Declared(interface.inputs));
  }
  return OkStatus();
}

Status CheckWantedOutputs(const ModelInterface& interface, const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (interface.FindOutput(names[i]) == nullptr) {
      return Unprocessable("the model has no output '" + names[i] +
                           "'; its outputs: " + Declared(interface.outputs));
    }
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      return Unprocessable("output '" + names[i] + "' is asked for twice");
    }
  }
  return OkStatus();
}

Status CheckKind(const ModelInterface& interface, const Request& request) {
  if (!request.texts.empty()) return Internal("texts must be tokenized before they reach the plugin");
  if (request.generation.has_value()) {
    if (!interface.generates) return Unimplemented("the model does not generate text; send inputs");
    if (!request.generation->messages.empty() && !interface.has_chat_template) {
      return Unimplemented("the model has no chat template; send a prompt instead of messages");
    }
    return OkStatus();
  }
  if (!interface.executes) return Unimplemented("the model takes no tensors; send a prompt");
  return OkStatus();
}

Status CheckRequest(const ModelInterface& interface, const Request& request) {
  if (request.cancel && request.cancel->cancelled()) return Cancelled("cancelled before the model was asked");
  if (request.deadline_ns != 0 && Clock::Real().MonotonicNs() >= request.deadline_ns) {
    return DeadlineExceeded("the deadline had passed before the model was asked");
  }
  MLOS_RETURN_IF_ERROR(CheckKind(interface, request));
  if (request.generation) return OkStatus();
  MLOS_RETURN_IF_ERROR(CheckInputs(interface, request.inputs));
  return CheckWantedOutputs(interface, request.outputs);
}

}  // namespace mlos::plugin
