// SPDX-License-Identifier: Apache-2.0
// Memory pressure that a test makes.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "os/memory_pressure.h"

namespace mlos::os {

// Thread-safe.
class FakeMemoryPressure final : public MemoryPressure {
 public:
  PressureSample Wait(int64_t timeout_ns) override {
    MutexLock lock(mu_);
    if (!pending_.any() && !interrupted_) changed_.WaitFor(mu_, std::chrono::nanoseconds(timeout_ns));
    interrupted_ = false;
    return std::exchange(pending_, {});
  }
  void Interrupt() override {
    MutexLock lock(mu_);
    interrupted_ = true;
    changed_.NotifyAll();
  }
  const std::string& description() const override { return description_; }

  void Press(const PressureSample& sample) {
    MutexLock lock(mu_);
    pending_ = sample;
    changed_.NotifyAll();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  PressureSample pending_ MLOS_GUARDED_BY(mu_);
  bool interrupted_ MLOS_GUARDED_BY(mu_) = false;
  const std::string description_ = "a test";
};

}  // namespace mlos::os
