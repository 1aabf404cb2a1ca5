// SPDX-License-Identifier: Apache-2.0
#include "sched/plan.h"

#include <gtest/gtest.h>

namespace mlos::sched {
namespace {

constexpr int64_t kMs = 1'000'000;

class PlanTest : public testing::Test {
 protected:
  void Learn(uint32_t rows, uint32_t threads, int64_t ns) {
    for (int i = 0; i < 8; ++i) profile_.Observe({16, rows}, threads, ns);
  }
  // A machine of four cores on which the model gains from threads and not from batches.
  void LearnThreads() {
    Learn(1, 1, 75 * kMs);
    Learn(1, 2, 38 * kMs);
    Learn(1, 4, 20 * kMs);
  }
  Plan Choose(size_t waiting, int free_slots, size_t others = 0, int64_t slack_ns = 0,
              uint32_t max_rows = 32) {
    const std::vector<Candidate> candidates(waiting, {.rows = 1, .slack_ns = slack_ns});
    return ChoosePlan({.profile = &profile_,
                       .row_elements = 16,
                       .candidates = candidates,
                       .waiting_others = others,
                       .free_slots = free_slots,
                       .total_slots = 4,
                       .others_slack_ns = others_slack_ns_,
                       .max_rows = max_rows,
                       .fixed_threads = fixed_threads_});
  }

  ExecutionProfile profile_;
  int64_t others_slack_ns_ = 0;
  int fixed_threads_ = 0;
};

TEST_F(PlanTest, ThreadChoicesArePowersOfTwoAndTheMost) {
  const auto all = [](int most) {
    std::vector<int> out;
    for (size_t i = 0; ThreadChoice(i, most) > 0; ++i) out.push_back(ThreadChoice(i, most));
    return out;
  };
  EXPECT_EQ(all(1), (std::vector<int>{1}));
  EXPECT_EQ(all(4), (std::vector<int>{1, 2, 4}));
  EXPECT_EQ(all(6), (std::vector<int>{1, 2, 4, 6}));
}

TEST_F(PlanTest, OneThatWaitsGetsAllThreadsFourThatWaitGetOneEach) {
  LearnThreads();
  EXPECT_EQ(Choose(1, 4).threads, 4);
  EXPECT_EQ(Choose(4, 4, 0, 0, 1).threads, 1);
  EXPECT_EQ(Choose(2, 4, 0, 0, 1).threads, 2);
  EXPECT_EQ(Choose(1, 4, 3).threads, 1) << "the other three are of other models";
  EXPECT_EQ(Choose(5, 4, 0, 0, 1).threads, 1) << "one too many is no reason to take turns";
}

TEST_F(PlanTest, NeverMoreThreadsThanFreeSlots) {
  LearnThreads();
  for (int free_slots = 1; free_slots <= 4; ++free_slots) {
    for (size_t waiting = 1; waiting <= 6; ++waiting)
      EXPECT_LE(Choose(waiting, free_slots).threads, free_slots);
  }
}

TEST_F(PlanTest, ThreadsThatBringNothingAreNotTaken) {
  Learn(1, 1, 10 * kMs);
  Learn(1, 2, 10 * kMs);
  Learn(1, 4, 11 * kMs);
  EXPECT_EQ(Choose(1, 4).threads, 1);
}

TEST_F(PlanTest, AModelThatIsShortStaysOnOneThread) {
  Learn(1, 1, 50'000);
  EXPECT_EQ(Choose(1, 4).threads, 1);
}

TEST_F(PlanTest, TheFirstRunOfAModelTakesWhatIsFree) { EXPECT_EQ(Choose(1, 4).threads, 4); }

TEST_F(PlanTest, ABatchThatPaysIsFormed) {
  Learn(1, 1, 35 * kMs);
  Learn(4, 1, 80 * kMs);
  Learn(8, 1, 150 * kMs);
  Learn(1, 2, 30 * kMs);
  Learn(1, 4, 28 * kMs);
  const Plan plan = Choose(32, 4);
  EXPECT_EQ(plan.members, 8u);
  EXPECT_EQ(plan.threads, 1);
}

TEST_F(PlanTest, ABatchThatWasNotMeasuredIsOnlyFormedToLearn) {
  Learn(1, 1, 35 * kMs);
  int probes = 0;
  for (int i = 0; i < 300; ++i) {
    const Plan plan = Choose(8, 1);
    if (plan.members > 1) {
      EXPECT_TRUE(plan.probe);
      ++probes;
    }
  }
  EXPECT_GT(probes, 0);
  EXPECT_LE(probes, 100);
}

TEST_F(PlanTest, WhileBatchesGetBetterLargerOnesAreTried) {
  const auto run_ns = [](size_t rows) { return static_cast<int64_t>(5 + rows) * kMs; };
  Learn(1, 1, run_ns(1));
  size_t largest = 0;
  for (int i = 0; i < 200; ++i) {
    const Plan plan = Choose(8, 4);
    largest = std::max(largest, plan.members);
    profile_.Observe({16, static_cast<uint32_t>(plan.members)}, static_cast<uint32_t>(plan.threads),
                     run_ns(plan.members));
  }
  EXPECT_GE(largest, 4u) << "more would not be done sooner with four slots free";
  EXPECT_GE(Choose(32, 4).members, 4u);
}

TEST_F(PlanTest, ABatchThatDoesNotPayIsFormedHardlyEver) {
  Learn(1, 1, 50 * kMs);
  Learn(2, 1, 100 * kMs);
  Learn(3, 1, 150 * kMs);
  Learn(4, 1, 199 * kMs);
  Learn(6, 1, 300 * kMs);
  Learn(8, 1, 400 * kMs);
  int batches = 0;
  for (int i = 0; i < 1000; ++i) batches += Choose(32, 4).members > 1 ? 1 : 0;
  EXPECT_LE(batches, 12);
}

TEST_F(PlanTest, NoMemberIsLateByABatch) {
  Learn(1, 1, 35 * kMs);
  Learn(4, 1, 60 * kMs);
  EXPECT_EQ(Choose(16, 1, 0, 70 * kMs).members, 4u);
  EXPECT_EQ(Choose(16, 1, 0, 50 * kMs).members, 1u) << "alone it is on time";
}

TEST_F(PlanTest, NobodyElseIsLateByABatch) {
  Learn(1, 1, 35 * kMs);
  Learn(4, 1, 60 * kMs);
  others_slack_ns_ = 50 * kMs;
  EXPECT_EQ(Choose(16, 1).members, 1u);
}

TEST_F(PlanTest, ABatchKeepsToItsMostRows) {
  Learn(1, 1, 35 * kMs);
  for (const uint32_t rows : {2U, 3U, 4U, 6U, 8U}) Learn(rows, 1, 36 * kMs);
  EXPECT_EQ(Choose(32, 1, 0, 0, 4).members, 4u);
}

TEST_F(PlanTest, AThreadCountThatWasDisturbedWhenItWasLearntIsFoundAgain) {
  Learn(1, 1, 75 * kMs);
  for (int i = 0; i < 4; ++i) Learn(1, 2, 200 * kMs);
  ASSERT_EQ(Choose(1, 2).threads, 1);
  int slow = 0;
  for (int i = 0; i < 400; ++i) {
    const int threads = Choose(1, 2).threads;
    profile_.Observe({16, 1}, static_cast<uint32_t>(threads), (threads == 2 ? 38 : 75) * kMs);
    if (threads == 1) ++slow;
  }
  EXPECT_LE(slow, 90) << "runs on one thread although two are twice as fast";
  EXPECT_EQ(Choose(1, 2).threads, 2);
}

TEST_F(PlanTest, FixedThreadsAreTakenAsFarAsSlotsAreFree) {
  Learn(1, 1, 35 * kMs);
  Learn(1, 2, 30 * kMs);
  Learn(1, 4, 20 * kMs);
  fixed_threads_ = 2;
  for (const size_t waiting : {1, 4, 32}) EXPECT_EQ(Choose(waiting, 4).threads, 2) << waiting << " wait";
  EXPECT_EQ(Choose(1, 1).threads, 1);
  fixed_threads_ = 64;
  EXPECT_EQ(Choose(1, 4).threads, 4);
}

TEST_F(PlanTest, BatchesAreLearntWithFixedThreadsToo) {
  fixed_threads_ = 2;
  const auto run_ns = [](size_t rows) { return static_cast<int64_t>(5 + rows) * kMs; };
  size_t largest = 0;
  for (int i = 0; i < 200; ++i) {
    const Plan plan = Choose(8, 2);
    ASSERT_EQ(plan.threads, 2);
    largest = std::max(largest, plan.members);
    profile_.Observe({16, static_cast<uint32_t>(plan.members)}, 2, run_ns(plan.members));
  }
  EXPECT_GE(largest, 4u);
}

}  // namespace
}  // namespace mlos::sched
