// SPDX-License-Identifier: Apache-2.0
// When models leave, and what is done about those who wait too long.
#include <algorithm>
#include <limits>
#include <utility>

#include "model/registry.h"

namespace mlos::model {

using resources::EvictReason;
using resources::LeaseId;
using resources::LeaseUse;
using resources::Use;

namespace {

// While something waits for memory: how often clients that went away, deadlines and the fairness of the line are looked at.
constexpr int64_t kWatchNs = 20'000'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

}  // namespace

void Registry::WakeKeeper() {
  MutexLock lock(mu_);
  keeper_woken_ = true;
  keeper_wake_.NotifyOne();
}

void Registry::KeeperLoop() {
  while (true) {
    Tick();
    // Whoever becomes idle from here on wakes this thread.
    next_wake_ns_.store(kNever, std::memory_order_relaxed);
    const int64_t next_ns = NextWakeNs();
    MutexLock lock(mu_);
    if (closing_) return;
    next_wake_ns_.store(next_ns, std::memory_order_relaxed);
    if (!keeper_woken_) {
      const int64_t left_ns = std::clamp<int64_t>(next_ns - clock_.MonotonicNs(), 0, 3'600'000'000'000);
      keeper_wake_.WaitFor(mu_, std::chrono::nanoseconds(left_ns));
    }
    keeper_woken_ = false;
    if (closing_) return;
  }
}

int64_t Registry::NextWakeNs() const {
  const int64_t now_ns = clock_.MonotonicNs();
  if (broker_->Waiting()) return now_ns + kWatchNs;
  int64_t next_ns = kNever;
  bool loaded = false;
  MutexLock lock(mu_);
  if (waiting_ > 0) return now_ns + kWatchNs;
  for (const auto& [id, entry] : entries_) {
    if (entry->model == nullptr) continue;
    loaded = true;
    const int64_t keep_ns = entry->model->keep_alive_ns.load();
    if (keep_ns < 0 || entry->registration.pinned || entry->model->users.load() > 0) continue;
    next_ns = std::min(next_ns, std::max(now_ns + 1'000'000, entry->model->last_used_ns.load() + keep_ns));
  }
  return loaded ? std::min(next_ns, now_ns + options_.measure_every_ns) : next_ns;
}

void Registry::Tick() {
  const int64_t now_ns = clock_.MonotonicNs();
  AnswerTheLate(now_ns);
  UnloadTheExpired(now_ns);
  broker_->Pump();
  bool measure = false;
  {
    MutexLock lock(mu_);
    measure = now_ns - measured_ns_ >= options_.measure_every_ns;
    if (measure) measured_ns_ = now_ns;
  }
  if (measure) MeasureLoaded();
}

void Registry::AnswerTheLate(int64_t now_ns) {
  struct Abandoned {
    EntryPtr entry;
    resources::MemoryBroker::Ticket ticket;
    uint64_t serial;
  };
  Later later;
  std::vector<Abandoned> abandoned;
  {
    MutexLock lock(mu_);
    if (waiting_ == 0) return;
    for (const auto& [id, entry] : entries_) {
      std::vector<Waiting> stay;
      for (Waiting& w : std::exchange(entry->waiters, {})) {
        Status late;
        int64_t retry_ns = 0;
        const std::string what = "waited for model '" + id + "' to be loaded";
        const std::string why =
            entry->ticket != 0 ? ": " + broker_->WhyWaiting(entry->ticket, &retry_ns) : "";
        if (w.options.cancel != nullptr && w.options.cancel->cancelled()) {
          late = Cancelled("the client went away while its request " + what);
        } else if (w.options.deadline_ns > 0 && now_ns > w.options.deadline_ns) {
          late = DeadlineExceeded("the deadline passed while the request " + what + why);
        } else if (entry->state != State::kLoading && now_ns - w.since_ns > options_.load_timeout_ns) {
          late = Unavailable("the request " + what + " for " +
                             std::to_string(options_.load_timeout_ns / 1'000'000) + " ms" + why);
        }
        if (late.ok()) {
          stay.push_back(std::move(w));
        } else {
          --waiting_;
          later.push_back(
              [done = std::move(w.done), late, retry_ns] { done(late, std::max<int64_t>(retry_ns, 0)); });
        }
      }
      entry->waiters = std::move(stay);
      if (entry->waiters.empty() && entry->ticket != 0)
        abandoned.push_back({entry, entry->ticket, entry->serial});
    }
  }
  for (const auto& answer : later) answer();
  for (const Abandoned& a : abandoned) CancelTicket(a.entry, a.ticket, a.serial);
}

void Registry::UnloadTheExpired(int64_t now_ns) {
  std::vector<std::shared_ptr<LoadedModel>> left;
  {
    MutexLock lock(mu_);
    for (const auto& [id, entry] : entries_) {
      if (entry->model == nullptr || entry->registration.pinned || entry->model->users.load() > 0) continue;
      const int64_t keep_ns = entry->model->keep_alive_ns.load();
      if (keep_ns < 0 || now_ns - entry->model->last_used_ns.load() < keep_ns) continue;
      left.push_back(DropLocked(entry));
    }
  }
  for (const auto& model : left) broker_->Left(model->lease.id(), EvictReason::kKeepAlive);
}

void Registry::MeasureLoaded() {
  std::vector<std::shared_ptr<LoadedModel>> loaded;
  {
    MutexLock lock(mu_);
    for (const auto& [id, entry] : entries_) {
      if (entry->model != nullptr) loaded.push_back(entry->model);
    }
  }
  for (const std::shared_ptr<LoadedModel>& model : loaded) {
    const MeasuredMemory found = Measure(*model->instance);
    if (found.known) broker_->Correct(model->lease.id(), found.private_bytes);
  }
}

std::shared_ptr<LoadedModel> Registry::DropLocked(const EntryPtr& entry) {
  std::shared_ptr<LoadedModel> left = std::move(entry->model);
  entry->model = nullptr;
  entry->state = State::kRegistered;
  entry->draining = false;
  ++entry->unloads;
  if (!entry->waiters.empty() && !entry->swapping && !closing_) StartLoadLocked(entry);
  changed_.NotifyAll();
  return left;
}

bool Registry::LeaveIfIdle(const std::shared_ptr<LoadedModel>& model, EvictReason reason) {
  std::shared_ptr<LoadedModel> left;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(model->id);
    if (it == entries_.end() || it->second->model != model || model->users.load() > 0) return false;
    const bool wanted = model->leave_when_idle.load() || model->keep_alive_ns.load() == 0;
    if (!wanted || (it->second->registration.pinned && !it->second->swapping)) return false;
    // A drain ends like this: the memory is for somebody else.
    if (it->second->draining) reason = EvictReason::kRoom;
    left = DropLocked(it->second);
  }
  broker_->Left(left->lease.id(), reason);
  return true;
}

std::vector<LeaseUse> Registry::Uses() {
  std::vector<LeaseUse> out;
  MutexLock lock(mu_);
  for (const auto& [id, entry] : entries_) {
    if (entry->model == nullptr) continue;
    const LoadedModel& model = *entry->model;
    LeaseUse use{
        .id = model.lease.id(), .users = model.users.load(), .last_used_ns = model.last_used_ns.load()};
    const int64_t one_ns = model.use_ns.load();
    if (one_ns > 0) use.idle_in_ns = one_ns * use.users;
    use.use = use.users > 0 ? Use::kBusy : Use::kIdle;
    if (entry->draining && use.users > 0) use.use = Use::kDraining;
    if (entry->registration.pinned) use.use = Use::kPinned;
    out.push_back(use);
  }
  return out;
}

bool Registry::Evict(LeaseId id, EvictReason) {
  std::shared_ptr<LoadedModel> left;
  MutexLock lock(mu_);
  for (const auto& [name, entry] : entries_) {
    if (entry->model == nullptr || entry->model->lease.id() != id) continue;
    if (entry->model->users.load() > 0 || entry->registration.pinned) return false;
    left = DropLocked(entry);
    return true;
  }
  return false;
}

bool Registry::Drain(LeaseId id, bool drain) {
  Later later;
  std::shared_ptr<LoadedModel> model;
  {
    MutexLock lock(mu_);
    for (const auto& [name, entry] : entries_) {
      if (entry->model == nullptr || entry->model->lease.id() != id) continue;
      if (drain && entry->registration.pinned) return false;
      model = entry->model;
      entry->draining = drain;
      model->leave_when_idle.store(drain || entry->swapping);
      if (!drain && !entry->swapping) AnswerWaitersLocked(*entry, OkStatus(), 0, &later);
      break;
    }
  }
  for (const auto& answer : later) answer();
  // Its last user may have left in between.
  if (model != nullptr && drain) LeaveIfIdle(model, EvictReason::kRoom);
  return model != nullptr;
}

Result<Registry::UnloadResult> Registry::Unload(const std::string& id) {
  std::shared_ptr<LoadedModel> model;
  std::shared_future<void> gone;
  UnloadResult out;
  {
    MutexLock lock(mu_);
    const EntryPtr entry = FindLocked(id);
    if (entry == nullptr) return UnknownModel(id);
    if (entry->registration.pinned)
      return FailedPrecondition("model '" + entry->registration.id + "' is pinned: unpin it first");
    if (entry->model == nullptr)
      return FailedPrecondition("model '" + entry->registration.id + "' is not loaded");
    model = entry->model;
    gone = entry->gone;
    out.users = model->users.load();
    // Like Ollama's keep_alive 0: whoever asks for it before it has left is still served by it.
    model->keep_alive_ns.store(0);
  }
  out.unloaded = LeaveIfIdle(model, EvictReason::kAsked);
  model.reset();
  if (out.unloaded) gone.wait();
  return out;
}

}  // namespace mlos::model
