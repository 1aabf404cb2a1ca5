// SPDX-License-Identifier: Apache-2.0
// Sleeping until another process changes a word of shared memory (futex(2)), and how to wait for it without sleeping.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace mlos::os {

// Sleeps while *word is `expected`, at most `timeout_ns` (negative: no limit). May return for no reason: look again.
void FutexWait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns);
// Wakes at most `count` sleepers of any process.
void FutexWake(const std::atomic<uint32_t>& word, int count);

// Tells the CPU that this thread spins.
inline void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Lets another thread that waits for this CPU run first.
void YieldCpu();

// Looks at `found` until it is true or `for_ns` have passed; false then. Between looks every other thread of this CPU may run, so that
// it takes nothing from those that work; it costs CPU time all the same.
template <typename Found>
bool LookFor(const Found& found, int64_t for_ns) {
  const int64_t until_ns = Clock::Real().MonotonicNs() + for_ns;
  do {
    for (int i = 0; i < 16; ++i) {
      CpuRelax();
      if (found()) return true;
    }
    YieldCpu();
  } while (Clock::Real().MonotonicNs() < until_ns);
  return found();
}

}  // namespace mlos::os
