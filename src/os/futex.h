// SPDX-License-Identifier: Apache-2.0
// Sleeping until another process changes a word of shared memory (futex(2)), and how to wait for it without sleeping.
#pragma once

#include <atomic>
#include <cstdint>

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

}  // namespace mlos::os
