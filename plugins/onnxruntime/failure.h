// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "smi/smi.h"

namespace mlos_ort {

// An error of the plugin's own.
class Failure : public std::runtime_error {
 public:
  Failure(smi_code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  smi_code code() const { return code_; }

 private:
  smi_code code_;
};

}  // namespace mlos_ort
