// SPDX-License-Identifier: Apache-2.0
// name@version -> model. Keeps registrations, loads models once however many ask, unloads what is idle when its time is up or
// its memory is needed, and lets the requests in flight on an old model finish before it goes.
//
//   registered --Acquire--> loading --estimate--> waiting (for memory) --granted--> loading --ok--> ready
//        ^                     `--error--> failed --Acquire--> loading                                |
//        `----- keep-alive over, memory needed, memory pressure, Unload: only without users ----------'
//
// A model with users (handles that are out) is never unloaded. One that is drained takes no new users: who asks for it
// waits, and it is loaded again for them once it has left and there is memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "model/catalog.h"
#include "model/loaded_model.h"
#include "model/loader_threads.h"
#include "model/reaper.h"
#include "plugin/instance.h"
#include "resources/memory_broker.h"

namespace mlos::model {

enum class State { kRegistered, kWaiting, kLoading, kReady, kFailed };

// Pins the model; may be dropped on any thread, a plugin's own included.
using Handle = std::shared_ptr<LoadedModel>;

// What was found out by loading it, for people.
struct ModelFacts {
  std::string name;
  std::string version;
  std::string framework;
  std::string execution_format;
  std::string plugin_id;
};

struct Snapshot {
  Registration registration;
  State state = State::kRegistered;
  std::string error;                                // kFailed
  std::shared_ptr<LoadedModel> model;               // kReady; does not count as a user
  std::shared_ptr<const ModelInterface> interface;  // null until loaded once
  ModelFacts facts;                                 // empty until loaded once
  bool draining = false;                            // takes no new users
  bool is_latest = false;                           // what the name without a version means
  size_t waiters = 0;                               // requests that wait for it to be loaded
  std::string waits_for;                            // kWaiting: why
  int64_t predicted_ns = -1;                        // kWaiting: how long still; -1 = not known
  uint64_t loads = 0;
  uint64_t unloads = 0;
  int64_t load_ns = 0;  // the last load
};

struct RegistryOptions {
  resources::MemoryBroker* broker = nullptr;  // outlives the registry; null: memory is not limited
  int loader_threads = 2;
  int64_t keep_alive_ns = 300'000'000'000;   // of models whose registration says nothing
  int64_t load_timeout_ns = 60'000'000'000;  // how long a request waits for memory at most
  size_t max_waiting = 10'000;               // requests that wait for models to be loaded
  int64_t measure_every_ns = 5'000'000'000;  // loaded models are measured again
};

struct AcquireOptions {
  int64_t deadline_ns = 0;               // CLOCK_MONOTONIC; 0 = none
  std::shared_ptr<CancelToken> cancel;   // may be null
  std::optional<int64_t> keep_alive_ns;  // from now on, until somebody says otherwise; negative = for ever
};

// How Register replaced a model that was there.
struct SwapReport {
  bool replaced = false;  // there was a loaded one
  bool in_place =
      false;  // there was no memory for both: requests waited while the old one left and the new one loaded
  std::string note;  // in_place: why
};

// Thread-safe.
class Registry final : public resources::LeaseOwner {
 public:
  // Takes up every registration of the catalog, unloaded.
  static Result<std::unique_ptr<Registry>> Open(std::unique_ptr<Catalog> catalog,
                                                std::unique_ptr<plugin::PluginRegistry> plugins,
                                                const RegistryOptions& options = {},
                                                Clock& clock = Clock::Real());
  // Closes, then waits until every handle is dropped and every model is unloaded.
  ~Registry() override;
  // Answers who waits, and loads nothing from now on. No callback of Acquire runs after it returns, except inline.
  void Close();

  // Loads, then remembers; on failure nothing changes. An id that is there already is swapped: the new model is loaded
  // beside the old one, takes over in one step, and the old one leaves with its last user. Without memory for both the old
  // one leaves first and requests wait; when the new one then fails to load, the old registration stays and loads again on
  // demand. Blocks.
  Result<Handle> Register(Registration registration, SwapReport* report = nullptr);
  // Forgets, then waits until the last handle is dropped and the model is unloaded.
  Status Unregister(const std::string& id);

  // Never blocks. The handle when the model is ready, null when it must be loaded first, kNotFound for an unknown id.
  Result<Handle> AcquireReady(std::string_view id);
  // `retry_after_ns` of a refusal; 0 = not known.
  using AcquireCallback = std::function<void(Result<Handle>, int64_t retry_after_ns)>;
  // Never blocks. Loads the model when it must; callers of the same model share one load. `done` runs exactly once, inline
  // when the model is ready, else later on another thread. kUnavailable says what holds the memory; kFailedPrecondition
  // that the model can never fit; kDeadlineExceeded that the deadline passed while it waited.
  void Acquire(const std::string& id, AcquireOptions options, AcquireCallback done);
  // The same, blocking.
  Result<Handle> AcquireOrLoad(const std::string& id, AcquireOptions options = {});

  struct UnloadResult {
    bool unloaded = false;  // false: it leaves when its users are done
    uint32_t users = 0;
  };
  // Unloads an idle model now, a busy one when its last user is done. kFailedPrecondition when it is pinned or not loaded.
  Result<UnloadResult> Unload(const std::string& id);
  // Remembered with the registration. Does not load.
  Status SetPinned(const std::string& id, bool pinned);
  // What "latest" of the id's name means from now on; the id names a version. An id without a version gives the choice
  // back to the rules of latest.h.
  Status SetLatest(const std::string& id);

  // Requests that wait for models to be loaded.
  size_t waiting() const;
  // Sorted by id.
  std::vector<Snapshot> List() const;
  Result<Snapshot> Get(const std::string& id) const;
  plugin::PluginRegistry& plugins() { return *plugins_; }
  resources::MemoryBroker& broker() { return *broker_; }
  const RegistryOptions& options() const { return options_; }

  // What a thread of the registry does now and then: answers who waited too long, unloads what has been idle for its
  // keep-alive, measures. For tests with a clock of their own.
  void Tick();

  // LeaseOwner.
  std::vector<resources::LeaseUse> Uses() override;
  bool Evict(resources::LeaseId id, resources::EvictReason reason) override;
  bool Drain(resources::LeaseId id, bool drain) override;

 private:
  struct Waiting {
    AcquireCallback done;
    AcquireOptions options;
    int64_t since_ns = 0;
  };
  struct Entry {
    Registration registration;
    State state = State::kRegistered;
    Status error;
    std::shared_ptr<LoadedModel> model;
    std::shared_ptr<const ModelInterface> interface;
    ModelFacts facts;
    // Becomes ready when `model` is destroyed.
    std::shared_future<void> gone;
    bool draining = false;  // asked by the broker
    bool swapping = false;  // Register waits for the model to leave
    bool removed = false;   // no longer in the map
    std::vector<Waiting> waiters;
    // Tells one load of this entry from the next.
    uint64_t serial = 0;
    resources::MemoryBroker::Ticket ticket = 0;  // kWaiting
    uint64_t loads = 0;
    uint64_t unloads = 0;
    int64_t load_ns = 0;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  // Work that is done once the lock is free.
  using Later = std::vector<std::function<void()>>;
  // One change of an id at a time.
  class Changing;

  Registry(std::unique_ptr<Catalog> catalog, std::unique_ptr<plugin::PluginRegistry> plugins,
           const RegistryOptions& options, Clock& clock);

  // registry.cc
  EntryPtr FindLocked(std::string_view id) const MLOS_REQUIRES(mu_);
  std::string_view LatestLocked(std::string_view name) const MLOS_REQUIRES(mu_);
  static bool Usable(const Entry& entry) {
    return entry.model != nullptr && !entry.draining && !entry.swapping;
  }
  Handle PinLocked(Entry& entry, const std::optional<int64_t>& keep_alive_ns) MLOS_REQUIRES(mu_);
  void Unpin(const std::shared_ptr<LoadedModel>& model, int64_t since_ns);
  Status UnknownModel(std::string_view id) const MLOS_REQUIRES(mu_);
  Snapshot SnapshotOf(const Entry& entry) const MLOS_REQUIRES(mu_);

  // registry_load.cc
  void StartLoadLocked(const EntryPtr& entry) MLOS_REQUIRES(mu_);
  void PrepareAndReserve(const EntryPtr& entry, uint64_t serial);
  void Granted(const EntryPtr& entry, const std::shared_ptr<PreparedLoad>& prepared,
               Result<resources::Lease> lease);
  Result<std::unique_ptr<LoadedModel>> LoadAndCommit(const PreparedLoad& prepared, resources::Lease lease);
  // `refused`: it was not tried.
  void FinishLoad(const EntryPtr& entry, Result<std::unique_ptr<LoadedModel>> loaded, bool refused = false);
  void PublishLocked(Entry& entry, std::unique_ptr<LoadedModel> loaded) MLOS_REQUIRES(mu_);
  // Hands the entry's model, or `error`, to all who wait for it.
  void AnswerWaitersLocked(Entry& entry, const Status& error, int64_t retry_after_ns, Later* later)
      MLOS_REQUIRES(mu_);
  void ReservationDone();
  void CancelTicket(const EntryPtr& entry, resources::MemoryBroker::Ticket ticket, uint64_t serial);

  // registry_swap.cc
  Result<resources::Lease> ReserveFor(const PreparedLoad& prepared, std::vector<resources::LeaseId> spare);
  Result<resources::Lease> ReserveInPlace(const PreparedLoad& prepared, const EntryPtr& old,
                                          SwapReport* report);
  Result<Handle> TakeOver(Registration registration, std::unique_ptr<LoadedModel> loaded);
  void EndSwap(const EntryPtr& entry);

  // registry_idle.cc
  void KeeperLoop();
  void WakeKeeper();
  int64_t NextWakeNs() const;
  // Takes the model out of its entry; it is destroyed once nobody uses it. Starts it anew for those who wait.
  std::shared_ptr<LoadedModel> DropLocked(const EntryPtr& entry) MLOS_REQUIRES(mu_);
  bool LeaveIfIdle(const std::shared_ptr<LoadedModel>& model, resources::EvictReason reason);
  void AnswerTheLate(int64_t now_ns);
  void UnloadTheExpired(int64_t now_ns);
  void MeasureLoaded();

  // Constant after construction.
  const std::unique_ptr<Catalog> catalog_;
  const std::unique_ptr<plugin::PluginRegistry> plugins_;
  const RegistryOptions options_;
  Clock& clock_;
  const std::unique_ptr<resources::MemoryBroker> own_broker_;
  resources::MemoryBroker* const broker_;

  mutable Mutex mu_;
  CondVar changed_;  // a load finished, a model left, a change of an id ended
  CondVar keeper_wake_;
  std::map<std::string, EntryPtr, std::less<>> entries_ MLOS_GUARDED_BY(mu_);
  std::map<std::string, std::string, std::less<>> latest_ MLOS_GUARDED_BY(mu_);  // chosen ones
  std::set<std::string> changing_ MLOS_GUARDED_BY(mu_);
  size_t waiting_ MLOS_GUARDED_BY(mu_) = 0;
  int reservations_ MLOS_GUARDED_BY(mu_) = 0;
  bool closing_ MLOS_GUARDED_BY(mu_) = false;
  bool keeper_woken_ MLOS_GUARDED_BY(mu_) = false;
  std::atomic<int64_t> next_wake_ns_{0};
  int64_t measured_ns_ MLOS_GUARDED_BY(mu_) = 0;

  EstimateCache estimates_;
  LoaderThreads loader_;
  std::thread keeper_;
  // Last: models end before the plugins do.
  Reaper reaper_;
};

// "hf/x" means "hf/x@latest".
std::string CanonicalModelId(const std::string& id);

// The canonical id, or kInvalidArgument: the grammar is package/ref.h's.
Result<std::string> ParseModelId(const std::string& id);

// A registration for every package of the store under `root`.
Result<std::vector<Registration>> FindInstalled(const std::filesystem::path& root);

}  // namespace mlos::model
