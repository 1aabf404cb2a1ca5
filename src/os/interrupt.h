// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and its kin for command-line programs: the first asks to stop, the second stops.
#pragma once

#include <atomic>

#include "base/status.h"

namespace mlos::os {

// Exit status of a program that was interrupted.
inline constexpr int kInterruptedExit = 130;

// Call first thing in main, once, before any thread starts. From then on SIGINT and SIGTERM set the flag, which
// lives as long as the process; a second one ends the process with kInterruptedExit. SIGPIPE is ignored.
Result<const std::atomic<bool>*> WatchInterrupts();

// Sleeps until the flag is set.
void WaitForInterrupt();

}  // namespace mlos::os
