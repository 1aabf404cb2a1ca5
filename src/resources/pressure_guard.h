// SPDX-License-Identifier: Apache-2.0
// Unloads idle models, oldest first, while the machine or the control group is short of memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "os/memory_pressure.h"
#include "resources/memory_broker.h"

namespace mlos::resources {

// When to unload one. Hysteresis: what was unloaded gets `settle_ns` to take effect before the next one goes; the first
// sample of a pressure that lasts counts at once. Pure but for its state; not thread-safe.
class PressurePolicy {
 public:
  explicit PressurePolicy(int64_t settle_ns = 1'000'000'000) : settle_ns_(settle_ns) {}
  // True: unload one now.
  bool Step(const os::PressureSample& sample, int64_t now_ns);
  // Nothing was idle: no need to wait before trying again.
  void NothingUnloaded() { next_ns_ = 0; }

 private:
  const int64_t settle_ns_;
  int64_t next_ns_ = 0;
};

class PressureGuard {
 public:
  // What was unloaded and why, for the log; any thread.
  using Report = std::function<void(const std::string& who, uint64_t bytes)>;
  // Watches on a thread of its own until it is destroyed. `broker` outlives it.
  PressureGuard(std::unique_ptr<os::MemoryPressure> pressure, MemoryBroker& broker, Report report,
                Clock& clock = Clock::Real());
  ~PressureGuard();
  PressureGuard(const PressureGuard&) = delete;
  PressureGuard& operator=(const PressureGuard&) = delete;

  const std::string& description() const { return pressure_->description(); }

 private:
  void Loop();

  // Constant after construction.
  const std::unique_ptr<os::MemoryPressure> pressure_;
  MemoryBroker& broker_;
  const Report report_;
  Clock& clock_;

  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace mlos::resources
