// SPDX-License-Identifier: Apache-2.0
#include "resources/eviction.h"

#include <algorithm>
#include <limits>
#include <map>

#include "base/checked.h"
#include "os/errors.h"

namespace mlos::resources {
namespace {

constexpr size_t kMostNamed = 5;

// Sizes come from plugins: a sum that overflows is as good as infinite.
void AddTo(uint64_t* sum, uint64_t bytes) {
  *sum = CheckedAdd(*sum, bytes).value_or(std::numeric_limits<uint64_t>::max());
}

// A set of holders that can be taken away one by one.
class Ledger {
 public:
  void Add(uint64_t private_bytes, const std::vector<SharedBytes>& shared) {
    AddTo(&private_, private_bytes);
    for (const SharedBytes& file : shared) files_[file.key].insert({file.bytes, 0}).first->second++;
  }
  void Remove(uint64_t private_bytes, const std::vector<SharedBytes>& shared) {
    private_ -= std::min(private_, private_bytes);
    for (const SharedBytes& file : shared) {
      auto& sizes = files_[file.key];
      const auto it = sizes.find(file.bytes);
      if (it != sizes.end() && --it->second == 0) sizes.erase(it);
    }
  }
  uint64_t total() const {
    uint64_t sum = private_;
    for (const auto& [key, sizes] : files_) {
      if (!sizes.empty()) AddTo(&sum, sizes.rbegin()->first);
    }
    return sum;
  }

 private:
  uint64_t private_ = 0;
  std::map<std::string, std::map<uint64_t, int>> files_;
};

bool Contains(std::span<const LeaseId> ids, LeaseId id) { return std::ranges::find(ids, id) != ids.end(); }

std::vector<const Holding*> InUse(std::span<const Holding> holdings, Use use,
                                  std::span<const LeaseId> spare) {
  std::vector<const Holding*> out;
  for (const Holding& h : holdings) {
    if (h.use == use && !Contains(spare, h.id)) out.push_back(&h);
  }
  return out;
}

// Takes `order` away until the rest fits, then puts back what was not needed, the most recently used first.
bool MakeRoom(const std::vector<const Holding*>& order, uint64_t budget, Ledger* ledger,
              std::vector<LeaseId>* out) {
  std::vector<const Holding*> gone;
  for (const Holding* h : order) {
    if (ledger->total() <= budget) break;
    ledger->Remove(h->private_bytes, h->shared);
    gone.push_back(h);
  }
  const bool fits = ledger->total() <= budget;
  std::vector<const Holding*> kept;
  if (fits) {
    for (auto it = gone.rbegin(); it != gone.rend(); ++it) {
      ledger->Add((*it)->private_bytes, (*it)->shared);
      if (ledger->total() <= budget) {
        kept.push_back(*it);
      } else {
        ledger->Remove((*it)->private_bytes, (*it)->shared);
      }
    }
  }
  for (const Holding* h : gone) {
    if (std::ranges::find(kept, h) == kept.end()) out->push_back(h->id);
  }
  return fits;
}

void Forget(const std::vector<const Holding*>& list, Ledger* ledger) {
  for (const Holding* h : list) ledger->Remove(h->private_bytes, h->shared);
}

// The last one to end decides; one unknown makes the whole unknown.
int64_t Longest(std::span<const Holding> holdings, const std::vector<LeaseId>& ids, int64_t so_far) {
  for (const Holding& h : holdings) {
    if (!Contains(ids, h.id)) continue;
    if (h.idle_in_ns < 0) return -1;
    so_far = std::max(so_far, h.idle_in_ns);
  }
  return so_far;
}

}  // namespace

uint64_t TotalBytes(std::span<const Holding> holdings) {
  Ledger ledger;
  for (const Holding& h : holdings) ledger.Add(h.private_bytes, h.shared);
  return ledger.total();
}

Plan PlanFor(const Demand& demand, uint64_t budget_bytes, std::span<const Holding> holdings,
             std::span<const LeaseId> spare) {
  Plan plan;
  Ledger ledger;
  ledger.Add(demand.private_bytes, demand.shared);
  if (ledger.total() > budget_bytes) {
    plan.answer = Plan::Answer::kHopeless;
    plan.missing_bytes = ledger.total() - budget_bytes;
    return plan;
  }
  for (const Holding& h : holdings) ledger.Add(h.private_bytes, h.shared);
  if (ledger.total() <= budget_bytes) return plan;
  plan.missing_bytes = ledger.total() - budget_bytes;

  Forget(InUse(holdings, Use::kLeaving, {}), &ledger);
  std::vector<const Holding*> idle = InUse(holdings, Use::kIdle, spare);
  std::ranges::sort(idle, {}, &Holding::last_used_ns);
  plan.answer = Plan::Answer::kEvict;
  if (MakeRoom(idle, budget_bytes, &ledger, &plan.evict)) return plan;

  // Not without those that work: first the ones that are on their way out already.
  std::vector<const Holding*> draining = InUse(holdings, Use::kDraining, {});
  std::vector<LeaseId> awaited;
  for (const Holding* h : draining) awaited.push_back(h->id);
  Forget(draining, &ledger);
  std::vector<const Holding*> busy = InUse(holdings, Use::kBusy, spare);
  std::ranges::sort(busy, {}, [](const Holding* h) {
    const int64_t in = h->idle_in_ns < 0 ? std::numeric_limits<int64_t>::max() : h->idle_in_ns;
    return std::pair(in, h->last_used_ns);
  });
  const bool enough = MakeRoom(busy, budget_bytes, &ledger, &plan.drain);
  // With those gone some idle ones may stay, the most recently used first.
  for (auto it = idle.rbegin(); enough && it != idle.rend(); ++it) {
    ledger.Add((*it)->private_bytes, (*it)->shared);
    if (ledger.total() <= budget_bytes) {
      std::erase(plan.evict, (*it)->id);
    } else {
      ledger.Remove((*it)->private_bytes, (*it)->shared);
    }
  }
  plan.answer = enough ? Plan::Answer::kWait : Plan::Answer::kHopeless;
  plan.wait_ns = Longest(holdings, plan.drain, Longest(holdings, awaited, 0));
  return plan;
}

std::string DescribeHoldings(std::span<const Holding> holdings) {
  std::vector<const Holding*> order;
  const auto size = [](const Holding* h) {
    uint64_t sum = h->private_bytes;
    for (const SharedBytes& file : h->shared) AddTo(&sum, file.bytes);
    return sum;
  };
  for (const Holding& h : holdings) order.push_back(&h);
  std::ranges::stable_sort(order, std::ranges::greater(), size);
  std::string out;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == kMostNamed) return out + " and " + std::to_string(order.size() - i) + " more";
    const Holding& h = *order[i];
    out += (i > 0 ? ", " : "") + h.who + " " + os::FormatBytes(size(&h));
    if (h.use == Use::kPinned) out += " (pinned)";
    if (h.use == Use::kIdle) out += " (idle)";
    if (h.use == Use::kLeaving) out += " (unloading)";
    if (h.users > 0) out += " (" + std::to_string(h.users) + (h.users == 1 ? " request)" : " requests)");
  }
  return out.empty() ? "nothing" : out;
}

}  // namespace mlos::resources
