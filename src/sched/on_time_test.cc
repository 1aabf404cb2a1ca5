// SPDX-License-Identifier: Apache-2.0
#include "sched/on_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

namespace mlos::sched {
namespace {

size_t Kept(const std::vector<bool>& keep) { return static_cast<size_t>(std::ranges::count(keep, true)); }

// Tries every subset.
size_t LargestOnTimeSet(const std::vector<PlannedRun>& runs, int64_t start_ns) {
  size_t best = 0;
  for (uint32_t set = 0; set < 1U << runs.size(); ++set) {
    int64_t at_ns = start_ns;
    bool on_time = true;
    for (size_t i = 0; i < runs.size(); ++i) {
      if ((set >> i & 1) == 0) continue;
      at_ns += runs[i].run_ns;
      on_time = on_time && at_ns <= runs[i].deadline_ns;
    }
    if (on_time) best = std::max<size_t>(best, static_cast<size_t>(std::popcount(set)));
  }
  return best;
}

TEST(MostOnTimeTest, KeepsEverythingThatFits) {
  std::vector<bool> keep;
  MostOnTime(std::vector<PlannedRun>{{10, 5, 5}, {20, 5, 5}, {0, 100, 100}}, 0, 1, &keep);
  EXPECT_EQ(Kept(keep), 3u);
}

TEST(MostOnTimeTest, TheLongestGivesWay) {
  std::vector<bool> keep;
  MostOnTime(std::vector<PlannedRun>{{80, 75, 75}, {85, 5, 5}, {86, 5, 5}, {87, 5, 5}}, 0, 1, &keep);
  EXPECT_EQ(keep, (std::vector<bool>{false, true, true, true}));
}

TEST(MostOnTimeTest, FindsAsManyAsTryingEverySubset) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<PlannedRun> runs(1 + random() % 10);
    for (PlannedRun& run : runs) {
      run.run_ns = run.work_ns = 1 + static_cast<int64_t>(random() % 20);
      run.deadline_ns = 5 + static_cast<int64_t>(random() % 60);
    }
    std::ranges::sort(runs, {}, &PlannedRun::deadline_ns);
    std::vector<bool> keep;
    MostOnTime(runs, 5, 1, &keep);
    EXPECT_EQ(Kept(keep), LargestOnTimeSet(runs, 5)) << "round " << round;
  }
}

}  // namespace
}  // namespace mlos::sched
