// SPDX-License-Identifier: Apache-2.0
#include "os/interrupt.h"

#include <cstdlib>
#include <thread>

#include "os/signals.h"

namespace mlos::os {
namespace {
std::atomic<bool> g_interrupted{false};
}

Result<const std::atomic<bool>*> WatchInterrupts() {
  MLOS_RETURN_IF_ERROR(BlockTermination());
  MLOS_RETURN_IF_ERROR(IgnoreSigpipe());
  std::thread([] {
    for (int count = 1;; ++count) {
      if (!WaitForTermination().ok()) return;
      if (count > 1) std::_Exit(kInterruptedExit);
      g_interrupted.store(true);
      g_interrupted.notify_all();
    }
  }).detach();
  return &g_interrupted;
}

void WaitForInterrupt() { g_interrupted.wait(false); }

}  // namespace mlos::os
