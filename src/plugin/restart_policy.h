// SPDX-License-Identifier: Apache-2.0
// When a worker that died is started again. Pure: the caller has the clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

namespace mlos::plugin {

// The first restart comes at once; of several deaths within a minute the second waits 100 ms, then twice as long each time, at
// most 30 s. Given up after `max_fruitless` deaths in a row without one request answered in between.
class RestartPolicy {
 public:
  explicit RestartPolicy(uint32_t max_fruitless) : max_fruitless_(std::max<uint32_t>(max_fruitless, 1)) {}

  // A worker died at `now_ns`; `fruitful` when it had answered a request. How long to wait, or nothing: give up.
  std::optional<int64_t> OnDeath(int64_t now_ns, bool fruitful) {
    fruitless_ = fruitful ? 0 : fruitless_ + 1;
    if (fruitless_ >= max_fruitless_) return std::nullopt;
    while (!deaths_.empty() && now_ns - deaths_.front() > kWindowNs) deaths_.pop_front();
    deaths_.push_back(now_ns);
    const size_t recent = std::min<size_t>(deaths_.size(), 16);
    if (recent <= 1) return 0;
    return std::min(kFirstWaitNs << (recent - 2), kLongestWaitNs);
  }
  uint32_t fruitless() const { return fruitless_; }

 private:
  static constexpr int64_t kWindowNs = 60'000'000'000;
  static constexpr int64_t kFirstWaitNs = 100'000'000;
  static constexpr int64_t kLongestWaitNs = 30'000'000'000;

  const uint32_t max_fruitless_;
  uint32_t fruitless_ = 0;
  std::deque<int64_t> deaths_;
};

}  // namespace mlos::plugin
