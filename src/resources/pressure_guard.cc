// SPDX-License-Identifier: Apache-2.0
#include "resources/pressure_guard.h"

namespace mlos::resources {
namespace {

constexpr int64_t kLookNs = 1'000'000'000;

}  // namespace

bool PressurePolicy::Step(const os::PressureSample& sample, int64_t now_ns) {
  if (!sample.any() || now_ns < next_ns_) return false;
  next_ns_ = now_ns + settle_ns_;
  return true;
}

PressureGuard::PressureGuard(std::unique_ptr<os::MemoryPressure> pressure, MemoryBroker& broker,
                             Report report, Clock& clock)
    : pressure_(std::move(pressure)), broker_(broker), report_(std::move(report)), clock_(clock) {
  thread_ = std::thread([this] { Loop(); });
}

PressureGuard::~PressureGuard() {
  stopping_.store(true);
  pressure_->Interrupt();
  thread_.join();
}

void PressureGuard::Loop() {
  PressurePolicy policy;
  while (!stopping_.load()) {
    const os::PressureSample sample = pressure_->Wait(kLookNs);
    if (stopping_.load() || !policy.Step(sample, clock_.MonotonicNs())) continue;
    if (const auto gone = broker_.EvictOldest(EvictReason::kPressure)) {
      report_(gone->first, gone->second);
    } else {
      policy.NothingUnloaded();
    }
  }
}

}  // namespace mlos::resources
