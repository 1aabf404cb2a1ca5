// SPDX-License-Identifier: Apache-2.0
// Quantiles of the last N values.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace mlos::sched {

// Not thread-safe.
template <size_t N>
class QuantileWindow {
 public:
  void Add(int64_t value) {
    values_[next_] = value;
    next_ = (next_ + 1) % N;
    size_ = std::min(size_ + 1, N);
  }
  void Clear() { size_ = next_ = 0; }
  // Forgets all but the last `count`.
  void KeepLast(size_t count) {
    if (size_ <= count) return;
    std::array<int64_t, N> kept;
    for (size_t i = 0; i < count; ++i) kept[i] = values_[(next_ + N - count + i) % N];
    Clear();
    for (size_t i = 0; i < count; ++i) Add(kept[i]);
  }
  size_t size() const { return size_; }
  // The least value that at least `q` (0..1) of the values do not exceed; 0 when there is none.
  int64_t Quantile(double q) const {
    if (size_ == 0) return 0;
    std::array<int64_t, N> sorted;
    std::copy_n(values_.begin(), size_, sorted.begin());
    const auto rank = static_cast<size_t>(std::clamp(q, 0.0, 1.0) * static_cast<double>(size_));
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(rank, size_ - 1));
    std::nth_element(sorted.begin(), at, sorted.begin() + static_cast<std::ptrdiff_t>(size_));
    return *at;
  }

 private:
  std::array<int64_t, N> values_;
  size_t size_ = 0;
  size_t next_ = 0;
};

}  // namespace mlos::sched
