// SPDX-License-Identifier: Apache-2.0
// What a request asks of a model, held against what the model declares, before the plugin sees it.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"

namespace mlos::plugin {

// Every input known, given once and fitting; every input that is not optional given. kUnprocessable otherwise.
Status CheckInputs(const ModelInterface& interface, const std::vector<NamedTensor>& inputs);

// Every name known and given once. kUnprocessable otherwise.
Status CheckWantedOutputs(const ModelInterface& interface, const std::vector<std::string>& names);

// Whether the model can do what the request asks: tensors or text, and in the form it takes them.
Status CheckKind(const ModelInterface& interface, const Request& request);

// All of that, and that the request is neither late nor cancelled already.
Status CheckRequest(const ModelInterface& interface, const Request& request);

}  // namespace mlos::plugin
