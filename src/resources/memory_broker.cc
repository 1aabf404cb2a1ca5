// SPDX-License-Identifier: Apache-2.0
#include "resources/memory_broker.h"

#include <algorithm>
#include <chrono>

#include "os/errors.h"

namespace mlos::resources {
namespace {

using os::FormatBytes;

uint64_t BytesOf(const Demand& demand) {
  const Holding alone{.private_bytes = demand.private_bytes, .shared = demand.shared};
  return TotalBytes({&alone, 1});
}

uint64_t SharedOf(const Demand& demand) {
  const Holding files{.shared = demand.shared};
  return TotalBytes({&files, 1});
}

}  // namespace

std::string_view EvictReasonName(EvictReason reason) {
  static constexpr std::string_view kNames[] = {"room", "pressure", "keep_alive", "asked", "grew"};
  return kNames[static_cast<size_t>(reason)];
}

void Lease::Reset() {
  if (MemoryBroker* broker = std::exchange(broker_, nullptr); broker != nullptr) broker->End(id_);
}

MemoryBroker::MemoryBroker(BrokerOptions options, Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

void MemoryBroker::Shutdown() {
  std::list<Line> left;
  {
    MutexLock lock(mu_);
    shut_down_ = true;
    left.swap(line_);
  }
  for (Line& line : left) line.granted(Unavailable("the server is shutting down"));
}

void MemoryBroker::SetOwner(LeaseOwner* owner) {
  MutexLock lock(mu_);
  owner_ = owner;
  while (owner_calls_ > 0) changed_.Wait(mu_);
}

template <typename F>
auto MemoryBroker::AskOwner(F&& f, decltype(f(std::declval<LeaseOwner&>())) without) {
  LeaseOwner* owner = nullptr;
  {
    MutexLock lock(mu_);
    owner = owner_;
    if (owner == nullptr) return without;
    ++owner_calls_;
  }
  auto answer = f(*owner);
  MutexLock lock(mu_);
  --owner_calls_;
  changed_.NotifyAll();
  return answer;
}

std::vector<LeaseUse> MemoryBroker::Uses() {
  return AskOwner([](LeaseOwner& owner) { return owner.Uses(); }, {});
}

bool MemoryBroker::EvictNow(LeaseId id, EvictReason reason) {
  if (!AskOwner([&](LeaseOwner& owner) { return owner.Evict(id, reason); }, false)) return false;
  Left(id, reason);
  return true;
}

MemoryBroker::Ticket MemoryBroker::Reserve(Demand demand, ReserveOptions options, Granted granted) {
  Status refused;
  Ticket ticket = 0;
  {
    MutexLock lock(mu_);
    ticket = ++next_id_;
    if (shut_down_) {
      refused = Unavailable("the server is shutting down");
    } else if (const uint64_t bytes = BytesOf(demand); bytes > options_.budget_bytes) {
      refused =
          FailedPrecondition(demand.who + " needs up to " + FormatBytes(bytes) + ", the memory budget is " +
                             FormatBytes(options_.budget_bytes) + " (" + options_.budget_source +
                             "): raise core.memory_budget or take a smaller model");
    } else if (line_.size() >= options_.max_waiting) {
      refused = Unavailable(std::to_string(line_.size()) + " loads wait for memory already: retry later");
    } else {
      line_.push_back({.ticket = ticket,
                       .demand = std::move(demand),
                       .options = std::move(options),
                       .granted = std::move(granted),
                       .since_ns = clock_.MonotonicNs()});
      attention_.store(true, std::memory_order_release);
    }
    if (!refused.ok()) ++counts_.refused;
  }
  if (refused.ok()) {
    Pump();
  } else {
    granted(std::move(refused));
  }
  return ticket;
}

bool MemoryBroker::Cancel(Ticket ticket) {
  std::list<Line> dropped;
  {
    MutexLock lock(mu_);
    const auto it = std::ranges::find(line_, ticket, &Line::ticket);
    if (it == line_.end()) return false;
    dropped.splice(dropped.end(), line_, it);
  }
  Pump();
  return true;
}

std::string MemoryBroker::WhyWaiting(Ticket ticket, int64_t* predicted_ns) {
  MutexLock lock(mu_);
  const auto it = std::ranges::find(line_, ticket, &Line::ticket);
  if (it == line_.end()) return "";
  if (predicted_ns != nullptr) *predicted_ns = it->predicted_ns;
  return it->reason;
}

void MemoryBroker::End(LeaseId id) {
  {
    MutexLock lock(mu_);
    held_.erase(id);
    changed_.NotifyAll();
  }
  Pump();
}

std::vector<Holding> MemoryBroker::HoldingsLocked(const std::vector<LeaseUse>& uses) const {
  std::vector<Holding> out;
  out.reserve(held_.size());
  for (const auto& [id, held] : held_) {
    out.push_back({.id = id,
                   .who = held.demand.who,
                   .private_bytes = held.demand.private_bytes,
                   .shared = held.demand.shared});
    if (const auto use = std::ranges::find(uses, id, &LeaseUse::id); use != uses.end()) {
      out.back().use = use->use;
      out.back().users = use->users;
      out.back().last_used_ns = use->last_used_ns;
      out.back().idle_in_ns = use->idle_in_ns;
    }
    if (held.leaving) out.back().use = Use::kLeaving;
  }
  return out;
}

std::string MemoryBroker::ReasonLocked(const Demand& demand, const std::vector<Holding>& holdings) const {
  const uint64_t taken = TotalBytes(holdings);
  const uint64_t free = options_.budget_bytes > taken ? options_.budget_bytes - taken : 0;
  return demand.who + " needs " + FormatBytes(BytesOf(demand)) + "; of the memory budget of " +
         FormatBytes(options_.budget_bytes) + " " + FormatBytes(free) + " are free, the rest is held by " +
         DescribeHoldings(holdings);
}

void MemoryBroker::Pump() {
  if (!Waiting()) return;
  {
    MutexLock lock(mu_);
    again_ = true;
    if (pumping_) return;
    pumping_ = true;
  }
  while (true) {
    const std::vector<LeaseUse> uses = Uses();
    Step step;
    {
      MutexLock lock(mu_);
      again_ = false;
      step = LookLocked(uses);
    }
    const bool look_again = CarryOut(std::move(step));
    MutexLock lock(mu_);
    if (look_again || again_) continue;
    pumping_ = false;
    return;
  }
}

MemoryBroker::Step MemoryBroker::LookLocked(const std::vector<LeaseUse>& uses) {
  Step step;
  std::vector<Holding> holdings = HoldingsLocked(uses);
  if (TotalBytes(holdings) > options_.budget_bytes) {
    for (const LeaseId id : PlanFor({}, options_.budget_bytes, holdings).evict)
      step.evict.emplace_back(id, EvictReason::kGrew);
  }
  bool first = true;
  bool others_may_pass = true;
  for (auto it = line_.begin();
       it != line_.end() && growing_ == 0 && others_may_pass && step.evict.empty();) {
    const size_t answers = step.answers.size();
    if (ServeLocked(*it, holdings, first, &step)) {
      it = line_.erase(it);
      if (step.answers.size() > answers) holdings = HoldingsLocked(uses);
      continue;
    }
    if (first) others_may_pass = clock_.MonotonicNs() - it->since_ns < options_.fair_after_ns;
    first = false;
    ++it;
  }
  if (line_.empty()) DrainLocked({}, &step);
  attention_.store(!line_.empty() || TotalBytes(HoldingsLocked(uses)) > options_.budget_bytes,
                   std::memory_order_release);
  return step;
}

bool MemoryBroker::ServeLocked(Line& line, const std::vector<Holding>& holdings, bool first, Step* step) {
  const Plan plan = PlanFor(line.demand, options_.budget_bytes, holdings, line.options.spare);
  if (plan.answer == Plan::Answer::kFits) {
    GrantLocked(line, step);
    return true;
  }
  if (!line.waited) {
    line.waited = true;
    ++counts_.waits;
  }
  line.predicted_ns = plan.answer == Plan::Answer::kEvict ? 0 : plan.wait_ns;
  line.reason = ReasonLocked(line.demand, holdings);
  if (plan.answer == Plan::Answer::kHopeless || (plan.answer == Plan::Answer::kWait && !line.options.wait)) {
    ++counts_.refused;
    step->answers.emplace_back(std::move(line.granted), Unavailable(line.reason));
    return true;
  }
  if (plan.answer == Plan::Answer::kEvict) {
    for (const LeaseId id : plan.evict) step->evict.emplace_back(id, EvictReason::kRoom);
    if (first) DrainLocked({}, step);
    return false;
  }
  if (!first) return false;
  if (clock_.MonotonicNs() - line.since_ns < options_.fair_after_ns) {
    DrainLocked({}, step);
    return false;
  }
  for (const LeaseId id : plan.evict) step->evict.emplace_back(id, EvictReason::kRoom);
  std::vector<LeaseId> wanted = plan.drain;
  for (const auto& [id, held] : held_) {
    if (held.draining) wanted.push_back(id);
  }
  DrainLocked(wanted, step);
  return false;
}

void MemoryBroker::GrantLocked(Line& line, Step* step) {
  const LeaseId id = ++next_id_;
  if (line.waited) counts_.wait_ns += static_cast<uint64_t>(clock_.MonotonicNs() - line.since_ns);
  held_[id].demand = std::move(line.demand);
  step->answers.emplace_back(std::move(line.granted), Lease(this, id));
}

void MemoryBroker::DrainLocked(const std::vector<LeaseId>& wanted, Step* step) {
  for (auto& [id, held] : held_) {
    const bool drain = std::ranges::find(wanted, id) != wanted.end();
    if (drain != held.draining) step->drain.emplace_back(id, drain);
  }
}

bool MemoryBroker::CarryOut(Step step) {
  bool look_again = false;
  for (const auto& [id, reason] : step.evict) {
    // One that found a user again changes the picture.
    if (!EvictNow(id, reason)) look_again = true;
  }
  for (const auto& [lease, drain] : step.drain) {
    const LeaseId id = lease;
    const bool wanted = drain;
    if (!AskOwner([&](LeaseOwner& owner) { return owner.Drain(id, wanted); }, false) && wanted) continue;
    MutexLock lock(mu_);
    if (const auto it = held_.find(id); it != held_.end()) it->second.draining = wanted;
  }
  for (auto& [granted, lease] : step.answers) granted(std::move(lease));
  return look_again;
}

bool MemoryBroker::TryGrow(LeaseId id, uint64_t private_bytes, const std::vector<LeaseUse>& uses,
                           Plan* plan) {
  MutexLock lock(mu_);
  Held& held = held_.at(id);
  const Demand more{.who = held.demand.who, .private_bytes = private_bytes - held.demand.private_bytes};
  *plan = PlanFor(more, options_.budget_bytes, HoldingsLocked(uses));
  if (plan->answer != Plan::Answer::kFits) return false;
  held.demand.private_bytes = held.committed_private = private_bytes;
  held.committed = true;
  return true;
}

Status MemoryBroker::GrowthRefused(LeaseId id, uint64_t private_bytes, const std::vector<LeaseUse>& uses) {
  MutexLock lock(mu_);
  ++counts_.refused;
  Demand found = held_.at(id).demand;
  const uint64_t estimated = BytesOf(found);
  found.private_bytes = private_bytes;
  const std::string message = found.who + " was estimated at " + FormatBytes(estimated) + " and takes " +
                              FormatBytes(BytesOf(found)) + "; the memory budget is " +
                              FormatBytes(options_.budget_bytes) + " (" + options_.budget_source + ")";
  if (BytesOf(found) > options_.budget_bytes) {
    return FailedPrecondition(message + ": raise core.memory_budget or take a smaller model");
  }
  return Unavailable(message + ", held by " + DescribeHoldings(HoldingsLocked(uses)) +
                     ", and nothing idle is left to make room");
}

Status MemoryBroker::Commit(const Lease& lease, uint64_t private_bytes,
                            const std::optional<std::vector<SharedBytes>>& shared, int64_t limit_ns) {
  const LeaseId id = lease.id();
  {
    MutexLock lock(mu_);
    const auto it = held_.find(id);
    if (it == held_.end()) return Internal("a lease was committed that has ended");
    Held& held = it->second;
    if (shared && SharedOf({.shared = *shared}) <= SharedOf(held.demand)) held.demand.shared = *shared;
    if (private_bytes <= held.demand.private_bytes) {
      held.demand.private_bytes = held.committed_private = private_bytes;
      held.committed = true;
      private_bytes = 0;
    } else {
      ++growing_;
      ++counts_.corrections;
    }
  }
  if (private_bytes == 0) {
    Pump();
    return OkStatus();
  }
  const auto limit = std::chrono::steady_clock::now() + std::chrono::nanoseconds(limit_ns);
  Status status;
  while (true) {
    const std::vector<LeaseUse> uses = Uses();
    Plan plan;
    if (TryGrow(id, private_bytes, uses, &plan)) break;
    for (const LeaseId victim : plan.evict) {
      if (plan.answer == Plan::Answer::kEvict) EvictNow(victim, EvictReason::kGrew);
    }
    if (plan.answer != Plan::Answer::kEvict || std::chrono::steady_clock::now() > limit) {
      status = GrowthRefused(id, private_bytes, uses);
      break;
    }
    // Woken when a lease ends.
    MutexLock lock(mu_);
    changed_.WaitFor(mu_, std::chrono::milliseconds(5));
  }
  {
    MutexLock lock(mu_);
    --growing_;
  }
  Pump();
  return status;
}

void MemoryBroker::Correct(LeaseId id, uint64_t private_bytes) {
  {
    MutexLock lock(mu_);
    const auto it = held_.find(id);
    if (it == held_.end() || !it->second.committed) return;
    const uint64_t next = std::max(private_bytes, it->second.committed_private);
    const uint64_t before = std::exchange(it->second.demand.private_bytes, next);
    if (next == before) return;
    if (next > before) ++counts_.corrections;
    attention_.store(true, std::memory_order_release);
  }
  Pump();
}

std::optional<std::pair<std::string, uint64_t>> MemoryBroker::EvictOldest(EvictReason reason) {
  const std::vector<LeaseUse> uses = Uses();
  std::vector<Holding> holdings;
  {
    MutexLock lock(mu_);
    holdings = HoldingsLocked(uses);
  }
  std::ranges::sort(holdings, {}, &Holding::last_used_ns);
  for (const Holding& h : holdings) {
    if (h.use == Use::kIdle && EvictNow(h.id, reason)) return std::pair(h.who, h.private_bytes);
  }
  return std::nullopt;
}

void MemoryBroker::Left(LeaseId id, EvictReason reason) {
  MutexLock lock(mu_);
  ++counts_.evictions[static_cast<size_t>(reason)];
  // It may be gone already.
  if (const auto it = held_.find(id); it != held_.end()) it->second.leaving = true;
}

LeaseInfo MemoryBroker::Info(LeaseId id) const {
  MutexLock lock(mu_);
  const auto it = held_.find(id);
  if (it == held_.end()) return {};
  const Demand& d = it->second.demand;
  return {id, d.who, d.private_bytes, SharedOf(d), d.device_bytes, it->second.committed};
}

BrokerStats MemoryBroker::Stats() const {
  MutexLock lock(mu_);
  BrokerStats out = counts_;
  out.budget_bytes = options_.budget_bytes;
  out.budget_source = options_.budget_source;
  std::vector<Holding> holdings = HoldingsLocked({});
  out.leased_bytes = TotalBytes(holdings);
  for (Holding& h : holdings) h.private_bytes = 0;
  out.shared_bytes = TotalBytes(holdings);
  for (const auto& [id, held] : held_) {
    const Demand& d = held.demand;
    if (!held.committed) out.reserved_bytes += d.private_bytes;
    out.leases.push_back({id, d.who, d.private_bytes, SharedOf(d), d.device_bytes, held.committed});
  }
  for (const Line& line : line_) {
    out.waiting.push_back(
        {line.demand.who, BytesOf(line.demand), line.since_ns, line.predicted_ns, line.reason});
  }
  return out;
}

}  // namespace mlos::resources
