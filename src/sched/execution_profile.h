// SPDX-License-Identifier: Apache-2.0
// How long a model takes, learnt from its own runs: by size of a row, rows and threads, as quantiles.
//
// A cell holds the last runs of one size (8 sizes an octave), row count (4 an octave) and thread count. The first run of a
// cell is a warm-up: it counts only until there is a second. What has not been run is derived from the nearest cell that
// has: proportional to rows and elements, and to threads^-0.7, which is optimistic, so that other settings get tried.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "sched/quantile_window.h"
#include "sched/task.h"

namespace mlos::sched {

struct Estimate {
  int64_t p50_ns = 0;  // 0 = nothing known
  int64_t p90_ns = 0;
  uint32_t runs = 0;  // of this very cell, warm-up left out; 0: derived from other cells
};

// Thread-safe.
class ExecutionProfile {
 public:
  // Runs of a cell from which on its figures are trusted.
  static constexpr uint32_t kTrusted = 3;

  Estimate Predict(const RunSize& size, uint32_t threads) const;
  // A run that had its threads for itself and ended well.
  void Observe(const RunSize& size, uint32_t threads, int64_t duration_ns);

  // Whether a batch should be tried although the profile does not favour it: now and then, more often while it is not known.
  // Every call counts as an opportunity.
  bool ProbeDue(bool known);
  // Whether a task that would be refused, because it is predicted to take longer than it may, should run all the same: every
  // eighth, so that a prediction that has become wrong does not refuse for ever.
  bool DoubtDue();
  // Whether another thread count should be tried, a few times in a row; the number of the turn.
  std::optional<uint64_t> ThreadProbeDue();

  // Median of |predicted - true| / true over the last runs of trusted cells; 0 when there were none.
  double prediction_error() const;
  uint64_t predictions() const;
  uint64_t runs() const;

 private:
  static constexpr size_t kWindow = 32;
  static constexpr size_t kMaxCells = 256;

  struct Cell {
    QuantileWindow<kWindow> per_row_ns;
    int64_t p50_ns = 0;  // of a row
    int64_t p90_ns = 0;
    uint32_t runs = 0;
    bool warm = false;
    uint64_t used = 0;
  };

  static uint32_t KeyOf(const RunSize& size, uint32_t threads);
  Cell* Find(uint32_t key) const MLOS_REQUIRES(mu_);
  bool AnyWarm() const MLOS_REQUIRES(mu_);
  Cell& FindOrMake(uint32_t key) MLOS_REQUIRES(mu_);
  Estimate Derive(const RunSize& size, uint32_t threads) const MLOS_REQUIRES(mu_);

  mutable Mutex mu_;
  // Side by side, so that the search runs over the keys alone.
  std::vector<uint32_t> keys_ MLOS_GUARDED_BY(mu_);
  mutable std::vector<Cell> cells_ MLOS_GUARDED_BY(mu_);
  QuantileWindow<64> errors_permille_ MLOS_GUARDED_BY(mu_);
  uint64_t predictions_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t runs_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t opportunities_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t known_opportunities_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t doubts_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t thread_opportunities_ MLOS_GUARDED_BY(mu_) = 0;
};

// Grows with `value`, by `steps` an octave; exact below `steps`. steps is 4 or 8.
uint32_t LogBucket(uint64_t value, uint32_t steps);
// The least value of that bucket.
uint64_t LogBucketFloor(uint32_t bucket, uint32_t steps);

}  // namespace mlos::sched
