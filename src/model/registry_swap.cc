// SPDX-License-Identifier: Apache-2.0
// Registering, replacing and forgetting models.
#include <chrono>
#include <future>
#include <utility>

#include "model/latest.h"
#include "model/registry.h"

namespace mlos::model {

using resources::Lease;
using resources::LeaseId;

class Registry::Changing {
 public:
  Changing(Registry& registry, std::string id) : registry_(registry), id_(std::move(id)) {
    MutexLock lock(registry_.mu_);
    while (!registry_.changing_.insert(id_).second) registry_.changed_.Wait(registry_.mu_);
  }
  ~Changing() {
    MutexLock lock(registry_.mu_);
    registry_.changing_.erase(id_);
    registry_.changed_.NotifyAll();
  }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  Registry& registry_;
  const std::string id_;
};

Result<Lease> Registry::ReserveFor(const PreparedLoad& prepared, std::vector<LeaseId> spare) {
  const auto promise = std::make_shared<std::promise<Result<Lease>>>();
  std::future<Result<Lease>> granted = promise->get_future();
  const auto ticket =
      broker_->Reserve(prepared.demand, {.spare = std::move(spare)},
                       [promise](Result<Lease> lease) { promise->set_value(std::move(lease)); });
  WakeKeeper();
  const auto limit = std::chrono::nanoseconds(options_.load_timeout_ns);
  if (granted.wait_for(limit) == std::future_status::timeout) {
    const std::string reason = broker_->WhyWaiting(ticket);
    if (broker_->Cancel(ticket)) {
      return Unavailable("no memory came free in " + std::to_string(options_.load_timeout_ns / 1'000'000) +
                         " ms: " + reason);
    }
  }
  return granted.get();
}

// The old model leaves first. Requests wait meanwhile.
Result<Lease> Registry::ReserveInPlace(const PreparedLoad& prepared, const EntryPtr& old,
                                       SwapReport* report) {
  std::shared_future<void> gone;
  std::shared_ptr<LoadedModel> model;
  {
    MutexLock lock(mu_);
    old->swapping = true;
    model = old->model;
    gone = old->gone;
    if (model != nullptr) model->leave_when_idle.store(true);
  }
  report->in_place = true;
  if (model != nullptr) LeaveIfIdle(model, resources::EvictReason::kRoom);
  model.reset();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::nanoseconds(options_.load_timeout_ns);
  bool left = false;
  while (!left && std::chrono::steady_clock::now() < limit) {
    MutexLock lock(mu_);
    left = old->model == nullptr;
    // Woken when the last user is done.
    if (!left) changed_.WaitFor(mu_, std::chrono::milliseconds(20));
  }
  if (!left) return Unavailable("the requests in flight on the old model did not end in time");
  if (gone.valid()) gone.wait();
  return ReserveFor(prepared, {});
}

// Whatever came of it: requests go on, with the model that is there, or by loading what is registered.
void Registry::EndSwap(const EntryPtr& entry) {
  Later later;
  {
    MutexLock lock(mu_);
    if (!entry->swapping) return;
    entry->swapping = false;
    if (entry->model != nullptr) {
      entry->model->leave_when_idle.store(false);
      AnswerWaitersLocked(*entry, OkStatus(), 0, &later);
    } else if (!entry->waiters.empty() && !entry->removed && !closing_ &&
               (entry->state == State::kRegistered || entry->state == State::kFailed)) {
      StartLoadLocked(entry);
    }
  }
  for (const auto& answer : later) answer();
}

Result<Handle> Registry::Register(Registration registration, SwapReport* report) {
  registration.id = CanonicalModelId(registration.id);
  SwapReport ignored;
  if (report == nullptr) report = &ignored;
  const Changing changing(*this, registration.id);
  MLOS_ASSIGN_OR_RETURN(const PreparedLoad prepared, PrepareLoad(registration, *plugins_, estimates_));
  EntryPtr old;
  std::vector<LeaseId> spare;
  {
    MutexLock lock(mu_);
    if (const auto it = entries_.find(registration.id); it != entries_.end()) old = it->second;
    if (old != nullptr && old->model != nullptr) {
      report->replaced = true;
      spare.push_back(old->model->lease.id());
    }
  }
  Result<Lease> lease = ReserveFor(prepared, spare);
  if (!lease.ok() && lease.status().code() == Code::kUnavailable && report->replaced) {
    report->note = "no memory for the old and the new model at once (" + lease.status().message() +
                   "): requests waited while the old one left and the new one was loaded";
    lease = ReserveInPlace(prepared, old, report);
  }
  Result<std::unique_ptr<LoadedModel>> loaded = lease.ok()
                                                    ? LoadAndCommit(prepared, std::move(lease).value())
                                                    : Result<std::unique_ptr<LoadedModel>>(lease.status());
  if (loaded.ok()) {
    if (registration.registered_unix_ns == 0) registration.registered_unix_ns = clock_.UnixNs();
    if (Status kept = catalog_->Put(registration); !kept.ok()) loaded = std::move(kept);
  }
  if (!loaded.ok()) {
    if (old != nullptr) EndSwap(old);
    const std::string unchanged = report->in_place ? "; the old model stays registered and loads again" : "";
    return Status(loaded.status().code(), loaded.status().message() + unchanged);
  }
  return TakeOver(std::move(registration), std::move(loaded).value());
}

Result<Handle> Registry::TakeOver(Registration registration, std::unique_ptr<LoadedModel> loaded) {
  Later later;
  std::shared_ptr<LoadedModel> left;
  Handle handle;
  EntryPtr old;
  std::pair<resources::MemoryBroker::Ticket, uint64_t> ticket;
  {
    MutexLock lock(mu_);
    auto entry = std::make_shared<Entry>();
    entry->registration = std::move(registration);
    EntryPtr& place = entries_[entry->registration.id];
    if (place != nullptr) {
      old = place;
      old->removed = true;
      left = std::move(old->model);
      ticket = {old->ticket, old->serial};
      entry->waiters = std::exchange(old->waiters, {});
      entry->loads = old->loads;
      entry->unloads = old->unloads + (left != nullptr ? 1 : 0);
    }
    place = entry;
    PublishLocked(*entry, std::move(loaded));
    handle = PinLocked(*entry, std::nullopt);
    AnswerWaitersLocked(*entry, OkStatus(), 0, &later);
    changed_.NotifyAll();
  }
  // Its users, if there are any, hold it from here on.
  left.reset();
  if (ticket.first != 0) CancelTicket(old, ticket.first, ticket.second);
  for (const auto& answer : later) answer();
  WakeKeeper();
  return handle;
}

Status Registry::Unregister(const std::string& id) {
  std::string key;
  {
    MutexLock lock(mu_);
    const EntryPtr entry = FindLocked(id);
    if (entry == nullptr) return UnknownModel(id);
    key = entry->registration.id;
  }
  const Changing changing(*this, key);
  MLOS_RETURN_IF_ERROR(catalog_->Remove(key));
  EntryPtr entry;
  std::shared_ptr<LoadedModel> left;
  std::shared_future<void> gone;
  Later later;
  std::pair<resources::MemoryBroker::Ticket, uint64_t> ticket;
  bool was_latest = false;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return UnknownModel(key);
    entry = it->second;
    entries_.erase(it);
    entry->removed = true;
    left = std::move(entry->model);
    gone = entry->gone;
    ticket = {entry->ticket, entry->serial};
    AnswerWaitersLocked(*entry, NotFound("model '" + key + "' was unregistered"), 0, &later);
    if (const auto chosen = latest_.find(NameOf(key)); chosen != latest_.end() && chosen->second == key) {
      latest_.erase(chosen);
      was_latest = true;
    }
  }
  left.reset();
  for (const auto& answer : later) answer();
  if (was_latest) MLOS_RETURN_IF_ERROR(catalog_->PutLatest(std::string(NameOf(key)), ""));
  if (ticket.first != 0) CancelTicket(entry, ticket.first, ticket.second);
  {
    MutexLock lock(mu_);
    while (entry->state == State::kLoading || entry->state == State::kWaiting) changed_.Wait(mu_);
  }
  if (gone.valid()) gone.wait();
  return OkStatus();
}

Status Registry::SetPinned(const std::string& id, bool pinned) {
  Registration registration;
  {
    MutexLock lock(mu_);
    const EntryPtr entry = FindLocked(id);
    if (entry == nullptr) return UnknownModel(id);
    registration = entry->registration;
  }
  const Changing changing(*this, registration.id);
  registration.pinned = pinned;
  MLOS_RETURN_IF_ERROR(catalog_->Put(registration));
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(registration.id);
    if (it == entries_.end()) return UnknownModel(id);
    it->second->registration.pinned = pinned;
  }
  WakeKeeper();
  broker_->Pump();
  return OkStatus();
}

Status Registry::SetLatest(const std::string& id) {
  const std::string name(NameOf(id));
  const bool choose = VersionOf(id) != "";
  {
    MutexLock lock(mu_);
    if (choose && !entries_.contains(id)) return UnknownModel(id);
    if (!choose && LatestLocked(name).empty()) return UnknownModel(id);
  }
  MLOS_RETURN_IF_ERROR(catalog_->PutLatest(name, choose ? id : ""));
  MutexLock lock(mu_);
  if (choose) {
    latest_[name] = id;
  } else {
    latest_.erase(name);
  }
  return OkStatus();
}

}  // namespace mlos::model
