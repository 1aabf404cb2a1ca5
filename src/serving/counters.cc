// SPDX-License-Identifier: Apache-2.0
#include "serving/counters.h"

namespace mlos::serving {
namespace {

void Add(Totals& totals, bool ok, int64_t latency_ns) {
  ++(ok ? totals.ok : totals.failed);
  totals.latency_sum_ns += latency_ns;
}

}  // namespace

void ModelCounters::Admitted() {
  MutexLock lock(mu_);
  ++activity_.queued;
}

void ModelCounters::Started() {
  MutexLock lock(mu_);
  --activity_.queued;
  ++activity_.running;
}

void ModelCounters::Requeued() {
  MutexLock lock(mu_);
  ++activity_.queued;
  --activity_.running;
}

void ModelCounters::Executed() {
  MutexLock lock(mu_);
  ++activity_.executions;
}

void ModelCounters::Answered(bool ok, bool started, Refusal refusal, int64_t latency_ns) {
  MutexLock lock(mu_);
  Add(totals_, ok, latency_ns);
  --(started ? activity_.running : activity_.queued);
  if (refusal != Refusal::kCount) ++activity_.refused[static_cast<size_t>(refusal)];
  if (ok) latency_ns_.Add(latency_ns);
}

Totals ModelCounters::totals() const {
  MutexLock lock(mu_);
  return totals_;
}

ModelActivity ModelCounters::activity() const {
  MutexLock lock(mu_);
  ModelActivity out = activity_;
  out.p50_ns = latency_ns_.Quantile(0.5);
  out.p90_ns = latency_ns_.Quantile(0.9);
  out.p99_ns = latency_ns_.Quantile(0.99);
  return out;
}

std::shared_ptr<ModelCounters> Counters::Of(const std::string& model_id) {
  MutexLock lock(mu_);
  std::shared_ptr<ModelCounters>& counters = models_[model_id];
  if (counters == nullptr) counters = std::make_shared<ModelCounters>();
  return counters;
}

void Counters::Record(bool ok, int64_t latency_ns) {
  MutexLock lock(mu_);
  Add(all_, ok, latency_ns);
}

void Counters::RecordRefusal(Refusal refusal) {
  MutexLock lock(mu_);
  ++refused_[static_cast<size_t>(refusal)];
}

Totals Counters::all() const {
  MutexLock lock(mu_);
  return all_;
}

std::array<uint64_t, kRefusals> Counters::refused() const {
  MutexLock lock(mu_);
  return refused_;
}

void Counters::Forget(const std::string& model_id) {
  MutexLock lock(mu_);
  models_.erase(model_id);
}

}  // namespace mlos::serving
