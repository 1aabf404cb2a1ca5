// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <chrono>

namespace mlos {
namespace {

class RealClock final : public Clock {
 public:
  int64_t MonotonicNs() const override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t UnixNs() const override {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock clock;
  return clock;
}

}  // namespace mlos
