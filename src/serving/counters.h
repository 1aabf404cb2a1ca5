// SPDX-License-Identifier: Apache-2.0
// What was answered, in all and per model.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/mutex.h"

namespace mlos::serving {

struct Totals {
  uint64_t ok = 0;
  uint64_t failed = 0;
  int64_t latency_sum_ns = 0;
};

// Thread-safe.
class Counters {
 public:
  void Record(const std::string& model_id, bool ok, int64_t latency_ns) {
    MutexLock lock(mu_);
    Add(all_, ok, latency_ns);
    Add(models_[model_id], ok, latency_ns);
  }
  // A request that reached no model.
  void RecordRefused(int64_t latency_ns) {
    MutexLock lock(mu_);
    Add(all_, false, latency_ns);
  }
  Totals all() const {
    MutexLock lock(mu_);
    return all_;
  }
  Totals model(const std::string& model_id) const {
    MutexLock lock(mu_);
    const auto it = models_.find(model_id);
    return it == models_.end() ? Totals{} : it->second;
  }
  void Forget(const std::string& model_id) {
    MutexLock lock(mu_);
    models_.erase(model_id);
  }

 private:
  static void Add(Totals& t, bool ok, int64_t latency_ns) {
    ++(ok ? t.ok : t.failed);
    t.latency_sum_ns += latency_ns;
  }

  mutable Mutex mu_;
  Totals all_ MLOS_GUARDED_BY(mu_);
  std::map<std::string, Totals> models_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::serving
