// SPDX-License-Identifier: Apache-2.0
// Tells when memory runs short: stalls that the kernel measures (PSI), and a control group that reaches its limits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "os/memory_info.h"

namespace mlos::os {

struct PressureSample {
  bool stalled = false;  // tasks waited for memory for more than the trigger's share of the last second
  uint64_t high = 0;     // times the control group was throttled since the last sample
  uint64_t max = 0;      // times it reached its limit since the last sample
  bool any() const { return stalled || high > 0 || max > 0; }
};

class MemoryPressure {
 public:
  virtual ~MemoryPressure() = default;
  // Blocks until something happens, `timeout_ns` passes or Interrupt is called. One thread.
  virtual PressureSample Wait(int64_t timeout_ns) = 0;
  // Ends a Wait that is under way, or the next one. Any thread.
  virtual void Interrupt() = 0;
  // What is watched, and what is not and why: "stalls (PSI), control group /x", "stalls are not watched: ...".
  virtual const std::string& description() const = 0;

  // Watches what this machine has; never fails. `psi_file` is /proc/pressure/memory but in tests.
  static std::unique_ptr<MemoryPressure> Open(const CgroupMemory& cgroup,
                                              const std::string& psi_file = "/proc/pressure/memory");
};

}  // namespace mlos::os
