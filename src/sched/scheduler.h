// SPDX-License-Identifier: Apache-2.0
// Decides what runs when: the policy of the executor, without threads, callbacks or a clock of its own.
//
// Order
//  - Higher classes first. Inside a class the earliest deadline; a task without one is ordered as if it had to start within
//    its class's patience. Among tasks that cannot all be on time the longest give way (on_time.h), until their own latest
//    start has passed.
//  - Aging: what waited longer than its class's patience is served from a share of the machine (aged_share) before all
//    classes, the classes taking turns, the oldest first. So nothing waits for ever, and a higher class loses no more than that share.
//  - Of a group, tasks are joined as plan.h says, the most urgent first. After a batch the group may hold back for a moment, so that the
//    next one fills (gathering.h): only while nothing else waits and nobody becomes late by it.
// Refusals
//  - At most max_queue tasks wait; a full queue makes room for a higher class by the last of the lowest. A task whose deadline is past, shorter than its execution, or not to be met behind what waits is
//    refused when it comes; one whose latest start passes while it waits is dropped then.
// Slots
//  - An execution on n threads holds n of `slots` until Finish. Beyond them there are express slots, one thread each, for REALTIME tasks
//    and for short tasks that would be late otherwise and make no running one late: they share the cores with what runs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "sched/gathering.h"
#include "sched/on_time.h"
#include "sched/plan.h"
#include "sched/task.h"

namespace mlos::sched {

enum class Order { kArrival, kDeadline };
enum class AdmissionRule {
  kNone,      // everything that is not past
  kStrict,    // the deadline can be met behind all that is ordered before it
  kFeasible,  // the deadline can be met when those give way that cannot be on time
};

struct SchedulerOptions {
  int slots = 1;
  int express_slots = 1;
  size_t max_queue = 1024;
  Order order = Order::kDeadline;
  AdmissionRule admission = AdmissionRule::kFeasible;
  bool drop_late = true;         // what cannot be on time any more; else it runs all the same
  bool most_on_time = true;      // the longest give way
  bool plan_threads = true;      // false: one slot each, threads as the model was loaded
  int fixed_threads = 0;         // of each execution, whatever plan_threads says; 0 = as that says
  uint32_t max_batch_rows = 64;  // 1 = no batches
  std::array<int64_t, kTaskClasses> patience_ns = {250'000'000, 1'000'000'000, 2'000'000'000, 5'000'000'000};
  double aged_share = 0.1;  // of the machine

  // First come, first served, nothing predicted: what others do, to compare with.
  static SchedulerOptions Fifo(int slots, size_t max_queue);
};

struct Admission {
  Refusal refusal = Refusal::kNone;
  int64_t wait_ns = 0;  // predicted until it would start
  size_t queued = 0;    // tasks that wait before it came
  int busy_slots = 0;
  uint64_t displaced = 0;  // a waiting task of a lower class that made room; it waits no more
};

// One execution to start, or tasks to drop.
struct Decision {
  enum class Kind { kNothing, kStart, kDrop };
  Kind kind = Kind::kNothing;
  std::vector<uint64_t> tasks;       // kStart: together, the most urgent first
  uint64_t execution = 0;            // kStart
  int threads = 0;                   // kStart; 0 = as the model was loaded
  int64_t predicted_ns = 0;          // kStart; 0 = not known
  Refusal refusal = Refusal::kNone;  // kDrop
};

// Not thread-safe. Times are CLOCK_MONOTONIC.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // `id` is the caller's, not 0, unique among the tasks that wait. Unless refused the task waits until a Decision names it.
  Admission Add(uint64_t id, const TaskInfo& task, int64_t now_ns);
  // Starts a task that came just now, without queueing it: only when nothing waits and a slot is free. False = Add it.
  bool StartNow(const TaskInfo& task, int64_t now_ns, Decision* out);
  // What to do now. Drops come first; ask again until kNothing.
  void Next(int64_t now_ns, Decision* out);
  // The execution is over. True when it had its cores for itself, so that its time may be learnt from.
  bool Finish(uint64_t execution, int64_t now_ns);
  // Forgets a waiting task. False when it does not wait.
  bool Remove(uint64_t id);

  // Whether Next would start something.
  bool CanStart(int64_t now_ns) const;
  // Until when what waits is held back so that a batch fills; 0 = it is not.
  int64_t HeldUntilNs(int64_t now_ns) const;
  // When the next waiting task must be dropped; 0 = none will be.
  int64_t NextDropNs() const;
  // How long a task that comes now would wait behind everything.
  int64_t WaitNs(int64_t now_ns) const;
  size_t queued() const { return queue_.size(); }
  size_t queued_in(TaskClass task_class) const { return class_queued_[static_cast<size_t>(task_class)]; }
  size_t running() const { return running_.size(); }
  int busy_slots() const { return busy_; }
  const SchedulerOptions& options() const { return options_; }

 private:
  // class, deadline or what stands for it, arrival.
  using Key = std::tuple<size_t, int64_t, uint64_t>;
  struct Waiting {
    uint64_t id;
    TaskInfo task;
    int64_t arrived_ns;
    int64_t run_ns;     // p50, fastest thread count that the machine has
    int64_t bound_ns;   // p90 of the same
    int64_t work_ns;    // CPU time: p50 on one thread
    int64_t latest_ns;  // start; 0 = any
    int64_t aged_ns;    // from when on it is overdue
  };
  struct Running {
    uint64_t id;
    int slots;       // 0: an express slot
    int64_t end_ns;  // predicted
    int64_t deadline_ns;
    bool shared;  // its cores were not its own all the time
    uint64_t group;
    size_t members;
    int64_t hold_ns;  // for Gathering
  };
  using Queue = std::map<Key, Waiting>;

  Waiting Describe(uint64_t id, const TaskInfo& task, int64_t now_ns) const;
  Key KeyOf(const Waiting& waiting);
  Refusal Judge(const Waiting& waiting, const Key& key, int64_t now_ns, int64_t* wait_ns) const;
  bool KeepsOnTime(const Waiting& waiting, const Key& key, int64_t now_ns) const;
  int64_t FreeAtNs(int64_t now_ns) const;
  int64_t RunningWorkNs(int64_t now_ns) const;
  void Insert(const Key& key, const Waiting& waiting);
  void Erase(Queue::iterator it);
  bool DropLate(int64_t now_ns, Decision* out);
  Queue::iterator Choose(int64_t now_ns);
  Queue::iterator ChooseAged(int64_t now_ns);
  Queue::iterator MostUrgentOnTime(Queue::iterator first, int64_t now_ns);
  void StartChosen(Queue::iterator it, int64_t now_ns, Decision* out);
  void StartExpress(int64_t now_ns, Decision* out);
  Queue::const_iterator FindExpress(int64_t now_ns) const;
  bool FitsExpress(const Waiting& waiting, int64_t now_ns) const;
  uint32_t MostRows(const TaskInfo& task) const;
  Plan PlanFor(const TaskInfo& task, std::span<const Candidate> candidates, size_t others,
               int64_t others_slack_ns) const;
  int64_t OthersSlackNs(const Waiting& chosen, int64_t now_ns) const;
  size_t RunningMembers(uint64_t group) const;
  size_t WaitingOf(uint64_t group) const;
  int64_t HoldNs(const Plan& plan, const TaskInfo& task) const;
  void Start(const Plan& plan, std::span<const Queue::iterator> members, bool express, int64_t now_ns,
             Decision* out);

  const SchedulerOptions options_;
  Queue queue_;
  std::unordered_map<uint64_t, Key> keys_;       // by id
  std::set<std::pair<int64_t, Key>> by_latest_;  // those with a latest start
  std::array<std::set<std::pair<int64_t, Key>>, kTaskClasses> by_aged_;
  std::unordered_map<uint64_t, std::set<Key>> groups_;
  std::array<size_t, kTaskClasses> class_queued_{};
  std::array<int64_t, kTaskClasses> class_work_ns_{};
  std::vector<Running> running_;
  Gathering gathering_;
  int busy_ = 0;  // slots
  int express_busy_ = 0;
  uint64_t next_sequence_ = 0;
  uint64_t next_execution_ = 1;
  int64_t aged_debt_ns_ = 0;
  uint64_t aged_turns_ = 0;
  std::array<uint64_t, kTaskClasses> aged_turn_{};  // when a class last had its turn
  std::vector<PlannedRun> scratch_runs_;
  std::vector<bool> scratch_keep_;
};

}  // namespace mlos::sched
