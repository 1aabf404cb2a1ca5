// SPDX-License-Identifier: Apache-2.0
// GET /requests/{id}: where the time of one request went (docs/formats/http.md).
#pragma once

#include <string>

#include "infer/trace.h"

namespace mlos::frontend {

std::string EncodeTrace(const Trace& trace);

}  // namespace mlos::frontend
