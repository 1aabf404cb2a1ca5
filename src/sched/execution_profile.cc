// SPDX-License-Identifier: Apache-2.0
#include "sched/execution_profile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

namespace mlos::sched {
namespace {

constexpr uint32_t kSizeSteps = 8;
constexpr uint32_t kRowSteps = 4;
// A derived figure is less sure than the one it comes from.
constexpr double kDerivedSpread = 1.25;
constexpr double kThreadsExponent = 0.7;
constexpr uint64_t kProbeUnknownEvery = 3;
constexpr uint64_t kProbeKnownEvery = 256;
constexpr uint64_t kProbeThreadsEvery = 64;
// A probe of what is known is several runs in a row, so that their median can replace one that was disturbed.
constexpr uint64_t kProbesInARow = 3;
// A cell that was not used for so many runs of the model goes on with its last two times only.
constexpr uint64_t kStaleRuns = 32;
constexpr size_t kKeptWhenStale = 2;
constexpr uint64_t kDoubtEvery = 8;

// Key: size bucket (10 bits), row bucket (8 bits), threads (10 bits).
constexpr uint32_t SizeOf(uint32_t key) { return key >> 18; }
constexpr uint32_t RowsOf(uint32_t key) { return key >> 10 & 0xFF; }
constexpr uint32_t ThreadsOf(uint32_t key) { return key & 0x3FF; }

bool ProbeOfKnownDue(uint64_t opportunity, uint64_t every) {
  return opportunity >= every && opportunity % every < kProbesInARow;
}

int Distance(uint32_t a, uint32_t b) { return std::abs(static_cast<int>(a) - static_cast<int>(b)); }

double Log2(uint32_t n) { return std::log2(static_cast<double>(std::max(n, 1U))); }

}  // namespace

uint32_t LogBucket(uint64_t value, uint32_t steps) {
  if (value < steps) return static_cast<uint32_t>(value);
  const auto bits = static_cast<uint32_t>(std::countr_zero(steps));
  const auto octave = static_cast<uint32_t>(std::bit_width(value)) - 1;
  const auto step = static_cast<uint32_t>(value >> (octave - bits)) & (steps - 1);
  return (octave - bits + 1) * steps + step;
}

uint64_t LogBucketFloor(uint32_t bucket, uint32_t steps) {
  if (bucket < steps) return bucket;
  const uint32_t shift = bucket / steps - 1;
  return static_cast<uint64_t>(steps + bucket % steps) << shift;
}

uint32_t ExecutionProfile::KeyOf(const RunSize& size, uint32_t threads) {
  const uint32_t rows = std::min(LogBucket(std::max(size.rows, 1U), kRowSteps), 0xFFU);
  return LogBucket(std::max<uint64_t>(size.row_elements, 1), kSizeSteps) << 18 | rows << 10 |
         std::min(threads, 0x3FFU);
}

ExecutionProfile::Cell* ExecutionProfile::Find(uint32_t key) const {
  const auto it = std::find(keys_.begin(), keys_.end(), key);
  return it == keys_.end() ? nullptr : &cells_[static_cast<size_t>(it - keys_.begin())];
}

bool ExecutionProfile::AnyWarm() const { return std::ranges::any_of(cells_, &Cell::warm); }

ExecutionProfile::Cell& ExecutionProfile::FindOrMake(uint32_t key) {
  if (Cell* cell = Find(key)) return *cell;
  if (cells_.size() < kMaxCells) {
    keys_.push_back(key);
    return cells_.emplace_back();
  }
  const auto oldest = std::ranges::min_element(cells_, {}, &Cell::used);
  keys_[static_cast<size_t>(oldest - cells_.begin())] = key;
  *oldest = Cell();
  return *oldest;
}

void ExecutionProfile::Observe(const RunSize& size, uint32_t threads, int64_t duration_ns) {
  const int64_t ns = std::max<int64_t>(duration_ns, 1);
  const int64_t rows = std::max<int64_t>(size.rows, 1);
  MutexLock lock(mu_);
  Cell& cell = FindOrMake(KeyOf(size, threads));
  if (cell.warm && runs_ - cell.used > kStaleRuns) cell.per_row_ns.KeepLast(kKeptWhenStale);
  cell.used = ++runs_;
  if (!cell.warm && cell.per_row_ns.size() > 0) {
    cell.per_row_ns.Clear();
    cell.warm = true;
  }
  if (cell.runs >= kTrusted) {
    errors_permille_.Add(std::abs(cell.p50_ns * rows - ns) * 1000 / ns);
    ++predictions_;
  }
  if (cell.warm) ++cell.runs;
  cell.per_row_ns.Add(ns / rows);
  cell.p50_ns = std::max<int64_t>(cell.per_row_ns.Quantile(0.5), 1);
  cell.p90_ns = std::max<int64_t>(cell.per_row_ns.Quantile(0.9), 1);
}

Estimate ExecutionProfile::Predict(const RunSize& size, uint32_t threads) const {
  const int64_t rows = std::max<int64_t>(size.rows, 1);
  MutexLock lock(mu_);
  const Cell* cell = Find(KeyOf(size, threads));
  // A warm-up alone says less than what others of the model took.
  if (cell != nullptr && (cell->warm || !AnyWarm())) {
    return {.p50_ns = cell->p50_ns * rows, .p90_ns = cell->p90_ns * rows, .runs = cell->runs};
  }
  return Derive(size, threads);
}

Estimate ExecutionProfile::Derive(const RunSize& size, uint32_t threads) const {
  const uint32_t key = KeyOf(size, threads);
  double nearest = 0;
  size_t from = keys_.size();
  const bool only_warm = AnyWarm();
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (only_warm && !cells_[i].warm) continue;
    // In octaves. Another thread count says most about the same work, another size least.
    const double distance = 2.0 * Distance(SizeOf(keys_[i]), SizeOf(key)) / kSizeSteps +
                            1.0 * Distance(RowsOf(keys_[i]), RowsOf(key)) / kRowSteps +
                            1.5 * std::abs(Log2(ThreadsOf(keys_[i])) - Log2(threads));
    if (from == keys_.size() || distance < nearest) {
      nearest = distance;
      from = i;
    }
  }
  if (from == keys_.size()) return {};
  const double known_elements =
      static_cast<double>(std::max<uint64_t>(LogBucketFloor(SizeOf(keys_[from]), kSizeSteps), 1));
  double scale = static_cast<double>(std::max<uint32_t>(size.rows, 1));
  // Within a bucket sizes are taken as equal.
  if (SizeOf(keys_[from]) != SizeOf(key))
    scale *= static_cast<double>(std::max<uint64_t>(size.row_elements, 1)) / known_elements;
  const uint32_t known_threads = ThreadsOf(keys_[from]);
  if (known_threads > 0 && threads > 0 && known_threads != threads) {
    scale *= std::pow(static_cast<double>(known_threads) / threads, kThreadsExponent);
  }
  const Cell& cell = cells_[from];
  return {.p50_ns = static_cast<int64_t>(static_cast<double>(cell.p50_ns) * scale),
          .p90_ns = static_cast<int64_t>(static_cast<double>(cell.p90_ns) * scale * kDerivedSpread),
          .runs = 0};
}

bool ExecutionProfile::ProbeDue(bool known) {
  MutexLock lock(mu_);
  // Counted apart: an opportunity of one kind that regularly follows one of the other would take its turn each time.
  if (!known) return ++opportunities_ % kProbeUnknownEvery == 0;
  return ProbeOfKnownDue(++known_opportunities_, kProbeKnownEvery);
}

bool ExecutionProfile::DoubtDue() {
  MutexLock lock(mu_);
  return ++doubts_ % kDoubtEvery == 0;
}

std::optional<uint64_t> ExecutionProfile::ThreadProbeDue() {
  MutexLock lock(mu_);
  if (!ProbeOfKnownDue(++thread_opportunities_, kProbeThreadsEvery)) return std::nullopt;
  return thread_opportunities_ / kProbeThreadsEvery;
}

double ExecutionProfile::prediction_error() const {
  MutexLock lock(mu_);
  return static_cast<double>(errors_permille_.Quantile(0.5)) / 1000;
}

uint64_t ExecutionProfile::predictions() const {
  MutexLock lock(mu_);
  return predictions_;
}

uint64_t ExecutionProfile::runs() const {
  MutexLock lock(mu_);
  return runs_;
}

}  // namespace mlos::sched
