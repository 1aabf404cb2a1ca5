// SPDX-License-Identifier: Apache-2.0
// What is learnt from executions (quantiles, accuracy of predictions, offsets of plans) against the samples themselves.
#include "kernel_core.h"

extern "C" {
#include "accuracy.h"
#include "latency.h"
#include "plan.h"
}
#undef min
#undef max

namespace {

using mlos::fuzz::Steps;

constexpr uint64_t kFadeAt = 4096;  // more samples than that are halved: exact up to there

// The edges of a bucket are at most 12.5 % apart between 1 us and 73 minutes.
void CheckQuantile(const mlos_latency& l, const std::vector<uint64_t>& samples, uint32_t per_mille) {
  if (samples.empty() || samples.size() >= kFadeAt) return;
  const size_t rank = std::max<size_t>(1, (samples.size() * per_mille + 999) / 1000);
  const uint64_t truth = samples[rank - 1];
  if (truth < 1024 || truth >= 1ULL << 42) return;
  const uint64_t told = mlos_latency_quantile(&l, per_mille);
  MUST(told > truth && told <= truth + truth / 8 + 1);
}

void CheckLatency(const mlos_latency& l, const std::vector<uint64_t>& samples, uint64_t probe,
                  uint64_t elapsed) {
  uint64_t total = 0;
  for (const uint32_t count : l.count) total += count;
  MUST(total == l.total && l.samples == samples.size());
  if (samples.empty()) {
    MUST(mlos_latency_quantile(&l, 500) == 0 && mlos_latency_above_pct(&l, 1 << 20) == 50);
    return;
  }
  MUST(l.min_ns == samples.front() && l.max_ns == samples.back());
  MUST(l.mean_ns >= l.min_ns && l.mean_ns <= l.max_ns);
  uint64_t below = 0;
  for (const uint32_t per_mille : {0u, 100u, 500u, 900u, 990u, 1000u, 5000u}) {
    const uint64_t quantile = mlos_latency_quantile(&l, per_mille);
    MUST(quantile >= below);
    below = quantile;
  }
  for (const uint32_t per_mille : {500u, 900u, 990u}) CheckQuantile(l, samples, per_mille);
  MUST(mlos_latency_above_pct_given(&l, probe, elapsed) <= 100);
  MUST(mlos_latency_above_pct(&l, probe) >= mlos_latency_above_pct(&l, probe | 1));
  MUST(mlos_latency_median_given(&l, elapsed) >= elapsed);
  const uint64_t root = mlos_isqrt(l.variance);
  MUST(root <= 0xffffffffULL && root * root <= l.variance);
}

void LatencySteps(Steps steps) {
  mlos_latency l{};
  std::vector<uint64_t> samples;  // sorted
  while (!steps.Done()) {
    const uint64_t ns = steps.Number();
    const uint32_t times = steps.Below(8) == 0 ? 1 + steps.Byte() * 8 : 1;
    for (uint32_t i = 0; i < times; ++i) mlos_latency_add(&l, ns);
    const uint64_t kept = std::min<uint64_t>(ns, 1ULL << 62);
    samples.insert(std::upper_bound(samples.begin(), samples.end(), kept), times, kept);
    CheckLatency(l, samples, steps.Number(), steps.Number());
    if (samples.size() > 3 * kFadeAt) break;
  }
}

void AccuracySteps(Steps steps) {
  mlos_accuracy a{};
  uint64_t total = 0, right = 0, missed = 0, alarms = 0, late_ones = 0;
  while (!steps.Done()) {
    const mlos_prediction p{steps.Number(), steps.Byte()};
    const bool late = steps.Below(2);
    mlos_accuracy_add(&a, &p, steps.Number(), late);
    if (p.completion_ns) {
      ++total;
      right += (p.miss_pct >= 50) == late;
      missed += late && p.miss_pct < 50;
      alarms += !late && p.miss_pct >= 50;
      late_ones += late;
    }
    MUST(a.total == total && a.accurate == right && a.missed == missed && a.false_alarms == alarms &&
         a.late == late_ones);
    MUST(a.accurate + a.missed + a.false_alarms == a.total);
    MUST(mlos_accuracy_pct(&a) <= 100 && mlos_accuracy_calibration(&a) <= 100);
  }
}

void CheckPlan(const mlos_plan& plan, uint64_t ended) {
  MUST(plan.successful + plan.late + plan.early <= ended);
  int64_t sum = 0;
  for (uint32_t i = 0; i < plan.count; ++i) {
    const mlos_plan_item& item = plan.items[i];
    MUST(item.learnt_ns <= MLOS_PLAN_MAX_OFFSET_NS && item.cost_ns <= MLOS_PLAN_MAX_OFFSET_NS);
    MUST(mlos_plan_issue_at(&plan, i) <= item.learnt_ns);
    if (!plan.learning) MUST(item.learnt_ns == item.given_ns);
    sum += static_cast<int64_t>(item.learnt_ns) - static_cast<int64_t>(item.given_ns);
  }
  MUST(mlos_plan_adjustment_ns(&plan) == sum / static_cast<int64_t>(plan.count));
}

void PlanSteps(Steps steps) {
  std::vector<mlos_plan_item> items(1 + steps.Below(5));
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].tensor_id = i + 1;
    items[i].given_ns = items[i].learnt_ns = steps.Number() % (MLOS_PLAN_MAX_OFFSET_NS + 1);
  }
  mlos_plan plan{};
  plan.items = items.data();
  plan.count = static_cast<uint32_t>(items.size());
  plan.learning = steps.Below(2);
  plan.rate_pct = 1 + steps.Below(100);
  uint64_t now = 1, start = 1, ended = 0;
  while (!steps.Done()) {
    now += steps.Number() >> 24;
    now = std::min<uint64_t>(now, 1ULL << 62);
    switch (steps.Below(4)) {
      case 0:
        mlos_plan_begin(&plan);
        start = now;
        break;
      case 1:
        mlos_plan_ready(&plan, steps.Below(plan.count), now, steps.Number());
        break;
      case 2:
        mlos_plan_touched(&plan, steps.Below(7), now);
        break;
      case 3:
        mlos_plan_end(&plan, start);
        mlos_plan_begin(&plan);
        ended += plan.count;
        break;
    }
    CheckPlan(plan, ended);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Steps steps(data + 1, size - 1);
  if (data[0] % 3 == 0) LatencySteps(steps);
  if (data[0] % 3 == 1) AccuracySteps(steps);
  if (data[0] % 3 == 2) PlanSteps(steps);
  return 0;
}
