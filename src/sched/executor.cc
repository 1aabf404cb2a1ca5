// SPDX-License-Identifier: Apache-2.0
#include "sched/executor.h"

#include <algorithm>
#include <chrono>

#include "base/event_turn.h"

namespace mlos::sched {
namespace {

constexpr int64_t kLongestSleepNs = 3'600'000'000'000;
// How late a drop may be; keeps the wake-ups of several drops together.
constexpr int64_t kDropSlackNs = 200'000;
// Work that was put off to a turn's end is shared with another thread when it takes longer than that: waking one costs a tenth of it.
constexpr int64_t kShareBeyondNs = 500'000;

// The executor whose thread this is.
thread_local const Executor* current_executor = nullptr;

// A job made of a Task.
class FunctionJob final : public Job {
 public:
  explicit FunctionJob(Task task) : task_(std::move(task)) {}
  void Run(std::unique_ptr<Job> /*self*/, std::vector<std::unique_ptr<Job>> /*others*/,
           Execution /*execution*/) override {
    task_.run();
  }
  void Drop(Dropped why) override { task_.drop(std::move(why.status)); }

 private:
  Task task_;
};

std::string Ms(int64_t ns) {
  const int64_t us = std::max<int64_t>(ns, 0) / 1000;
  if (us >= 10'000) return std::to_string(us / 1000) + " ms";
  std::string digits = std::to_string(us % 1000);
  digits.insert(0, 3 - digits.size(), '0');
  return std::to_string(us / 1000) + "." + digits + " ms";
}

int ThreadsFor(const ExecutorOptions& options) {
  if (options.threads > 0) return options.threads;
  // One more than can be busy, so that there is always one to drop what is late.
  return std::max(options.scheduler.slots, 1) + options.scheduler.express_slots + 1;
}

}  // namespace

bool Execution::End() {
  Executor* const executor = std::exchange(executor_, nullptr);
  return executor != nullptr && executor->End(id_);
}

Executor::Executor(const ExecutorOptions& options, Clock& clock)
    : options_(options), clock_(clock), scheduler_(options.scheduler) {
  for (int i = 0; i < ThreadsFor(options_); ++i) threads_.emplace_back([this] { WorkerLoop(); });
}

Executor::~Executor() {
  std::unordered_map<uint64_t, Waiting> left;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    left.swap(jobs_);
    for (const auto& [id, waiting] : left) scheduler_.Remove(id);
    put_off_ = 0;
  }
  work_.NotifyAll();
  for (auto& [id, waiting] : left) {
    waiting.job->Drop({.refusal = Refusal::kStopping, .status = Unavailable("the server is shutting down")});
  }
  left.clear();
  for (std::thread& thread : threads_) thread.join();
  MutexLock lock(mu_);
  while (scheduler_.running() > 0) idle_.Wait(mu_);
}

void Executor::Submit(Task task) {
  const TaskInfo info{
      .task_class = task.task_class, .deadline_ns = task.deadline_ns, .predicted_ns = task.predicted_ns};
  Submit(NewId(), info, Inline::kIfShort, std::make_unique<FunctionJob>(std::move(task)));
}

void Executor::Submit(uint64_t id, const TaskInfo& info, Inline how, std::unique_ptr<Job> job) {
  bool may_inline = how == Inline::kAlways;
  if (how == Inline::kIfShort) {
    const int64_t predicted_ns =
        info.profile != nullptr ? info.profile->Predict(info.size, 1).p50_ns : info.predicted_ns;
    may_inline = predicted_ns > 0 && predicted_ns < options_.inline_below_ns;
  }
  EventTurn* const turn = how == Inline::kIfShort && may_inline ? EventTurn::Current() : nullptr;
  const int64_t now_ns = clock_.MonotonicNs();
  Execution started;
  Dropped refused;
  std::unique_ptr<Job> displaced;
  bool wake = false;
  {
    MutexLock lock(mu_);
    if (stopping_) {
      refused = {.refusal = Refusal::kStopping, .status = Unavailable("the server is shutting down")};
    } else if (turn == nullptr && may_inline && scheduler_.StartNow(info, now_ns, &decision_)) {
      started = Execution(this, decision_);
    } else {
      // Behind others it waits as they do.
      const bool put_off = turn != nullptr && scheduler_.queued() == put_off_;
      const Admission admission = scheduler_.Add(id, info, now_ns);
      if (admission.refusal != Refusal::kNone) {
        refused = Explain(admission.refusal, admission, info, now_ns);
      } else {
        job->OnQueued(admission);
        jobs_.emplace(id, Waiting{std::move(job), put_off});
        displaced = TakeJob(admission.displaced);
        if (put_off) {
          ++put_off_;
          turn->AtEnd(this, [this] { RunPutOff(); });
        } else {
          wake = WantsThread(now_ns);
        }
      }
    }
  }
  if (wake) work_.NotifyOne();
  if (displaced != nullptr) {
    displaced->Drop(
        {.refusal = Refusal::kQueueFull,
         .status = Unavailable("the queue is full and made room for a request of a higher priority")});
  }
  if (job == nullptr) return;
  if (refused.refusal != Refusal::kNone) return job->Drop(std::move(refused));
  Job* const runner = job.get();
  runner->Run(std::move(job), {}, std::move(started));
}

void Executor::Cancel(uint64_t id) {
  {
    MutexLock lock(mu_);
    if (!scheduler_.Remove(id)) return;
    cancelled_.push_back(TakeJob(id));
  }
  work_.NotifyOne();
}

bool Executor::End(uint64_t execution) {
  MutexLock lock(mu_);
  const bool own = scheduler_.Finish(execution, clock_.MonotonicNs());
  // A thread of this executor looks for work itself once its Run returns.
  if (current_executor != this && WantsThread(clock_.MonotonicNs())) work_.NotifyOne();
  // Notified under the lock: the destructor may run as soon as it is free.
  if (stopping_ && scheduler_.running() == 0) idle_.NotifyAll();
  return own;
}

std::unique_ptr<Job> Executor::TakeJob(uint64_t id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return nullptr;
  std::unique_ptr<Job> job = std::move(it->second.job);
  if (it->second.put_off) --put_off_;
  jobs_.erase(it);
  return job;
}

bool Executor::TakeReady(Ready* out) {
  const int64_t now_ns = clock_.MonotonicNs();
  if (!cancelled_.empty()) {
    out->jobs.swap(cancelled_);
    out->dropped = {.refusal = Refusal::kCancelled,
                    .status = Cancelled("the client went away while the request waited")};
    return true;
  }
  scheduler_.Next(now_ns, &decision_);
  if (decision_.kind == Decision::Kind::kNothing) return false;
  for (const uint64_t id : decision_.tasks) out->jobs.push_back(TakeJob(id));
  if (decision_.kind == Decision::Kind::kStart) {
    out->execution = Execution(this, decision_);
    return true;
  }
  out->dropped = Explain(decision_.refusal, {}, {}, now_ns);
  return true;
}

// Whether a thread that sleeps should look: something can start, or nobody waits for the next drop.
bool Executor::WantsThread(int64_t now_ns) const {
  if (sleeping_ == 0) return false;
  const int64_t alarm_ns = NextAlarmNs(now_ns);
  return scheduler_.CanStart(now_ns) || (alarm_ns > 0 && (alarm_ns_ == 0 || alarm_ns < alarm_ns_));
}

// When there is something to do although nothing changes; 0 = never.
int64_t Executor::NextAlarmNs(int64_t now_ns) const {
  const int64_t drop_ns = scheduler_.NextDropNs();
  const int64_t held_ns = scheduler_.HeldUntilNs(now_ns);
  const int64_t alarm_ns = drop_ns == 0 ? 0 : drop_ns + kDropSlackNs;
  return alarm_ns == 0 || (held_ns > 0 && held_ns < alarm_ns) ? held_ns : alarm_ns;
}

// Sleeps until something changes; one thread at a time also until the alarm.
void Executor::WaitForWork() {
  const int64_t now_ns = clock_.MonotonicNs();
  const int64_t alarm_ns = NextAlarmNs(now_ns);
  ++sleeping_;
  if (alarm_ns == 0 || (alarm_ns_ > 0 && alarm_ns_ <= alarm_ns)) {
    work_.Wait(mu_);
  } else {
    alarm_ns_ = alarm_ns;
    work_.WaitFor(mu_, std::chrono::nanoseconds(std::clamp<int64_t>(alarm_ns - now_ns, 0, kLongestSleepNs)));
    if (alarm_ns_ == alarm_ns) alarm_ns_ = 0;
  }
  --sleeping_;
}

void Executor::WorkerLoop() {
  current_executor = this;
  while (true) {
    Ready ready;
    bool more = false;
    {
      MutexLock lock(mu_);
      while (!TakeReady(&ready)) {
        if (stopping_) return;
        WaitForWork();
      }
      more = WantsThread(clock_.MonotonicNs());
    }
    // The next decision is another thread's while this one runs.
    if (more) work_.NotifyOne();
    Start(std::move(ready));
  }
}

void Executor::Start(Ready ready) {
  if (ready.dropped.refusal != Refusal::kNone) {
    for (const auto& job : ready.jobs) job->Drop(ready.dropped);
    return;
  }
  std::unique_ptr<Job> first = std::move(ready.jobs.front());
  ready.jobs.erase(ready.jobs.begin());
  Job* const runner = first.get();
  runner->Run(std::move(first), std::move(ready.jobs), std::move(ready.execution));
}

void Executor::RunPutOff() {
  // What an execution that ends here leaves free, this thread takes itself.
  const Executor* const before = std::exchange(current_executor, this);
  while (true) {
    Ready ready;
    bool wake = false;
    bool mine = false;
    {
      MutexLock lock(mu_);
      mine = TakePutOff(&ready, &wake);
    }
    if (wake) work_.NotifyOne();
    if (!mine) break;
    Start(std::move(ready));
  }
  current_executor = before;
}

bool Executor::TakePutOff(Ready* out, bool* wake) {
  if (put_off_ == 0) return false;
  const int64_t now_ns = clock_.MonotonicNs();
  // Among other work, or when no slot is free, the executor's own threads decide when its time has come.
  const bool mine = scheduler_.queued() == put_off_ && TakeReady(out);
  *wake = (!mine || scheduler_.WaitNs(now_ns) > kShareBeyondNs) && WantsThread(now_ns);
  return mine;
}

Dropped Executor::Explain(Refusal refusal, const Admission& admission, const TaskInfo& info,
                          int64_t now_ns) const {
  const std::string left = Ms(info.deadline_ns - now_ns);
  switch (refusal) {
    case Refusal::kQueueFull:
      return {refusal,
              Unavailable("the queue is full (" + std::to_string(admission.queued) +
                          " requests wait, predicted wait " + Ms(admission.wait_ns) + "): retry later"),
              admission.wait_ns};
    case Refusal::kPast:
      return {refusal, DeadlineExceeded("the deadline passed before the request arrived"), 0};
    case Refusal::kTooShort:
      return {refusal,
              DeadlineExceeded("the deadline is " + left +
                               " away, and the model is predicted to take longer for this input"),
              0};
    case Refusal::kNoTime:
      return {refusal,
              Unavailable("the deadline is " + left + " away, the predicted wait " + Ms(admission.wait_ns) +
                          " (" + std::to_string(admission.queued) +
                          " requests wait): retry later, or give it more time"),
              admission.wait_ns};
    case Refusal::kExpired:
      return {refusal, DeadlineExceeded("the request waited until it could not be on time any more"), 0};
    case Refusal::kCancelled:
      return {refusal, Cancelled("the client went away while the request waited"), 0};
    default:
      return {refusal, Unavailable("the server is shutting down"), 0};
  }
}

size_t Executor::queued() const {
  MutexLock lock(mu_);
  return scheduler_.queued();
}

size_t Executor::running() const {
  MutexLock lock(mu_);
  return scheduler_.running();
}

int Executor::busy_slots() const {
  MutexLock lock(mu_);
  return scheduler_.busy_slots();
}

}  // namespace mlos::sched
