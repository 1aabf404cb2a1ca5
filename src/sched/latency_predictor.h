// SPDX-License-Identifier: Apache-2.0
// Predicts how long the next run of something takes, from the runs before.
#pragma once

#include <atomic>
#include <cstdint>

namespace mlos::sched {

// Tracks a high quantile by asymmetric steps: up by 30 % of the error when a run was longer, down by 5 % when it was
// shorter. It forgets a slow first run within some dozens and sees a slow-down at once. Thread-safe; concurrent Observe
// calls may lose one another, which only delays learning.
class LatencyPredictor {
 public:
  void Observe(int64_t duration_ns) {
    const int64_t old = predicted_ns_.load(std::memory_order_relaxed);
    int64_t next = duration_ns;
    if (old != 0) {
      const int64_t error = duration_ns - old;
      next = old + (error > 0 ? error * 3 / 10 : error / 20);
    }
    predicted_ns_.store(next > 0 ? next : 1, std::memory_order_relaxed);
  }
  // 0 = nothing observed yet.
  int64_t predicted_ns() const { return predicted_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> predicted_ns_{0};
};

}  // namespace mlos::sched
