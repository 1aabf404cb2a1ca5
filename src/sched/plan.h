// SPDX-License-Identifier: Apache-2.0
// How the next execution runs: how many of the waiting requests together, on how many threads. A pure function of what waits
// and of what the model's profile has measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sched/execution_profile.h"
#include "sched/task.h"

namespace mlos::sched {

// A task that may be part of the execution.
struct Candidate {
  uint32_t rows = 1;
  int64_t slack_ns = 0;  // the execution may take that long; 0 = no deadline
};

struct PlanInput {
  ExecutionProfile* profile = nullptr;
  uint64_t row_elements = 1;
  // Of one group, in the order in which they would start; the first one runs in any case.
  std::span<const Candidate> candidates;
  size_t waiting_others = 0;   // tasks outside the group
  size_t running_members = 0;  // tasks of the group in executions under way
  int free_slots = 1;
  int total_slots = 1;
  // How long the execution may take for the sake of a task outside the group; 0 = as long as it wants.
  int64_t others_slack_ns = 0;
  uint32_t max_rows = 1;   // of a batch; 1 = no batches
  bool may_thread = true;  // false: one thread each
  int fixed_threads = 0;   // each takes so many, as far as slots are free; 0 = what pays
};

struct Plan {
  size_t members = 1;  // the first of the candidates
  int threads = 1;
  Estimate estimate;
  bool probe = false;  // a batch tried in order to learn
};

// Of all (members, threads) that the free slots allow, the one after which the group's share of the work is done soonest, by
// what the profile predicts; among equals (3 %) the one with fewer members, then the one with fewer threads. A batch is
// chosen only when its own time was measured (kTrusted runs) and beats running its members one by one by 3 %, or as a probe; never when a
// member, or others_slack_ns, would be late by it that would not be late alone.
Plan ChoosePlan(const PlanInput& input);

// 1, 2, 4, ... and `most`: the thread counts worth telling apart. `at` counts from 0; 0 beyond the last.
int ThreadChoice(size_t at, int most);

}  // namespace mlos::sched
