// SPDX-License-Identifier: Apache-2.0
#include "status.h"

#include "smi/plugin_util.h"

namespace mlos::llama {

smi_code Report(const Status& status, smi_error* error) {
  return status.ok() ? SMI_OK : smi_fail(error, status.code, "%s", status.message.c_str());
}

}  // namespace mlos::llama
