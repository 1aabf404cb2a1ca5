// SPDX-License-Identifier: Apache-2.0
// Scheduling of single threads, of this process or of another of the same user.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace mlos::os {

enum class ThreadPolicy { kNormal, kRealtime, kOther };

struct ThreadPriority {
  ThreadPolicy policy = ThreadPolicy::kNormal;
  int realtime = 0;  // 1 .. 99, kRealtime (first in, first out)
  int nice = 0;      // -20 .. 19, kNormal
};

// Of the calling thread.
int ThisThread();
// Ids of the threads of a process; 0 = this one. Empty when there is no such process.
std::vector<int> ThreadsOf(int64_t pid);

// kNotFound when the thread has ended. kOther stands for policies that are left alone (batch, idle, deadline, round robin).
Result<ThreadPriority> GetThreadPriority(int tid);
// kPermissionDenied names the right that is missing. kInvalidArgument for kOther.
Status SetThreadPriority(int tid, const ThreadPriority& priority);

}  // namespace mlos::os
