// SPDX-License-Identifier: Apache-2.0
// Threads raised above the others, and put back as they were.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "os/thread_priority.h"

namespace mlos::resources {

enum class BoostMode {
  kOff,
  kNice,      // nice -10, which leaves the others a tenth of a CPU
  kRealtime,  // real-time priority 1 where that is permitted, else nice
};

// Raises threads where that is permitted. Threads that have a policy of their own choice are left alone. Not thread-safe; two
// boosts of one thread must not overlap.
class ThreadBoost {
 public:
  ThreadBoost() = default;
  ThreadBoost(BoostMode mode, const std::vector<int>& tids);
  // Puts back only what is still as this object made it.
  ~ThreadBoost();
  ThreadBoost(ThreadBoost&& other) noexcept
      : raised_(std::exchange(other.raised_, {})),
        how_(std::exchange(other.how_, "")),
        refused_(other.refused_) {}
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
  void Raise(BoostMode mode, int tid);

  std::vector<Raised> raised_;
  std::string_view how_;
  bool refused_ = false;
};

// The threads of one other process, raised for as long as anyone holds them. Thread-safe.
class ProcessBoost {
 public:
  explicit ProcessBoost(BoostMode mode) : mode_(mode) {}
  // Null when boosting is off. The process is the one of the first holder until the last lets go.
  std::shared_ptr<const ThreadBoost> Hold(int64_t pid);

 private:
  const BoostMode mode_;
  Mutex mu_;
  std::weak_ptr<const ThreadBoost> held_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::resources
