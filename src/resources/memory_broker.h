// SPDX-License-Identifier: Apache-2.0
// Memory as a budget that leases are cut from: reserve (an upper bound), use, commit (what it really takes), give back.
// Knows bytes and leases, not models.
//
//   Reserve --fits / others left--> lease --Commit--> lease of the measured size --~Lease--> free
//      `--waits in line: busy ones are never evicted--> granted, or refused with the reason
//
// Invariants
//  - The leases together never exceed the budget, except while Correct() has found that one of them grew.
//  - Only idle leases are evicted, least recently used first, never more than needed; pinned ones never.
//  - The line is first come, first served. While the first in line has waited less than fair_after_ns, others may pass that fit
//    without what it waits for; after that nobody passes, idle leases make room for it one by one, and busy ones in its way
//    take no new users (Drain) until it is served: so it is served as soon as their present users are done.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "resources/eviction.h"

namespace mlos::resources {

enum class EvictReason { kRoom, kPressure, kKeepAlive, kAsked, kGrew };
inline constexpr size_t kEvictReasons = 5;
std::string_view EvictReasonName(EvictReason reason);  // "room", "pressure", "keep_alive", "asked", "grew"

struct LeaseUse {
  LeaseId id = 0;
  Use use = Use::kBusy;
  uint32_t users = 0;
  int64_t last_used_ns = 0;
  int64_t idle_in_ns = -1;
};

// Who uses the leases. Called without the broker's locks, on any thread; must not block.
class LeaseOwner {
 public:
  virtual ~LeaseOwner() = default;
  // Of every lease; one that is left out counts as busy.
  virtual std::vector<LeaseUse> Uses() = 0;
  // Begins to unload an idle one: the lease ends soon after. False when it is not idle any more.
  virtual bool Evict(LeaseId id, EvictReason reason) = 0;
  // Takes no new users of a busy one, and evicts it when the last one is done; `drain` false takes that back. False when
  // it cannot be done now.
  virtual bool Drain(LeaseId id, bool drain) = 0;
};

class MemoryBroker;

// Memory that is promised to someone. Gives it back when it is destroyed. Movable; not thread-safe.
class Lease {
 public:
  Lease() = default;
  Lease(MemoryBroker* broker, LeaseId id) : broker_(broker), id_(id) {}
  ~Lease() { Reset(); }
  Lease(Lease&& other) noexcept : broker_(std::exchange(other.broker_, nullptr)), id_(other.id_) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Reset();
      broker_ = std::exchange(other.broker_, nullptr);
      id_ = other.id_;
    }
    return *this;
  }
  void Reset();
  // 0 when it holds nothing.
  LeaseId id() const { return broker_ != nullptr ? id_ : 0; }

 private:
  MemoryBroker* broker_ = nullptr;
  LeaseId id_ = 0;
};

struct BrokerOptions {
  uint64_t budget_bytes = UINT64_MAX;
  std::string budget_source = "unlimited";  // for people: where the number is from
  int64_t fair_after_ns = 250'000'000;
  size_t max_waiting = 10'000;
};

struct LeaseInfo {
  LeaseId id = 0;
  std::string who;
  uint64_t private_bytes = 0;  // as reserved or committed
  uint64_t shared_bytes = 0;   // mapped files, all of them, also those that others map
  uint64_t device_bytes = 0;
  bool committed = false;
};

struct Waiter {
  std::string who;
  uint64_t bytes = 0;
  int64_t since_ns = 0;
  int64_t predicted_ns = -1;  // from now; -1 = not known
  std::string reason;
};

struct BrokerStats {
  uint64_t budget_bytes = 0;
  std::string budget_source;
  uint64_t leased_bytes = 0;    // a shared file counts once
  uint64_t shared_bytes = 0;    // of leased_bytes, the mapped files
  uint64_t reserved_bytes = 0;  // private bytes of leases that are not committed yet
  std::vector<LeaseInfo> leases;
  std::vector<Waiter> waiting;
  std::array<uint64_t, kEvictReasons> evictions{};
  uint64_t waits = 0;    // reservations that did not get their memory at once
  uint64_t wait_ns = 0;  // of those that were granted, together
  uint64_t refused = 0;
  uint64_t corrections = 0;  // a lease turned out larger than estimated
};

// Thread-safe. Outlives its leases.
class MemoryBroker {
 public:
  explicit MemoryBroker(BrokerOptions options, Clock& clock = Clock::Real());
  ~MemoryBroker() { Shutdown(); }
  MemoryBroker(const MemoryBroker&) = delete;
  MemoryBroker& operator=(const MemoryBroker&) = delete;

  // Null detaches, and waits until calls to the old one are over. Without an owner nothing is evicted.
  void SetOwner(LeaseOwner* owner);

  // Who waits is told kUnavailable, and so is who comes later. Leases stay as they are.
  void Shutdown();

  using Ticket = uint64_t;
  using Granted = std::function<void(Result<Lease>)>;
  struct ReserveOptions {
    std::vector<LeaseId> spare;  // not to be evicted for this
    bool wait = true;            // false: kUnavailable when only busy ones leaving would make room
  };
  // `granted` runs exactly once unless the ticket is cancelled: before Reserve returns, or later on any thread; it must not
  // block. kFailedPrecondition: can never fit, with both numbers. kUnavailable: pinned ones or a full line are in the way.
  Ticket Reserve(Demand demand, ReserveOptions options, Granted granted);
  Ticket Reserve(Demand demand, Granted granted) {
    return Reserve(std::move(demand), {}, std::move(granted));
  }
  // True: `granted` will never run.
  bool Cancel(Ticket ticket);
  // What a reservation waits for: what it needs, what is free, who has the rest. Empty when it does not wait.
  std::string WhyWaiting(Ticket ticket, int64_t* predicted_ns = nullptr);

  // The lease takes `private_bytes` from now on. When that is more than reserved, idle others are evicted and waited for; when
  // that does not help, an error says what was estimated, found and allowed, and the caller must unload and give back.
  // Blocks only while memory that was given up comes back, `limit_ns` at most. `shared`, when it is given and no larger than
  // what was reserved, replaces the mapped files.
  Status Commit(const Lease& lease, uint64_t private_bytes,
                const std::optional<std::vector<SharedBytes>>& shared = std::nullopt,
                int64_t limit_ns = 10'000'000'000);
  // A committed lease was measured again. It never falls below what was committed; when it grew, idle others may have to go.
  void Correct(LeaseId id, uint64_t private_bytes);

  // Something became idle, or time has passed: looks at the line again. Cheap when nobody waits.
  void Pump();
  bool Waiting() const { return attention_.load(std::memory_order_acquire); }

  // Evicts the least recently used idle lease. Its name and private bytes, or nothing.
  std::optional<std::pair<std::string, uint64_t>> EvictOldest(EvictReason reason);
  // For the owner: it unloads an idle one on its own; the lease ends soon.
  void Left(LeaseId id, EvictReason reason);
  // Adds up what `leases` pay for alone, and what they share with others.
  LeaseInfo Info(LeaseId id) const;

  uint64_t budget_bytes() const { return options_.budget_bytes; }
  BrokerStats Stats() const;

 private:
  friend class Lease;
  struct Held {
    Demand demand;
    bool committed = false;
    bool leaving = false;
    bool draining = false;
    uint64_t committed_private = 0;
  };
  struct Line {
    Ticket ticket = 0;
    Demand demand;
    ReserveOptions options;
    Granted granted;
    int64_t since_ns = 0;
    bool waited = false;
    int64_t predicted_ns = -1;
    std::string reason;
  };
  // What one look at the line decided; carried out without the lock.
  struct Step {
    std::vector<std::pair<Granted, Result<Lease>>> answers;
    std::vector<std::pair<LeaseId, EvictReason>> evict;
    std::vector<std::pair<LeaseId, bool>> drain;
  };

  void End(LeaseId id);
  // Calls the owner without the lock.
  template <typename F>
  auto AskOwner(F&& f, decltype(f(std::declval<LeaseOwner&>())) without) MLOS_EXCLUDES(mu_);
  bool EvictNow(LeaseId id, EvictReason reason) MLOS_EXCLUDES(mu_);
  std::vector<LeaseUse> Uses() MLOS_EXCLUDES(mu_);

  std::vector<Holding> HoldingsLocked(const std::vector<LeaseUse>& uses) const MLOS_REQUIRES(mu_);
  Step LookLocked(const std::vector<LeaseUse>& uses) MLOS_REQUIRES(mu_);
  // True when the reservation was answered and leaves the line.
  bool ServeLocked(Line& line, const std::vector<Holding>& holdings, bool first, Step* step)
      MLOS_REQUIRES(mu_);
  void GrantLocked(Line& line, Step* step) MLOS_REQUIRES(mu_);
  void DrainLocked(const std::vector<LeaseId>& wanted, Step* step) MLOS_REQUIRES(mu_);
  // True when something changed that makes another look worth while.
  bool CarryOut(Step step) MLOS_EXCLUDES(mu_);
  bool TryGrow(LeaseId id, uint64_t private_bytes, const std::vector<LeaseUse>& uses, Plan* plan)
      MLOS_EXCLUDES(mu_);
  Status GrowthRefused(LeaseId id, uint64_t private_bytes, const std::vector<LeaseUse>& uses)
      MLOS_EXCLUDES(mu_);
  std::string ReasonLocked(const Demand& demand, const std::vector<Holding>& holdings) const
      MLOS_REQUIRES(mu_);

  // Constant after construction.
  const BrokerOptions options_;
  Clock& clock_;

  mutable Mutex mu_;
  CondVar changed_;
  LeaseOwner* owner_ MLOS_GUARDED_BY(mu_) = nullptr;
  int owner_calls_ MLOS_GUARDED_BY(mu_) = 0;
  bool shut_down_ MLOS_GUARDED_BY(mu_) = false;
  bool pumping_ MLOS_GUARDED_BY(mu_) = false;
  bool again_ MLOS_GUARDED_BY(mu_) = false;
  uint64_t next_id_ MLOS_GUARDED_BY(mu_) = 0;
  std::map<LeaseId, Held> held_ MLOS_GUARDED_BY(mu_);
  std::list<Line> line_ MLOS_GUARDED_BY(mu_);
  // Commits that want more than they reserved: nothing is granted while there is one.
  int growing_ MLOS_GUARDED_BY(mu_) = 0;
  BrokerStats counts_ MLOS_GUARDED_BY(mu_);
  std::atomic<bool> attention_{false};
};

}  // namespace mlos::resources
