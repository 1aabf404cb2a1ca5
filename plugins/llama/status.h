// SPDX-License-Identifier: Apache-2.0
// How the parts of this plugin report what went wrong: an SMI code and a message, turned into smi_error at the boundary.
#pragma once

#include <sstream>
#include <string>
#include <utility>

#include "smi/smi.h"

namespace mlos::llama {

struct [[nodiscard]] Status {
  smi_code code = SMI_OK;
  std::string message;
  bool ok() const { return code == SMI_OK; }
};

inline Status Ok() { return {}; }

// Fail(SMI_BAD_INPUT, "the prompt has ", n, " tokens"): the parts are written one after the other.
template <typename... Parts>
Status Fail(smi_code code, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return {code, std::move(text).str()};
}

// Copies into *error (may be null), cut at a character boundary when too long. Returns the code.
smi_code Report(const Status& status, smi_error* error);

}  // namespace mlos::llama
