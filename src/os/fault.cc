// SPDX-License-Identifier: Apache-2.0
#include "os/fault.h"

#include <atomic>

namespace mlos::os {
namespace {

std::atomic<FaultHook> fault_hook{nullptr};

}  // namespace

void SetFaultHookForTesting(FaultHook hook) { fault_hook.store(hook); }

int InjectedFault(std::string_view step, const char* path) {
  const FaultHook hook = fault_hook.load(std::memory_order_relaxed);
  return hook == nullptr ? 0 : hook(step, path);
}

}  // namespace mlos::os
