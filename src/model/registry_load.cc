// SPDX-License-Identifier: Apache-2.0
// From a registration to a loaded model: estimate, reserve, load, measure, commit.
#include <utility>

#include "model/registry.h"

namespace mlos::model {

using resources::Lease;

void Registry::StartLoadLocked(const EntryPtr& entry) {
  entry->state = State::kLoading;
  const uint64_t serial = ++entry->serial;
  loader_.Run([this, entry, serial] { PrepareAndReserve(entry, serial); });
}

void Registry::PrepareAndReserve(const EntryPtr& entry, uint64_t serial) {
  Registration registration;
  {
    MutexLock lock(mu_);
    registration = entry->registration;
  }
  Result<PreparedLoad> prepared = PrepareLoad(registration, *plugins_, estimates_);
  if (!prepared.ok()) return FinishLoad(entry, prepared.status());
  const auto shared = std::make_shared<PreparedLoad>(std::move(prepared).value());
  bool stop = false;
  {
    MutexLock lock(mu_);
    stop = closing_ || entry->removed;
    if (!stop) {
      entry->state = State::kWaiting;
      ++reservations_;
    }
  }
  if (stop) return FinishLoad(entry, Unavailable("the server is shutting down"), true);
  const auto ticket = broker_->Reserve(shared->demand, [this, entry, shared](Result<Lease> lease) {
    Granted(entry, shared, std::move(lease));
    ReservationDone();
  });
  bool cancel = false;
  {
    MutexLock lock(mu_);
    if (entry->serial != serial || entry->state != State::kWaiting) return;
    entry->ticket = ticket;
    // Closed, removed, or left by all who waited, while there was no ticket to cancel by.
    cancel = closing_ || entry->removed || entry->waiters.empty();
  }
  if (cancel) CancelTicket(entry, ticket, serial);
}

void Registry::Granted(const EntryPtr& entry, const std::shared_ptr<PreparedLoad>& prepared,
                       Result<Lease> lease) {
  // What is in the way of memory may be gone the next time: the model itself has not failed.
  if (!lease.ok()) return FinishLoad(entry, lease.status(), lease.status().code() == Code::kUnavailable);
  bool stop = false;
  {
    MutexLock lock(mu_);
    entry->state = State::kLoading;
    entry->ticket = 0;
    stop = closing_ || entry->removed;
  }
  if (stop) return FinishLoad(entry, Unavailable("the server is shutting down"), true);
  const auto held = std::make_shared<Lease>(std::move(lease).value());
  const bool runs = loader_.Run(
      [this, entry, prepared, held] { FinishLoad(entry, LoadAndCommit(*prepared, std::move(*held))); });
  if (!runs) FinishLoad(entry, Unavailable("the server is shutting down"), true);
}

Result<std::unique_ptr<LoadedModel>> Registry::LoadAndCommit(const PreparedLoad& prepared, Lease lease) {
  MLOS_ASSIGN_OR_RETURN(std::unique_ptr<LoadedModel> loaded,
                        LoadPrepared(prepared, *plugins_, std::move(lease)));
  const MeasuredMemory found = Measure(*loaded->instance);
  uint64_t private_bytes =
      found.known ? found.private_bytes + prepared.estimate.per_call_bytes : prepared.demand.private_bytes;
  std::optional<std::vector<resources::SharedBytes>> shared;
  // A load may leave a cache behind that the model then maps: what holds from now on can be less than what loading took.
  const auto now = prepared.estimate_is_fresh
                       ? estimates_.Renew(*plugins_, prepared.plugin_id, prepared.options)
                       : Result<plugin::Estimate>(prepared.estimate);
  if (now.ok()) {
    shared = SharedOf(prepared, now->mapped_bytes);
    if (!found.known && now->private_bytes < prepared.estimate.private_bytes)
      private_bytes = now->private_bytes + prepared.estimate.per_call_bytes;
  }
  MLOS_RETURN_IF_ERROR(broker_->Commit(loaded->lease, private_bytes, shared));
  return loaded;
}

void Registry::PublishLocked(Entry& entry, std::unique_ptr<LoadedModel> loaded) {
  loaded->keep_alive_ns = entry.registration.keep_alive_ns.value_or(options_.keep_alive_ns);
  loaded->last_used_ns = clock_.MonotonicNs();
  entry.interface = loaded->interface;
  entry.facts = {loaded->name, loaded->version, loaded->framework, loaded->execution_format,
                 loaded->plugin_id};
  entry.load_ns = loaded->load_ns;
  std::tie(entry.model, entry.gone) = reaper_.Share(std::move(loaded));
  entry.state = State::kReady;
  entry.error = OkStatus();
  entry.draining = false;
  ++entry.loads;
}

void Registry::AnswerWaitersLocked(Entry& entry, const Status& error, int64_t retry_after_ns, Later* later) {
  waiting_ -= entry.waiters.size();
  for (Waiting& waiting : std::exchange(entry.waiters, {})) {
    if (error.ok()) {
      // Moved on, so that no copy keeps the model busy after the one who asked has let go.
      later->push_back([done = std::move(waiting.done),
                        handle = PinLocked(entry, waiting.options.keep_alive_ns)]() mutable {
        done(std::move(handle), 0);
      });
    } else {
      later->push_back(
          [done = std::move(waiting.done), error, retry_after_ns] { done(error, retry_after_ns); });
    }
  }
}

void Registry::FinishLoad(const EntryPtr& entry, Result<std::unique_ptr<LoadedModel>> loaded, bool refused) {
  Later later;
  {
    MutexLock lock(mu_);
    entry->ticket = 0;
    if (!loaded.ok()) {
      const Status error = loaded.status().WithContext("loading model '" + entry->registration.id + "'");
      entry->state = refused ? State::kRegistered : State::kFailed;
      entry->error = refused ? OkStatus() : error;
      AnswerWaitersLocked(*entry, error, 0, &later);
    } else if (entry->removed || closing_) {
      entry->state = State::kRegistered;
      AnswerWaitersLocked(*entry, NotFound("model '" + entry->registration.id + "' was unregistered"), 0,
                          &later);
    } else {
      PublishLocked(*entry, std::move(loaded).value());
      AnswerWaitersLocked(*entry, OkStatus(), 0, &later);
    }
    changed_.NotifyAll();
  }
  for (const auto& answer : later) answer();
  WakeKeeper();
}

void Registry::ReservationDone() {
  MutexLock lock(mu_);
  --reservations_;
  changed_.NotifyAll();
}

void Registry::CancelTicket(const EntryPtr& entry, resources::MemoryBroker::Ticket ticket, uint64_t serial) {
  if (!broker_->Cancel(ticket)) return;
  {
    MutexLock lock(mu_);
    if (entry->serial == serial && entry->state == State::kWaiting) {
      entry->ticket = 0;
      entry->state = State::kRegistered;
      // Somebody came while it was cancelled.
      if (!entry->waiters.empty() && !closing_ && !entry->removed) StartLoadLocked(entry);
    }
    changed_.NotifyAll();
  }
  ReservationDone();
}

}  // namespace mlos::model
