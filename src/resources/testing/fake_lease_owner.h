// SPDX-License-Identifier: Apache-2.0
// Holds leases as a test says; what is evicted goes when the test lets it.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "resources/memory_broker.h"

namespace mlos::resources {

// Thread-safe.
class FakeLeaseOwner final : public LeaseOwner {
 public:
  struct Item {
    Lease lease;
    LeaseUse use;
    bool evicted = false;
    bool draining = false;
  };

  LeaseId Hold(Lease lease, Use use, int64_t last_used_ns) {
    MutexLock lock(mu_);
    const LeaseId id = lease.id();
    items_[id] = {std::move(lease), {.id = id, .use = use, .last_used_ns = last_used_ns}};
    return id;
  }
  void Set(LeaseId id, Use use, int64_t idle_in_ns = -1) {
    MutexLock lock(mu_);
    items_[id].use.use = use;
    items_[id].use.idle_in_ns = idle_in_ns;
  }
  bool evicted(LeaseId id) {
    MutexLock lock(mu_);
    const auto it = items_.find(id);
    return it == items_.end() || it->second.evicted;
  }
  bool draining(LeaseId id) {
    MutexLock lock(mu_);
    return items_[id].draining;
  }
  // Gives the memory back.
  void Drop(LeaseId id) {
    Lease gone;
    MutexLock lock(mu_);
    if (const auto it = items_.find(id); it != items_.end()) {
      gone = std::move(it->second.lease);
      items_.erase(it);
    }
    mu_.Unlock();
    gone.Reset();
    mu_.Lock();
  }

  std::vector<LeaseUse> Uses() override {
    MutexLock lock(mu_);
    std::vector<LeaseUse> out;
    for (const auto& [id, item] : items_) {
      out.push_back(item.use);
      if (item.draining && item.use.use == Use::kBusy) out.back().use = Use::kDraining;
    }
    return out;
  }
  bool Evict(LeaseId id, EvictReason) override {
    MutexLock lock(mu_);
    const auto it = items_.find(id);
    if (it == items_.end() || it->second.use.use != Use::kIdle || it->second.evicted) return false;
    it->second.evicted = true;
    return true;
  }
  bool Drain(LeaseId id, bool drain) override {
    MutexLock lock(mu_);
    const auto it = items_.find(id);
    if (it == items_.end()) return false;
    it->second.draining = drain;
    return true;
  }

 private:
  Mutex mu_;
  std::map<LeaseId, Item> items_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::resources
