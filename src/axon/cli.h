// SPDX-License-Identifier: Apache-2.0
// The command line as a whole.
#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace mlos::axon {

// Runs one command; `words` without the program's name. Answers the exit status: 0 done, 1 failed, 2 wrong usage,
// 130 interrupted.
int RunCommandLine(const std::vector<std::string>& words, const std::atomic<bool>* interrupted);

}  // namespace mlos::axon
