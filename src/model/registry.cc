// SPDX-License-Identifier: Apache-2.0
#include "model/registry.h"

#include <future>
#include <utility>

#include "model/latest.h"
#include "package/ref.h"
#include "package/store.h"

namespace mlos::model {
namespace {

// A moving average over some ten uses.
void ObserveUse(std::atomic<int64_t>* average_ns, int64_t used_ns) {
  const int64_t old = average_ns->load(std::memory_order_relaxed);
  average_ns->store(old == 0 ? std::max<int64_t>(used_ns, 1) : old + (used_ns - old) / 8,
                    std::memory_order_relaxed);
}

}  // namespace

std::string CanonicalModelId(const std::string& id) {
  return id.find('@') == std::string::npos ? id + "@latest" : id;
}

Result<std::string> ParseModelId(const std::string& id) {
  MLOS_ASSIGN_OR_RETURN(const package::ModelRef ref, package::ParseModelRef(id));
  return ref.ToString();
}

Result<std::vector<Registration>> FindInstalled(const std::filesystem::path& root) {
  MLOS_ASSIGN_OR_RETURN(const std::unique_ptr<package::Store> store, package::Store::Open(root));
  MLOS_ASSIGN_OR_RETURN(const std::vector<package::InstalledPackage> packages, store->List());
  std::vector<Registration> out;
  for (const package::InstalledPackage& package : packages) {
    out.push_back({.id = package.ref.ToString(), .path = package.dir.string()});
  }
  return out;
}

Result<std::unique_ptr<Registry>> Registry::Open(std::unique_ptr<Catalog> catalog,
                                                 std::unique_ptr<plugin::PluginRegistry> plugins,
                                                 const RegistryOptions& options, Clock& clock) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<Registration> rows, catalog->List());
  MLOS_ASSIGN_OR_RETURN(const auto latest, catalog->ListLatest());
  std::unique_ptr<Registry> registry(new Registry(std::move(catalog), std::move(plugins), options, clock));
  MutexLock lock(registry->mu_);
  registry->latest_.insert(latest.begin(), latest.end());
  for (const Registration& row : rows) {
    auto entry = std::make_shared<Entry>();
    entry->registration = row;
    registry->entries_[row.id] = std::move(entry);
  }
  return registry;
}

Registry::Registry(std::unique_ptr<Catalog> catalog, std::unique_ptr<plugin::PluginRegistry> plugins,
                   const RegistryOptions& options, Clock& clock)
    : catalog_(std::move(catalog)),
      plugins_(std::move(plugins)),
      options_(options),
      clock_(clock),
      own_broker_(options.broker == nullptr
                      ? std::make_unique<resources::MemoryBroker>(resources::BrokerOptions{}, clock)
                      : nullptr),
      broker_(own_broker_ != nullptr ? own_broker_.get() : options.broker),
      loader_(options.loader_threads) {
  broker_->SetOwner(this);
  keeper_ = std::thread([this] { KeeperLoop(); });
}

Registry::~Registry() {
  Close();
  std::map<std::string, EntryPtr, std::less<>> entries;
  {
    MutexLock lock(mu_);
    entries.swap(entries_);
  }
  broker_->SetOwner(nullptr);
}

void Registry::Close() {
  Later later;
  std::vector<std::pair<EntryPtr, std::pair<resources::MemoryBroker::Ticket, uint64_t>>> tickets;
  {
    MutexLock lock(mu_);
    if (std::exchange(closing_, true)) return;
    for (const auto& [id, entry] : entries_) {
      AnswerWaitersLocked(*entry, Unavailable("the server is shutting down"), 0, &later);
      if (entry->ticket != 0) tickets.push_back({entry, {entry->ticket, entry->serial}});
    }
    keeper_wake_.NotifyAll();
  }
  for (const auto& answer : later) answer();
  keeper_.join();
  for (const auto& [entry, ticket] : tickets) CancelTicket(entry, ticket.first, ticket.second);
  loader_.Stop();
  MutexLock lock(mu_);
  // A grant that is being called on another thread.
  while (reservations_ > 0) changed_.Wait(mu_);
}

size_t Registry::waiting() const {
  MutexLock lock(mu_);
  return waiting_;
}

std::string_view Registry::LatestLocked(std::string_view name) const {
  const auto chosen = latest_.find(name);
  std::vector<VersionRow> rows;
  // All versions of a name stand together: "name@" sorts before every "name@version".
  const std::string prefix = std::string(name) + "@";
  for (auto it = entries_.lower_bound(prefix); it != entries_.end() && it->first.starts_with(prefix); ++it)
    rows.push_back({it->first, it->second->registration.registered_unix_ns});
  return LatestOf(name, rows, chosen == latest_.end() ? std::string_view() : chosen->second);
}

Registry::EntryPtr Registry::FindLocked(std::string_view id) const {
  const bool latest = MeansLatest(id);
  // Without a choice a literal "@latest" is what latest means: no need to look further.
  if (!latest || (latest_.empty() && id.size() > NameOf(id).size())) {
    if (const auto it = entries_.find(id); it != entries_.end()) return it->second;
  }
  if (!latest) return nullptr;
  const auto it = entries_.find(LatestLocked(NameOf(id)));
  return it == entries_.end() ? nullptr : it->second;
}

Handle Registry::PinLocked(Entry& entry, const std::optional<int64_t>& keep_alive_ns) {
  const std::shared_ptr<LoadedModel>& model = entry.model;
  if (keep_alive_ns) model->keep_alive_ns.store(*keep_alive_ns, std::memory_order_relaxed);
  model->users.fetch_add(1, std::memory_order_relaxed);
  const int64_t now_ns = clock_.MonotonicNs();
  model->last_used_ns.store(now_ns, std::memory_order_relaxed);
  return Handle(model.get(), [this, model, now_ns](LoadedModel*) { Unpin(model, now_ns); });
}

void Registry::Unpin(const std::shared_ptr<LoadedModel>& model, int64_t since_ns) {
  const int64_t now_ns = clock_.MonotonicNs();
  ObserveUse(&model->use_ns, now_ns - since_ns);
  model->last_used_ns.store(now_ns, std::memory_order_relaxed);
  if (model->users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const int64_t keep_alive_ns = model->keep_alive_ns.load(std::memory_order_relaxed);
  if (model->leave_when_idle.load()) {
    LeaveIfIdle(model, resources::EvictReason::kAsked);
  } else if (keep_alive_ns == 0) {
    LeaveIfIdle(model, resources::EvictReason::kKeepAlive);
  } else if (keep_alive_ns > 0 && keep_alive_ns < next_wake_ns_.load(std::memory_order_relaxed) - now_ns) {
    WakeKeeper();
  }
  broker_->Pump();
}

Result<Handle> Registry::AcquireReady(std::string_view id) {
  MutexLock lock(mu_);
  const EntryPtr entry = FindLocked(id);
  if (entry == nullptr) return UnknownModel(id);
  return Usable(*entry) ? PinLocked(*entry, std::nullopt) : Handle();
}

void Registry::Acquire(const std::string& id, AcquireOptions options, AcquireCallback done) {
  Result<Handle> answer = Handle();
  bool waits = false;
  {
    MutexLock lock(mu_);
    const EntryPtr entry = FindLocked(id);
    if (entry == nullptr) {
      answer = UnknownModel(id);
    } else if (closing_) {
      answer = Unavailable("the server is shutting down");
    } else if (Usable(*entry)) {
      answer = PinLocked(*entry, options.keep_alive_ns);
    } else if (waiting_ >= options_.max_waiting) {
      answer = Unavailable(std::to_string(waiting_) +
                           " requests wait for models to be loaded already: retry later");
    } else {
      waits = true;
      ++waiting_;
      entry->waiters.push_back({std::move(done), std::move(options), clock_.MonotonicNs()});
      const bool at_rest = entry->state == State::kRegistered || entry->state == State::kFailed;
      if (at_rest && !entry->swapping) StartLoadLocked(entry);
    }
  }
  if (waits) {
    WakeKeeper();
  } else {
    done(std::move(answer), 0);
  }
}

Result<Handle> Registry::AcquireOrLoad(const std::string& id, AcquireOptions options) {
  std::promise<Result<Handle>> promise;
  Acquire(id, std::move(options),
          [&promise](Result<Handle> handle, int64_t) { promise.set_value(std::move(handle)); });
  return promise.get_future().get();
}

Status Registry::UnknownModel(std::string_view id) const {
  std::string known;
  int shown = 0;
  for (const auto& [other, entry] : entries_) {
    if (++shown > 5) {
      known += ", ...";
      break;
    }
    known += (known.empty() ? "" : ", ") + other;
  }
  return NotFound("model '" + std::string(id) +
                  "' is not registered; registered: " + (known.empty() ? "none" : known));
}

Snapshot Registry::SnapshotOf(const Entry& entry) const {
  Snapshot out{.registration = entry.registration,
               .state = entry.state,
               .error = entry.error.ok() ? "" : entry.error.message(),
               .model = entry.model,
               .interface = entry.interface,
               .facts = entry.facts,
               .draining = entry.draining || entry.swapping,
               .is_latest = LatestLocked(NameOf(entry.registration.id)) == entry.registration.id,
               .waiters = entry.waiters.size(),
               .loads = entry.loads,
               .unloads = entry.unloads,
               .load_ns = entry.load_ns};
  if (entry.ticket != 0) out.waits_for = broker_->WhyWaiting(entry.ticket, &out.predicted_ns);
  return out;
}

std::vector<Snapshot> Registry::List() const {
  MutexLock lock(mu_);
  std::vector<Snapshot> out;
  for (const auto& [id, entry] : entries_) out.push_back(SnapshotOf(*entry));
  return out;
}

Result<Snapshot> Registry::Get(const std::string& id) const {
  MutexLock lock(mu_);
  const EntryPtr entry = FindLocked(id);
  if (entry == nullptr) return UnknownModel(id);
  return SnapshotOf(*entry);
}

}  // namespace mlos::model
