// SPDX-License-Identifier: Apache-2.0
// Time behind an interface, so that deadlines are tested without sleeping.
#pragma once

#include <atomic>
#include <cstdint>

namespace mlos {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // CLOCK_MONOTONIC, nanoseconds.
  virtual int64_t MonotonicNs() const = 0;
  // Wall clock, nanoseconds since the Unix epoch.
  virtual int64_t UnixNs() const = 0;
  // The machine's clock; lives for ever.
  static Clock& Real();
};

// Stands still until told otherwise.
class FakeClock final : public Clock {
 public:
  int64_t MonotonicNs() const override { return now_ns_.load(); }
  int64_t UnixNs() const override { return kEpochNs + now_ns_.load(); }
  void AdvanceNs(int64_t delta_ns) { now_ns_.fetch_add(delta_ns); }

 private:
  static constexpr int64_t kEpochNs = 1'700'000'000'000'000'000;
  std::atomic<int64_t> now_ns_{1};
};

}  // namespace mlos
