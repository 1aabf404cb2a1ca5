// SPDX-License-Identifier: Apache-2.0
// Threads raised above the others, and put back as they were.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "os/thread_priority.h"

namespace mlos::resources {

// Real-time priority 1 where that is permitted, else the lowest nice value that is, else nothing. Threads that have a policy of
// their own choice are left alone. Not thread-safe; two boosts of one thread must not overlap.
class ThreadBoost {
 public:
  ThreadBoost() = default;
  explicit ThreadBoost(const std::vector<int>& tids);
  // Puts back only what is still as this object made it.
  ~ThreadBoost();
  ThreadBoost(ThreadBoost&& other) noexcept
      : raised_(std::exchange(other.raised_, {})), how_(std::exchange(other.how_, "")), refused_(other.refused_) {}
  ThreadBoost& operator=(ThreadBoost&&) = delete;

  std::string_view how() const { return how_; }  // "realtime", "nice", ""
  // The system refused at least one thread both ways.
  bool refused() const { return refused_; }

 private:
  struct Raised {
    int tid;
    os::ThreadPriority before;
    os::ThreadPriority made;
  };
  void Raise(int tid);

  std::vector<Raised> raised_;
  std::string_view how_;
  bool refused_ = false;
};

}  // namespace mlos::resources
