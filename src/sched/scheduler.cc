// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace mlos::sched {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// How far the feasibility test looks: beyond that many tasks the queue is not what decides.
constexpr size_t kHorizon = 64;
constexpr size_t kMaxMembers = 64;
// A task that nothing is known of counts as this much work.
constexpr int64_t kUnknownNs = 1'000'000;
// An express task takes at most this share of what the running ones are predicted to need still.
constexpr int64_t kExpressShare = 4;

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? kNever : sum;
}

// For Candidate, where 0 means that there is no deadline.
int64_t SlackNs(int64_t deadline_ns, int64_t now_ns) {
  if (deadline_ns == 0) return 0;
  const int64_t slack_ns = deadline_ns - now_ns;
  return slack_ns == 0 ? -1 : slack_ns;
}

}  // namespace

SchedulerOptions SchedulerOptions::Fifo(int slots, size_t max_queue) {
  return {.slots = slots,
          .express_slots = 0,
          .max_queue = max_queue,
          .order = Order::kArrival,
          .admission = AdmissionRule::kNone,
          .drop_late = false,
          .most_on_time = false,
          .plan_threads = false,
          .max_batch_rows = 1,
          .aged_share = 0};
}

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options) {}

Scheduler::Waiting Scheduler::Describe(uint64_t id, const TaskInfo& task, int64_t now_ns) const {
  Waiting out{.id = id, .task = task, .arrived_ns = now_ns};
  Estimate one = {.p50_ns = task.predicted_ns, .p90_ns = task.predicted_ns, .runs = 0};
  Estimate fastest = one;
  if (task.profile != nullptr) {
    fastest = one = task.profile->Predict(task.size, 1);
    for (size_t i = 1; options_.plan_threads && ThreadChoice(i, options_.slots) > 0; ++i) {
      const Estimate more =
          task.profile->Predict(task.size, static_cast<uint32_t>(ThreadChoice(i, options_.slots)));
      // Only what was measured: a refusal must not rest on a hope, nor an admission.
      if (more.runs >= ExecutionProfile::kTrusted && more.p50_ns < fastest.p50_ns) fastest = more;
    }
  }
  out.run_ns = fastest.p50_ns;
  out.bound_ns = fastest.p90_ns;
  out.work_ns = one.p50_ns > 0 ? one.p50_ns : task.planned_ns > 0 ? task.planned_ns : kUnknownNs;
  if (task.deadline_ns > 0 && options_.drop_late) {
    out.latest_ns = std::max<int64_t>(task.deadline_ns - fastest.p50_ns, 1);
  }
  out.aged_ns = SaturatingAdd(now_ns, options_.patience_ns[static_cast<size_t>(task.task_class)]);
  return out;
}

Scheduler::Key Scheduler::KeyOf(const Waiting& waiting) {
  if (options_.order == Order::kArrival) return {0, 0, next_sequence_++};
  const int64_t due_ns = waiting.task.deadline_ns > 0 ? waiting.task.deadline_ns : waiting.aged_ns;
  return {static_cast<size_t>(waiting.task.task_class), due_ns, next_sequence_++};
}

int64_t Scheduler::RunningWorkNs(int64_t now_ns) const {
  int64_t work_ns = 0;
  for (const Running& run : running_)
    work_ns += std::max<int64_t>(run.end_ns - now_ns, 0) * std::max(run.slots, 1);
  return work_ns;
}

// When a slot is predicted to be free; now when one is.
int64_t Scheduler::FreeAtNs(int64_t now_ns) const {
  if (busy_ < options_.slots) return now_ns;
  int64_t first_ns = kNever;
  for (const Running& run : running_) {
    if (run.slots > 0) first_ns = std::min(first_ns, run.end_ns);
  }
  return first_ns == kNever ? now_ns : std::max(first_ns, now_ns);
}

int64_t Scheduler::WaitNs(int64_t now_ns) const {
  if (queue_.empty()) return FreeAtNs(now_ns) - now_ns;
  int64_t work_ns = RunningWorkNs(now_ns);
  for (const int64_t each_ns : class_work_ns_) work_ns += each_ns;
  return std::max(work_ns / options_.slots, FreeAtNs(now_ns) - now_ns);
}

Admission Scheduler::Add(uint64_t id, const TaskInfo& task, int64_t now_ns) {
  Admission out{.queued = queue_.size(), .busy_slots = busy_ + express_busy_};
  Waiting waiting = Describe(id, task, now_ns);
  if (task.deadline_ns > 0 && task.deadline_ns <= now_ns) {
    out.refusal = Refusal::kPast;
    return out;
  }
  const Key key = KeyOf(waiting);
  const bool full = queue_.size() >= options_.max_queue;
  // A full queue makes room for a higher class.
  if (full && (queue_.empty() || std::get<0>(std::prev(queue_.end())->first) <= std::get<0>(key))) {
    out.refusal = Refusal::kQueueFull;
    out.wait_ns = WaitNs(now_ns);
    return out;
  }
  out.refusal = Judge(waiting, key, now_ns, &out.wait_ns);
  // A prediction that refuses everything would never be proved wrong.
  if (out.refusal == Refusal::kTooShort && task.profile != nullptr && task.profile->DoubtDue()) {
    out.refusal = Refusal::kNone;
    if (waiting.latest_ns > 0) waiting.latest_ns = task.deadline_ns;
  }
  if (out.refusal != Refusal::kNone) return out;
  if (full) {
    out.displaced = std::prev(queue_.end())->second.id;
    Erase(std::prev(queue_.end()));
  }
  Insert(key, waiting);
  return out;
}

Refusal Scheduler::Judge(const Waiting& waiting, const Key& key, int64_t now_ns, int64_t* wait_ns) const {
  const int64_t deadline_ns = waiting.task.deadline_ns;
  if (options_.admission == AdmissionRule::kNone || deadline_ns == 0 || waiting.run_ns == 0)
    return Refusal::kNone;
  if (now_ns + waiting.run_ns > deadline_ns) return Refusal::kTooShort;
  // Nothing to wait for: that it is more likely on time than not is enough.
  if (queue_.empty() && busy_ < options_.slots) return Refusal::kNone;
  // Behind what is ordered before it; looked at only as far as it takes to see that this is too much.
  int64_t work_ns = RunningWorkNs(now_ns);
  const int64_t budget_ns = deadline_ns - waiting.bound_ns;
  const int64_t free_at_ns = FreeAtNs(now_ns);
  for (auto it = queue_.begin(); it != queue_.end() && it->first < key; ++it) {
    work_ns += it->second.work_ns;
    if (now_ns + work_ns / options_.slots > budget_ns) break;
  }
  *wait_ns = std::max(work_ns / options_.slots, free_at_ns - now_ns);
  if (now_ns + *wait_ns <= budget_ns) return Refusal::kNone;
  if (express_busy_ < options_.express_slots && FitsExpress(waiting, now_ns)) return Refusal::kNone;
  if (options_.admission == AdmissionRule::kStrict || free_at_ns > budget_ns) return Refusal::kNoTime;
  return KeepsOnTime(waiting, key, now_ns) ? Refusal::kNone : Refusal::kNoTime;
}

// Whether the task is among those that are on time when the longest give way.
bool Scheduler::KeepsOnTime(const Waiting& waiting, const Key& key, int64_t now_ns) const {
  std::vector<PlannedRun> runs;
  size_t mine = 0;
  bool placed = false;
  const auto place = [&](const Waiting& w) {
    runs.push_back({.deadline_ns = w.task.deadline_ns, .run_ns = w.run_ns, .work_ns = w.work_ns});
  };
  for (auto it = queue_.begin(); it != queue_.end() && runs.size() < 2 * kHorizon; ++it) {
    if (!placed && key < it->first) {
      mine = runs.size();
      placed = true;
      place(waiting);
    }
    place(it->second);
  }
  if (!placed) {
    if (runs.size() >= 2 * kHorizon) return true;
    mine = runs.size();
    place(waiting);
  }
  std::vector<bool> keep;
  MostOnTime(runs, now_ns + RunningWorkNs(now_ns) / options_.slots, options_.slots, &keep);
  return keep[mine];
}

void Scheduler::Insert(const Key& key, const Waiting& waiting) {
  queue_.emplace(key, waiting);
  keys_.emplace(waiting.id, key);
  if (waiting.latest_ns > 0) by_latest_.emplace(waiting.latest_ns, key);
  if (waiting.task.group != 0) groups_[waiting.task.group].insert(key);
  const auto index = static_cast<size_t>(waiting.task.task_class);
  by_aged_[index].emplace(waiting.aged_ns, key);
  ++class_queued_[index];
  class_work_ns_[index] += waiting.work_ns;
}

void Scheduler::Erase(Queue::iterator it) {
  const Waiting& waiting = it->second;
  keys_.erase(waiting.id);
  if (waiting.latest_ns > 0) by_latest_.erase({waiting.latest_ns, it->first});
  if (const auto group = groups_.find(waiting.task.group); group != groups_.end()) {
    group->second.erase(it->first);
    if (group->second.empty()) groups_.erase(group);
  }
  const auto index = static_cast<size_t>(waiting.task.task_class);
  by_aged_[index].erase({waiting.aged_ns, it->first});
  --class_queued_[index];
  class_work_ns_[index] -= waiting.work_ns;
  queue_.erase(it);
}

bool Scheduler::Remove(uint64_t id) {
  const auto it = keys_.find(id);
  if (it == keys_.end()) return false;
  Erase(queue_.find(it->second));
  return true;
}

int64_t Scheduler::NextDropNs() const {
  if (by_latest_.empty()) return 0;
  return SaturatingAdd(by_latest_.begin()->first, 1);
}

int64_t Scheduler::HeldUntilNs(int64_t now_ns) const {
  const int64_t until_ns = gathering_.UntilNs(now_ns);
  if (until_ns == 0 || queue_.empty() || busy_ >= options_.slots) return 0;
  // Other work does not wait for it.
  const uint64_t group = queue_.begin()->second.task.group;
  const size_t waiting = WaitingOf(group);
  if (waiting != queue_.size() || !gathering_.Holds(group, waiting, now_ns)) return 0;
  // Nor does anybody in a hurry; the first one is of the highest class.
  if (queue_.begin()->second.task.task_class < TaskClass::kNormal) return 0;
  return by_latest_.empty() || by_latest_.begin()->first > until_ns ? until_ns : 0;
}

size_t Scheduler::WaitingOf(uint64_t group) const {
  const auto it = groups_.find(group);
  return it == groups_.end() ? 0 : it->second.size();
}

size_t Scheduler::RunningMembers(uint64_t group) const {
  size_t members = 0;
  for (const Running& run : running_) {
    if (group != 0 && run.group == group) members += run.members;
  }
  return members;
}

bool Scheduler::DropLate(int64_t now_ns, Decision* out) {
  while (!by_latest_.empty() && by_latest_.begin()->first < now_ns) {
    const auto it = queue_.find(by_latest_.begin()->second);
    out->tasks.push_back(it->second.id);
    Erase(it);
  }
  if (out->tasks.empty()) return false;
  out->kind = Decision::Kind::kDrop;
  out->refusal = Refusal::kExpired;
  return true;
}

void Scheduler::Next(int64_t now_ns, Decision* out) {
  out->kind = Decision::Kind::kNothing;
  out->tasks.clear();
  if (queue_.empty() || DropLate(now_ns, out)) return;
  if (HeldUntilNs(now_ns) > 0) return;
  if (busy_ < options_.slots) {
    StartChosen(Choose(now_ns), now_ns, out);
  } else {
    StartExpress(now_ns, out);
  }
}

Scheduler::Queue::iterator Scheduler::Choose(int64_t now_ns) {
  const auto usual = options_.most_on_time ? MostUrgentOnTime(queue_.begin(), now_ns) : queue_.begin();
  const double share = std::clamp(options_.aged_share, 0.0, 0.9);
  if (share > 0 && aged_debt_ns_ <= 0) {
    const auto oldest = ChooseAged(now_ns);
    if (oldest != queue_.end() && oldest != usual) {
      // On credit, which the others earn for it while they run.
      const auto work_ns = static_cast<double>(std::max<int64_t>(oldest->second.work_ns, 1));
      aged_debt_ns_ = static_cast<int64_t>(work_ns * (1 - share));
      return oldest;
    }
  }
  const auto earned_ns = static_cast<double>(std::max<int64_t>(usual->second.work_ns, 1)) * share;
  aged_debt_ns_ = std::max<int64_t>(aged_debt_ns_ - static_cast<int64_t>(earned_ns) - 1, 0);
  return usual;
}

// The oldest overdue task of the class whose turn it is: that which had none for longest.
Scheduler::Queue::iterator Scheduler::ChooseAged(int64_t now_ns) {
  size_t turn = kTaskClasses;
  for (size_t c = 0; c < kTaskClasses; ++c) {
    if (by_aged_[c].empty() || by_aged_[c].begin()->first > now_ns) continue;
    if (turn == kTaskClasses || aged_turn_[c] < aged_turn_[turn]) turn = c;
  }
  if (turn == kTaskClasses) return queue_.end();
  aged_turn_[turn] = ++aged_turns_;
  return queue_.find(by_aged_[turn].begin()->second);
}

// The first task of the first one's class that is on time together with most others.
Scheduler::Queue::iterator Scheduler::MostUrgentOnTime(Queue::iterator first, int64_t now_ns) {
  scratch_runs_.clear();
  const size_t task_class = std::get<0>(first->first);
  bool deadlines = false;
  for (auto it = first; it != queue_.end() && scratch_runs_.size() < kHorizon; ++it) {
    if (std::get<0>(it->first) != task_class) break;
    const Waiting& w = it->second;
    scratch_runs_.push_back({.deadline_ns = w.task.deadline_ns, .run_ns = w.run_ns, .work_ns = w.work_ns});
    deadlines = deadlines || w.task.deadline_ns > 0;
  }
  if (!deadlines || scratch_runs_.size() < 2) return first;
  MostOnTime(scratch_runs_, now_ns, options_.slots, &scratch_keep_);
  auto it = first;
  for (const bool kept : scratch_keep_) {
    if (kept) return it;
    ++it;
  }
  return first;
}

uint32_t Scheduler::MostRows(const TaskInfo& task) const {
  if (task.group == 0) return 1;
  return task.max_rows == 0 ? options_.max_batch_rows : std::min(task.max_rows, options_.max_batch_rows);
}

Plan Scheduler::PlanFor(const TaskInfo& task, std::span<const Candidate> candidates, size_t others,
                        int64_t others_slack_ns) const {
  return ChoosePlan({.profile = task.profile,
                     .row_elements = task.size.row_elements,
                     .candidates = candidates,
                     .waiting_others = others,
                     .running_members = RunningMembers(task.group),
                     .free_slots = options_.slots - busy_,
                     .total_slots = options_.slots,
                     .others_slack_ns = others_slack_ns,
                     .max_rows = MostRows(task),
                     .may_thread = options_.plan_threads,
                     .fixed_threads = options_.fixed_threads});
}

// Until when the slot must be free for the tasks that come after the chosen one and are not of its group.
int64_t Scheduler::OthersSlackNs(const Waiting& chosen, int64_t now_ns) const {
  if (options_.slots - busy_ > 1) return 0;
  int64_t slack_ns = 0;
  size_t looked = 0;
  for (const auto& [key, waiting] : queue_) {
    if (++looked > 8) break;
    if (waiting.latest_ns == 0 || waiting.task.group == chosen.task.group) continue;
    const int64_t room_ns = waiting.latest_ns - now_ns;
    if (room_ns >= chosen.run_ns && (slack_ns == 0 || room_ns < slack_ns)) slack_ns = room_ns;
  }
  return slack_ns;
}

void Scheduler::StartChosen(Queue::iterator it, int64_t now_ns, Decision* out) {
  std::vector<Queue::iterator> members{it};
  std::vector<Candidate> candidates;
  size_t group_size = 1;
  if (MostRows(it->second.task) > 1) {
    const std::set<Key>& group = groups_.find(it->second.task.group)->second;
    group_size = group.size();
    for (const Key& key : group) {
      if (members.size() == kMaxMembers) break;
      if (key != it->first) members.push_back(queue_.find(key));
    }
  }
  for (const auto& member : members) {
    const TaskInfo& task = member->second.task;
    candidates.push_back({.rows = task.size.rows, .slack_ns = SlackNs(task.deadline_ns, now_ns)});
  }
  const Plan plan =
      PlanFor(it->second.task, candidates, queue_.size() - group_size, OthersSlackNs(it->second, now_ns));
  Start(plan, std::span(members).first(plan.members), false, now_ns, out);
}

bool Scheduler::StartNow(const TaskInfo& task, int64_t now_ns, Decision* out) {
  out->kind = Decision::Kind::kNothing;
  out->tasks.clear();
  if (!queue_.empty() || busy_ >= options_.slots) return false;
  if (task.deadline_ns > 0 && task.deadline_ns <= now_ns) return false;
  const Candidate alone{.rows = task.size.rows, .slack_ns = SlackNs(task.deadline_ns, now_ns)};
  const Plan plan = PlanFor(task, {&alone, 1}, 0, 0);
  if (task.deadline_ns > 0 && now_ns + plan.estimate.p50_ns > task.deadline_ns) return false;
  Start(plan, {}, false, now_ns, out);
  running_.back().deadline_ns = task.deadline_ns;
  return true;
}

// Short beside what runs, and nobody who is on time becomes late by it.
bool Scheduler::FitsExpress(const Waiting& waiting, int64_t now_ns) const {
  if (options_.order == Order::kArrival) return false;
  if (waiting.task.task_class == TaskClass::kRealtime) return true;
  if (waiting.task.deadline_ns == 0 || waiting.run_ns == 0) return false;
  // Shared with what runs it takes up to twice as long.
  if (now_ns + 2 * waiting.bound_ns > waiting.task.deadline_ns) return false;
  if (FreeAtNs(now_ns) + waiting.bound_ns <= waiting.task.deadline_ns) return false;
  for (const Running& run : running_) {
    const int64_t left_ns = std::max<int64_t>(run.end_ns - now_ns, 0);
    if (waiting.bound_ns * kExpressShare > left_ns) return false;
    if (run.deadline_ns > 0 && run.end_ns <= run.deadline_ns &&
        run.end_ns + waiting.bound_ns > run.deadline_ns)
      return false;
  }
  return true;
}

Scheduler::Queue::const_iterator Scheduler::FindExpress(int64_t now_ns) const {
  if (express_busy_ >= options_.express_slots) return queue_.end();
  size_t looked = 0;
  for (auto it = queue_.begin(); it != queue_.end() && looked < kHorizon; ++it, ++looked) {
    if (FitsExpress(it->second, now_ns)) return it;
  }
  return queue_.end();
}

bool Scheduler::CanStart(int64_t now_ns) const {
  if (queue_.empty() || HeldUntilNs(now_ns) > 0) return false;
  return busy_ < options_.slots || FindExpress(now_ns) != queue_.end();
}

void Scheduler::StartExpress(int64_t now_ns, Decision* out) {
  const auto found = FindExpress(now_ns);
  if (found == queue_.end()) return;
  const Queue::iterator it = queue_.find(found->first);
  const TaskInfo& task = it->second.task;
  Plan plan;
  plan.estimate =
      task.profile != nullptr ? task.profile->Predict(task.size, 1) : Estimate{.p50_ns = task.predicted_ns};
  Start(plan, {&it, 1}, true, now_ns, out);
}

// How long the group may be held back after this run.
int64_t Scheduler::HoldNs(const Plan& plan, const TaskInfo& task) const {
  if (plan.members < 2 || plan.probe || task.profile == nullptr) return 0;
  const int64_t one_ns = task.profile->Predict(task.size, static_cast<uint32_t>(plan.threads)).p50_ns;
  return Gathering::HoldNs(one_ns * static_cast<int64_t>(plan.members), plan.estimate.p50_ns);
}

void Scheduler::Start(const Plan& plan, std::span<const Queue::iterator> members, bool express,
                      int64_t now_ns, Decision* out) {
  int64_t predicted_ns = plan.estimate.p50_ns;
  if (predicted_ns == 0 && !members.empty()) predicted_ns = members.front()->second.run_ns;
  Running run{.id = next_execution_++,
              .slots = express ? 0 : plan.threads,
              .end_ns = now_ns + (predicted_ns > 0 ? predicted_ns : kUnknownNs),
              .deadline_ns = 0,
              .shared = express,
              .group = 0,
              .members = members.size(),
              .hold_ns = 0};
  if (!members.empty()) {
    const TaskInfo& first = members.front()->second.task;
    run.group = first.group;
    run.hold_ns = HoldNs(plan, first);
    gathering_.Started(run.group, WaitingOf(run.group));
  }
  if (express) {
    ++express_busy_;
    for (Running& other : running_) other.shared = true;
  } else {
    busy_ += plan.threads;
    run.shared = express_busy_ > 0 && busy_ + express_busy_ > options_.slots;
  }
  out->kind = Decision::Kind::kStart;
  out->execution = run.id;
  out->threads = options_.plan_threads || options_.fixed_threads > 0 ? plan.threads : 0;
  out->predicted_ns = predicted_ns;
  for (const Queue::iterator& member : members) {
    const Waiting& waiting = member->second;
    const int64_t deadline_ns = waiting.task.deadline_ns;
    if (deadline_ns > 0 && (run.deadline_ns == 0 || deadline_ns < run.deadline_ns))
      run.deadline_ns = deadline_ns;
    out->tasks.push_back(waiting.id);
    Erase(member);
  }
  running_.push_back(run);
}

bool Scheduler::Finish(uint64_t execution, int64_t now_ns) {
  const auto it = std::ranges::find(running_, execution, &Running::id);
  if (it == running_.end()) return false;
  if (it->slots > 0) {
    busy_ -= it->slots;
  } else {
    --express_busy_;
  }
  const bool own = !it->shared;
  EndedBatch batch{.group = it->group,
                   .members = it->members,
                   .hold_ns = it->hold_ns,
                   .waiting = WaitingOf(it->group),
                   .slots = options_.slots};
  *it = running_.back();
  running_.pop_back();
  batch.running = RunningMembers(batch.group);
  gathering_.Ended(batch, now_ns);
  return own;
}

}  // namespace mlos::sched
