// SPDX-License-Identifier: Apache-2.0
#include "sched/on_time.h"

#include <algorithm>
#include <queue>
#include <utility>

namespace mlos::sched {

void MostOnTime(std::span<const PlannedRun> runs, int64_t start_ns, int slots, std::vector<bool>* keep) {
  keep->assign(runs.size(), true);
  std::priority_queue<std::pair<int64_t, size_t>> kept;  // by work, largest first
  int64_t work_ns = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const PlannedRun& run = runs[i];
    const int64_t end_ns = start_ns + work_ns / std::max(slots, 1) + run.run_ns;
    work_ns += run.work_ns;
    kept.emplace(run.work_ns, i);
    if (run.deadline_ns == 0 || end_ns <= run.deadline_ns) continue;
    const auto [largest_ns, victim] = kept.top();
    kept.pop();
    work_ns -= largest_ns;
    (*keep)[victim] = false;
  }
}

}  // namespace mlos::sched
