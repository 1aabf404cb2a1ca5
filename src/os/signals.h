// SPDX-License-Identifier: Apache-2.0
// Signals as something a thread waits for, instead of handlers that may call almost nothing.
#pragma once

#include "base/status.h"

namespace mlos::os {

// Blocks SIGINT and SIGTERM in the calling thread and in every thread it starts later. Call first thing in main.
Status BlockTermination();

// Sleeps until SIGINT or SIGTERM, blocked before, arrives.
Status WaitForTermination();

// A write to a closed socket or pipe gives an error instead of ending the process.
Status IgnoreSigpipe();

}  // namespace mlos::os
