// SPDX-License-Identifier: Apache-2.0
// Which of the waiting tasks can still be on time, all together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mlos::sched {

struct PlannedRun {
  int64_t deadline_ns = 0;  // 0 = none: it is never late
  int64_t run_ns = 0;       // from its start to its end
  int64_t work_ns = 0;      // CPU time it takes: run_ns times threads
};

// `runs` in the order in which they would start, the first at `start_ns`, on a machine that does `slots` ns of work in a ns.
// Marks in `*keep` as many as can be on time when the others are left out: Moore's algorithm, which for one slot and runs in
// deadline order finds the largest such set (J. M. Moore, Management Science 15, 1968). Runs that may not be left out to make
// room for others are not known: who is left out may be on time after all when others end early.
void MostOnTime(std::span<const PlannedRun> runs, int64_t start_ns, int slots, std::vector<bool>* keep);

}  // namespace mlos::sched
