// SPDX-License-Identifier: Apache-2.0
// What was answered and what was refused, in all and per model.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "sched/quantile_window.h"
#include "serving/service.h"

namespace mlos::serving {

struct Totals {
  uint64_t ok = 0;
  uint64_t failed = 0;
  int64_t latency_sum_ns = 0;
};

// Of one model, over all its loads. Thread-safe.
class ModelCounters {
 public:
  void Admitted();  // it waits
  void Started();   // it waits no more, and runs
  void Requeued();  // it ran in a batch that failed, and waits again
  void Executed();  // one run of the plugin, for however many requests
  // `started`: it ran; else it was refused, for `refusal`.
  void Answered(bool ok, bool started, Refusal refusal, int64_t latency_ns);
  Totals totals() const;
  // All but the prediction.
  ModelActivity activity() const;

 private:
  static constexpr size_t kWindow = 512;

  mutable Mutex mu_;
  Totals totals_ MLOS_GUARDED_BY(mu_);
  ModelActivity activity_ MLOS_GUARDED_BY(mu_);
  sched::QuantileWindow<kWindow> latency_ns_ MLOS_GUARDED_BY(mu_);
};

// Thread-safe.
class Counters {
 public:
  // Never null; lives as long as someone holds it, also when it is forgotten here.
  std::shared_ptr<ModelCounters> Of(const std::string& model_id);
  void Record(bool ok, int64_t latency_ns);
  void RecordRefusal(Refusal refusal);
  Totals all() const;
  std::array<uint64_t, kRefusals> refused() const;
  void Forget(const std::string& model_id);

 private:
  mutable Mutex mu_;
  Totals all_ MLOS_GUARDED_BY(mu_);
  std::array<uint64_t, kRefusals> refused_ MLOS_GUARDED_BY(mu_){};
  std::map<std::string, std::shared_ptr<ModelCounters>> models_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::serving
