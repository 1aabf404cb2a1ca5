// SPDX-License-Identifier: Apache-2.0
// Runs jobs as the scheduler decides (scheduler.h): the mechanism, threads and locks.
//
// Invariants
//  - Submit never blocks, unless the job starts on the submitting thread. Of every job exactly one of Run and Drop is called,
//    exactly once.
//  - An execution holds its slots until its Execution ends, on whatever thread and however long after Run has returned.
//  - A job that is predicted to be shorter than inline_below_ns, or whose Run does not block, starts on the submitting thread when nothing
//    waits and a slot is free: for a model of a few microseconds two thread hops would be most of the latency. Where that thread
//    serves events in turns (base/event_turn.h) it starts at the turn's end, together with what the turn's other events brought.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "sched/scheduler.h"
#include "sched/task.h"

namespace mlos::sched {

class Executor;

// What an execution was given; ends with this object. Movable, any thread.
class Execution {
 public:
  Execution() = default;
  Execution(Execution&& other) noexcept { *this = std::move(other); }
  Execution& operator=(Execution&& other) noexcept {
    if (this != &other) {
      End();
      executor_ = std::exchange(other.executor_, nullptr);
      id_ = other.id_;
      threads_ = other.threads_;
      predicted_ns_ = other.predicted_ns_;
    }
    return *this;
  }
  ~Execution() { End(); }
  // Gives the slots back. True when the execution had its cores for itself, so that its time may be learnt from.
  bool End();

  uint32_t threads() const { return static_cast<uint32_t>(threads_); }  // 0 = as the model was loaded
  int64_t predicted_ns() const { return predicted_ns_; }                // 0 = not known

 private:
  friend class Executor;
  Execution(Executor* executor, const Decision& decision)
      : executor_(executor),
        id_(decision.execution),
        threads_(decision.threads),
        predicted_ns_(decision.predicted_ns) {}

  Executor* executor_ = nullptr;
  uint64_t id_ = 0;
  int threads_ = 0;
  int64_t predicted_ns_ = 0;
};

// Why a job was dropped, for people and for the client's next move.
struct Dropped {
  Refusal refusal = Refusal::kNone;
  Status status;
  int64_t retry_after_ns = 0;  // 0 = not known, or no use
};

// Whether a job may start on the thread that submits it.
enum class Inline {
  kNever,    // the submitting thread is in the middle of something, a plugin's call for example
  kIfShort,  // when it is predicted to be short
  kAlways,   // its Run does not block
};

class Job {
 public:
  virtual ~Job() = default;
  // Runs `self` and `others`, which are of its group, as one execution; may block until it is over.
  virtual void Run(std::unique_ptr<Job> self, std::vector<std::unique_ptr<Job>> others,
                   Execution execution) = 0;
  virtual void Drop(Dropped why) = 0;
  // Just before it waits, with what it found. Not called for one that starts at once.
  virtual void OnQueued(const Admission& admission) { (void)admission; }
};

// A job made of two functions, for work that is no request.
struct Task {
  TaskClass task_class = TaskClass::kNormal;
  int64_t deadline_ns = 0;   // CLOCK_MONOTONIC; 0 = none
  int64_t predicted_ns = 0;  // 0 = not known
  std::function<void()> run;
  std::function<void(Status)> drop;
};

struct ExecutorOptions {
  SchedulerOptions scheduler;
  int threads = 0;  // 0 = what the slots need
  int64_t inline_below_ns = 500'000;
};

// Thread-safe.
class Executor {
 public:
  explicit Executor(const ExecutorOptions& options, Clock& clock = Clock::Real());
  // Drops what is queued, waits for what runs. Turns in which something was submitted must have ended.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // For Submit; not 0.
  uint64_t NewId() { return next_id_.fetch_add(1, std::memory_order_relaxed); }
  void Submit(uint64_t id, const TaskInfo& info, Inline how, std::unique_ptr<Job> job);
  void Submit(Task task);
  // Drops the job soon, on a thread of the executor, if it still waits.
  void Cancel(uint64_t id);

  size_t queued() const;
  // Executions under way, inline ones included.
  size_t running() const;
  int slots() const { return options_.scheduler.slots; }
  int busy_slots() const;

 private:
  friend class Execution;
  struct Ready {
    std::vector<std::unique_ptr<Job>> jobs;
    Execution execution;
    Dropped dropped;  // when it is not to be run
  };

  // A job that waits, and whether for the end of a turn of the thread that submitted it.
  struct Waiting {
    std::unique_ptr<Job> job;
    bool put_off = false;
  };

  bool End(uint64_t execution);
  void WorkerLoop();
  // At the end of a turn: starts on this thread what was put off.
  void RunPutOff();
  // The same for one decision; false when there is none for this thread.
  bool TakePutOff(Ready* out, bool* wake) MLOS_REQUIRES(mu_);
  static void Start(Ready ready);
  // The next thing to do outside the lock; false when there is none.
  bool TakeReady(Ready* out) MLOS_REQUIRES(mu_);
  std::unique_ptr<Job> TakeJob(uint64_t id) MLOS_REQUIRES(mu_);
  bool WantsThread(int64_t now_ns) const MLOS_REQUIRES(mu_);
  int64_t NextAlarmNs(int64_t now_ns) const MLOS_REQUIRES(mu_);
  void WaitForWork() MLOS_REQUIRES(mu_);
  Dropped Explain(Refusal refusal, const Admission& admission, const TaskInfo& info, int64_t now_ns) const;

  // Constant after construction.
  const ExecutorOptions options_;
  Clock& clock_;

  std::atomic<uint64_t> next_id_{1};

  mutable Mutex mu_;
  CondVar work_;
  CondVar idle_;
  Scheduler scheduler_ MLOS_GUARDED_BY(mu_);
  std::unordered_map<uint64_t, Waiting> jobs_ MLOS_GUARDED_BY(mu_);
  size_t put_off_ MLOS_GUARDED_BY(mu_) = 0;  // of those
  std::vector<std::unique_ptr<Job>> cancelled_ MLOS_GUARDED_BY(mu_);
  Decision decision_ MLOS_GUARDED_BY(mu_);
  size_t sleeping_ MLOS_GUARDED_BY(mu_) = 0;   // threads
  int64_t alarm_ns_ MLOS_GUARDED_BY(mu_) = 0;  // what a sleeping thread waits for; 0 = nothing
  bool stopping_ MLOS_GUARDED_BY(mu_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace mlos::sched
