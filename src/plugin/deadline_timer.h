// SPDX-License-Identifier: Apache-2.0
// Calls back when points in time have come. One thread, started by the first Add; it sleeps while nothing is due.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace mlos::plugin {

// Thread-safe. Callbacks run on the timer's thread, one at a time, and must be short.
class DeadlineTimer {
 public:
  using Key = std::pair<int64_t, uint64_t>;  // time, serial number

  DeadlineTimer() = default;
  // Drops what is not due yet.
  ~DeadlineTimer();
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  // Calls `callback` once at `at_ns` (CLOCK_MONOTONIC) or soon after.
  Key Add(int64_t at_ns, std::function<void()> callback);
  // Does not wait: a callback that has begun goes on.
  void Remove(const Key& key);

 private:
  void Work();

  Mutex mu_;
  CondVar changed_;
  // Guarded by mu_.
  std::map<Key, std::function<void()>> due_ MLOS_GUARDED_BY(mu_);
  int64_t wakes_at_ns_ MLOS_GUARDED_BY(mu_) = 0;  // when the thread will look again by itself
  uint64_t last_serial_ MLOS_GUARDED_BY(mu_) = 0;
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;
  std::thread thread_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::plugin
