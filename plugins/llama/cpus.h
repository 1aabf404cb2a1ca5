// SPDX-License-Identifier: Apache-2.0
// How many threads to compute with. The engine's threads wait for each other by spinning, so one thread more than there
// are CPUs costs far more than it brings.
#pragma once

#include <cstdint>
#include <string_view>

namespace mlos::llama {

// CPUs this process may run on: its affinity mask, and no more than its control group's CPU quota. At least 1.
uint32_t AvailableCpus();

// CPUs that the text of cgroup v2's cpu.max grants, rounded up; 0 = no limit ("max 100000") or not understood.
uint32_t CpusOfQuota(std::string_view cpu_max);

// For a model with `weight_bytes` of weights: one thread when they are so few that meeting costs more than sharing the work
// saves; otherwise all CPUs up to three, one less from four on, so that a busy neighbour does not stop every step.
uint32_t DefaultThreads(uint32_t cpus, uint64_t weight_bytes);
inline constexpr uint64_t kOneThreadWeightBytes = 16 << 20;

}  // namespace mlos::llama
