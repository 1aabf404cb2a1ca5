// SPDX-License-Identifier: Apache-2.0
// Between SMI's C types and the host's.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"
#include "plugin/instance.h"
#include "smi/smi.h"

namespace mlos::plugin {

inline std::string_view View(smi_str text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
}
inline smi_str Borrow(std::string_view text) { return {text.data(), text.size()}; }

// The one place where SMI's codes become ours. Values SMI does not know are kInternal.
Code CodeFromSmi(smi_code code);

// OK for SMI_OK; otherwise the plugin's message after "plugin 'id': ".
Status StatusFromSmi(smi_code code, const smi_error* error, const std::string& plugin_id);

// An error that nobody has filled yet.
smi_error EmptyError();

FinishReason FinishFromSmi(smi_finish finish);

std::vector<std::string> CapabilityNames(uint32_t capabilities);

// What a plugin says of a model, checked: counts, pointers, names, dtypes, ranks. kInternal, naming the plugin, when it
// cannot be right.
Result<ModelInterface> InterfaceFromSmi(const smi_model_info* info, const std::string& plugin_id);

}  // namespace mlos::plugin
