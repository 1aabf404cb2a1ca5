// SPDX-License-Identifier: Apache-2.0
// An inference answer for people.
#pragma once

#include <string>

namespace mlos::axon {

// One line an output: name, datatype, shape and the first values; the answer itself when it is something else.
std::string SummarizeAnswer(const std::string& json);

}  // namespace mlos::axon
