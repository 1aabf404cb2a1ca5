// SPDX-License-Identifier: Apache-2.0
// Signals as something a thread waits for, instead of handlers that may call almost nothing.
#pragma once

#include <initializer_list>

#include "base/status.h"

namespace mlos::os {

// Blocks `signals` in the calling thread and in every thread it starts later. Call first thing in main.
Status BlockSignals(std::initializer_list<int> signals);

// Sleeps until one of `signals`, all blocked before, arrives; answers its number.
Result<int> WaitForSignal(std::initializer_list<int> signals);

// A write to a closed socket or pipe gives an error instead of ending the process.
Status IgnoreSigpipe();

}  // namespace mlos::os
