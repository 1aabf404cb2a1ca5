// SPDX-License-Identifier: Apache-2.0
#include "plugin/deadline_timer.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/clock.h"

namespace mlos::plugin {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Condition variables add the wait to the clock: keeps the sum in range.
constexpr int64_t kLongestWaitNs = 3'600'000'000'000;

}  // namespace

DeadlineTimer::~DeadlineTimer() {
  std::thread thread;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
}

DeadlineTimer::Key DeadlineTimer::Add(int64_t at_ns, std::function<void()> callback) {
  MutexLock lock(mu_);
  const Key key(at_ns, ++last_serial_);
  due_.emplace(key, std::move(callback));
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { Work(); });
  } else if (at_ns < wakes_at_ns_) {
    // Later ones need no wake-up: with equal time limits, new deadlines are always later.
    changed_.NotifyOne();
  }
  return key;
}

void DeadlineTimer::Remove(const Key& key) {
  MutexLock lock(mu_);
  due_.erase(key);
}

void DeadlineTimer::Work() {
  MutexLock lock(mu_);
  while (!stopping_) {
    wakes_at_ns_ = due_.empty() ? kNever : due_.begin()->first.first;
    const int64_t now_ns = Clock::Real().MonotonicNs();
    if (due_.empty()) {
      changed_.Wait(mu_);
    } else if (wakes_at_ns_ > now_ns) {
      const int64_t wait_ns = std::min(wakes_at_ns_ - now_ns, kLongestWaitNs);
      changed_.WaitFor(mu_, std::chrono::nanoseconds(wait_ns));
    } else {
      auto entry = due_.extract(due_.begin());
      mu_.Unlock();
      entry.mapped()();
      entry.mapped() = nullptr;
      mu_.Lock();
    }
  }
}

}  // namespace mlos::plugin
