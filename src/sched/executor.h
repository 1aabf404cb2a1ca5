// SPDX-License-Identifier: Apache-2.0
// Runs tasks on a fixed set of threads, from a bounded queue. Knows tasks, not models.
//
// Invariants
//  - Submit never blocks. Of every task exactly one of run and drop is called, exactly once.
//  - A task is dropped with kUnavailable when the queue is full or the executor stops, and with kDeadlineExceeded when its
//    deadline passes before it starts.
//  - Higher classes start first; inside a class the earliest deadline, then the first submitted.
//  - A task predicted to be shorter than inline_below_ns starts on the submitting thread when nothing waits and a slot is
//    free: for a model of a few microseconds two thread hops would be most of the latency.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace mlos::sched {

enum class TaskClass { kRealtime = 0, kHigh = 1, kNormal = 2, kBatch = 3 };
inline constexpr size_t kTaskClasses = 4;

struct Task {
  TaskClass task_class = TaskClass::kNormal;
  int64_t deadline_ns = 0;   // CLOCK_MONOTONIC; 0 = none
  int64_t predicted_ns = 0;  // execution time; 0 = not known
  std::function<void()> run;
  std::function<void(Status)> drop;
};

struct ExecutorOptions {
  int threads = 1;
  size_t max_queue = 1024;
  int64_t inline_below_ns = 500'000;
};

// Thread-safe.
class Executor {
 public:
  explicit Executor(const ExecutorOptions& options, Clock& clock = Clock::Real());
  // Drops what is queued, waits for what runs.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void Submit(Task task);

  size_t queued() const;
  // Tasks under way, inline ones included.
  size_t running() const;

 private:
  // Orders tasks of one class: deadline (none last), then arrival.
  using Key = std::pair<int64_t, uint64_t>;

  void WorkerLoop();
  bool TakeInlineSlot(const Task& task);
  // The next task to start; the queue must not be empty.
  Task PopLocked() MLOS_REQUIRES(mu_);

  // Constant after construction.
  const ExecutorOptions options_;
  Clock& clock_;

  mutable Mutex mu_;
  CondVar work_;
  std::array<std::map<Key, Task>, kTaskClasses> queues_ MLOS_GUARDED_BY(mu_);
  size_t queued_ MLOS_GUARDED_BY(mu_) = 0;
  size_t running_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t next_sequence_ MLOS_GUARDED_BY(mu_) = 0;
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace mlos::sched
