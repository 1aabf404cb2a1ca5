// SPDX-License-Identifier: Apache-2.0
// What axon why prints.
#pragma once

#include <string>

#include "base/status.h"

namespace mlos::axon {

// GET /requests/{id} as a table with a bar a stage; kDataLoss when `json` is not such an answer.
Result<std::string> ExplainRequest(const std::string& json);

}  // namespace mlos::axon
