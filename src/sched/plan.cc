// SPDX-License-Identifier: Apache-2.0
#include "sched/plan.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace mlos::sched {
namespace {

// What must be gained before more members or threads are taken.
constexpr double kWorthIt = 0.97;
// Below this, other threads cost more to wake than they bring.
constexpr int64_t kTooShortToThreadNs = 200'000;

// The share of a whole that goes with `part` of `all`, at least 1.
size_t Share(size_t whole, size_t part, size_t all) {
  return std::max<size_t>(1, (whole * part + all / 2) / std::max<size_t>(all, 1));
}

class Planner {
 public:
  explicit Planner(const PlanInput& input) : input_(input) {
    const size_t mine = input.candidates.size();
    const size_t all = mine + input.waiting_others;
    free_ = static_cast<int>(Share(static_cast<size_t>(std::max(input.free_slots, 1)), mine, all));
    const size_t total = std::max<size_t>(
        static_cast<size_t>(free_), Share(static_cast<size_t>(std::max(input.total_slots, 1)), mine, all));
    // What waits is also for the slots that are taken now and become free, unless these have their share already.
    const size_t share = ((mine + input.running_members) * static_cast<size_t>(free_) + total - 1) / total;
    mine_ = std::clamp<size_t>(share, 1, mine);
  }

  Plan Choose() {
    best_.threads = Choice(0);
    Consider(1, false);
    if (CanBatch()) {
      for (size_t n = 2; n <= mine_; n = Next(n)) Consider(n, false);
      Probe();
    }
    if (best_.members == 1) ProbeThreads();
    return best_;
  }

 private:
  bool CanBatch() const { return input_.max_rows > 1 && mine_ > 1 && input_.profile != nullptr; }

  // 2, 3, 4, 6, 8, 12, 16 ... and all there are.
  size_t Next(size_t n) const {
    if (n == mine_) return n + 1;
    const size_t more = n < 4 ? n + 1 : (n & (n - 1)) == 0 ? n + n / 2 : n / 3 * 4;
    return std::min(more, mine_);
  }

  uint32_t Rows(size_t members) const {
    uint64_t rows = 0;
    for (size_t i = 0; i < members; ++i) rows += std::max(input_.candidates[i].rows, 1U);
    return static_cast<uint32_t>(std::min<uint64_t>(rows, std::numeric_limits<uint32_t>::max()));
  }

  Estimate Predict(size_t members, int threads) const {
    if (input_.profile == nullptr) return {};
    return input_.profile->Predict({input_.row_elements, Rows(members)}, static_cast<uint32_t>(threads));
  }

  // Nobody is late by the batch who would be on time without it.
  bool InTime(size_t members, int64_t batch_ns, int64_t alone_ns) const {
    const auto fits = [&](int64_t slack_ns) {
      return slack_ns == 0 || slack_ns >= batch_ns || slack_ns < alone_ns;
    };
    for (size_t i = 0; i < members; ++i) {
      if (!fits(input_.candidates[i].slack_ns)) return false;
    }
    return fits(input_.others_slack_ns);
  }

  // Time until the group's share is done when all its executions run like this. Not rounded up to whole waves: under load more will have
  // come by then, and what counts is the rate.
  double Makespan(size_t members, int threads, int64_t run_ns) const {
    const size_t side_by_side = static_cast<size_t>(std::max(free_ / threads, 1));
    const double waves = static_cast<double>(mine_) / static_cast<double>(members * side_by_side);
    return std::max(waves, 1.0) * static_cast<double>(run_ns);
  }

  void Consider(size_t members, bool probe) {
    if (members > 1 && Rows(members) > input_.max_rows) return;
    for (size_t i = 0; Choice(i) > 0; ++i) {
      const int threads = Choice(i);
      const Estimate estimate = Predict(members, threads);
      if (i == 0 && members == 1) {
        best_.estimate = estimate;
        alone_p90_ns_ = estimate.p90_ns;
        // Nothing known: the whole share, which is what a first request hopes for.
        if (estimate.p50_ns == 0) {
          if (input_.profile != nullptr) best_.threads = LargestChoice();
          return;
        }
        best_ns_ = Makespan(1, threads, estimate.p50_ns);
        if (estimate.p50_ns < kTooShortToThreadNs) break;
        continue;
      }
      if (members > 1) {
        if (!probe && estimate.runs < ExecutionProfile::kTrusted) continue;
        if (!InTime(members, estimate.p90_ns, alone_p90_ns_)) continue;
      }
      const double ns = Makespan(members, threads, estimate.p50_ns);
      if (!probe && ns >= best_ns_ * kWorthIt) continue;
      best_ns_ = ns;
      best_ = {.members = members, .threads = threads, .estimate = estimate, .probe = probe};
      if (probe) return;
    }
  }

  // The thread counts to consider, from the smallest on; 0 beyond the last.
  int Choice(size_t at) const {
    if (input_.fixed_threads > 0) return at == 0 ? std::clamp(input_.fixed_threads, 1, input_.free_slots) : 0;
    return input_.may_thread || at == 0 ? ThreadChoice(at, free_) : 0;
  }

  int LargestChoice() const {
    int largest = Choice(0);
    for (size_t i = 1; Choice(i) > 0; ++i) largest = Choice(i);
    return largest;
  }

  // Tries the smallest batch that is not known yet, while the known ones get better; now and then the largest.
  void Probe() {
    const int threads = Choice(0);
    if (best_.estimate.p50_ns == 0 || best_.threads != threads) return;
    double per_row_ns = static_cast<double>(Predict(1, threads).p50_ns) / Rows(1);
    int disappointments = 0;
    size_t unknown = 0;
    size_t largest = 0;
    for (size_t n = 2; n <= mine_ && Rows(n) <= input_.max_rows && disappointments < 2; n = Next(n)) {
      largest = n;
      const Estimate estimate = Predict(n, threads);
      if (estimate.runs < ExecutionProfile::kTrusted) {
        unknown = n;
        break;
      }
      const double ns = static_cast<double>(estimate.p50_ns) / Rows(n);
      disappointments = ns < per_row_ns * kWorthIt ? 0 : disappointments + 1;
      per_row_ns = std::min(per_row_ns, ns);
    }
    const size_t members = unknown > 0 ? unknown : largest;
    if (members == 0 || !input_.profile->ProbeDue(unknown == 0)) return;
    // A derived time is a guess: a probe needs room for twice that.
    if (!InTime(members, 2 * Predict(members, threads).p90_ns, 0)) return;
    Consider(members, true);
  }

  // Now and then another thread count: what was measured once, on a busy moment, must not hold for ever.
  void ProbeThreads() {
    if (!input_.may_thread || input_.fixed_threads > 0 || free_ < 2 || input_.profile == nullptr ||
        best_.estimate.p50_ns < kTooShortToThreadNs)
      return;
    const std::optional<uint64_t> turn = input_.profile->ThreadProbeDue();
    if (!turn) return;
    size_t choices = 0;
    while (Choice(choices) > 0) ++choices;
    const int threads = Choice(*turn % choices);
    const Estimate estimate = Predict(1, threads);
    const int64_t slack_ns = input_.candidates.front().slack_ns;
    if (threads == best_.threads || (slack_ns > 0 && slack_ns < 2 * estimate.p90_ns)) return;
    best_.threads = threads;
    best_.estimate = estimate;
    best_.probe = true;
  }

  const PlanInput& input_;
  int free_ = 1;     // slots that are the group's share
  size_t mine_ = 1;  // candidates for which they are
  int64_t alone_p90_ns_ = 0;
  double best_ns_ = 0;
  Plan best_;
};

}  // namespace

int ThreadChoice(size_t at, int most) {
  if (at >= 31) return 0;
  const int power = 1 << at;
  if (power <= most) return power;
  return power / 2 < most ? most : 0;
}

Plan ChoosePlan(const PlanInput& input) { return Planner(input).Choose(); }

}  // namespace mlos::sched
