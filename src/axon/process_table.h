// SPDX-License-Identifier: Apache-2.0
// The text of axon ps and axon top.
#pragma once

#include <string>

#include "client/processes.h"

namespace mlos::axon {

// A table of the models that are loaded, being loaded or failed (`all`: of all), and a line about the budget. What is not
// known is "-".
std::string ProcessTable(const client::ProcessList& list, bool all);

// "in 4 min", "in 30 s", "now".
std::string InTime(double ms);

}  // namespace mlos::axon
