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

// Looks at `found` until it is true or `for_ns` have passed; false then. For times of a few switches between threads. It does not yield:
// on Linux 6.18 each sched_yield() costs the caller a slice of its share, and a thread that yielded in a loop here on a busy machine waited
// up to half a second afterwards.
template <typename Found>
bool LookFor(const Found& found, int64_t for_ns) {
  const int64_t until_ns = Clock::Real().MonotonicNs() + for_ns;
  do {
    for (int i = 0; i < 16; ++i) {
      CpuRelax();
      if (found()) return true;
    }
  } while (Clock::Real().MonotonicNs() < until_ns);
  return found();
}

}  // namespace mlos::os
