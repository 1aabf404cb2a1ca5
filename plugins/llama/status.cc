// SPDX-License-Identifier: Apache-2.0
#include "status.h"

#include <algorithm>
#include <cstring>

namespace mlos::llama {

smi_code Report(const Status& status, smi_error* error) {
  if (status.ok() || error == nullptr || !SMI_HAS(error, smi_error, message)) return status.code;
  size_t size = std::min(status.message.size(), sizeof error->message - 1);
  if (size < status.message.size()) {
    while (size > 0 && (static_cast<unsigned char>(status.message[size]) & 0xC0) == 0x80) --size;
  }
  error->code = status.code;
  std::memcpy(error->message, status.message.data(), size);
  error->message[size] = '\0';
  return status.code;
}

}  // namespace mlos::llama
