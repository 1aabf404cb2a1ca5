// SPDX-License-Identifier: Apache-2.0
#include "os/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace mlos::os {
namespace {

// Shared, not private: the word lies in memory of two processes.
void Call(const std::atomic<uint32_t>& word, int operation, uint32_t value, const timespec* timeout) {
  static_assert(sizeof word == sizeof value && std::atomic<uint32_t>::is_always_lock_free);
  ::syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace

void FutexWait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns) {
  const timespec timeout = {static_cast<time_t>(timeout_ns / 1'000'000'000),
                            static_cast<long>(timeout_ns % 1'000'000'000)};
  Call(word, FUTEX_WAIT, expected, timeout_ns < 0 ? nullptr : &timeout);
}

void FutexWake(const std::atomic<uint32_t>& word, int count) {
  Call(word, FUTEX_WAKE, static_cast<uint32_t>(count), nullptr);
}

}  // namespace mlos::os
