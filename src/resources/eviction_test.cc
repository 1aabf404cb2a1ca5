// SPDX-License-Identifier: Apache-2.0
#include "resources/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace mlos::resources {
namespace {

using Answer = Plan::Answer;

Holding Held(LeaseId id, Use use, uint64_t bytes, int64_t last_used_ns) {
  return {.id = id,
          .who = "m" + std::to_string(id),
          .use = use,
          .last_used_ns = last_used_ns,
          .private_bytes = bytes};
}

TEST(PlanTest, EvictsTheLeastRecentlyUsedIdleOnesAndNoMoreThanNeeded) {
  const std::vector<Holding> held = {Held(1, Use::kIdle, 30, 5), Held(2, Use::kIdle, 30, 3),
                                     Held(3, Use::kIdle, 30, 9)};
  EXPECT_EQ(PlanFor({.private_bytes = 10}, 100, held).answer, Answer::kFits);
  const Plan plan = PlanFor({.private_bytes = 50}, 100, held);
  EXPECT_EQ(plan.answer, Answer::kEvict);
  EXPECT_EQ(plan.evict, (std::vector<LeaseId>{2, 1}));
  EXPECT_EQ(plan.missing_bytes, 40u);
}

TEST(PlanTest, ASmallOldOneStaysWhenTheNextMakesRoomAlone) {
  const std::vector<Holding> held = {Held(1, Use::kIdle, 5, 1), Held(2, Use::kIdle, 60, 2)};
  EXPECT_EQ(PlanFor({.private_bytes = 90}, 100, held).evict, (std::vector<LeaseId>{2}));
}

TEST(PlanTest, BusyAndPinnedOnesAreNeverEvicted) {
  const std::vector<Holding> held = {Held(1, Use::kBusy, 50, 1), Held(2, Use::kPinned, 40, 2)};
  const Plan wait = PlanFor({.private_bytes = 60}, 100, held);
  EXPECT_EQ(wait.answer, Answer::kWait);
  EXPECT_TRUE(wait.evict.empty());
  EXPECT_EQ(wait.drain, (std::vector<LeaseId>{1}));
  EXPECT_EQ(PlanFor({.private_bytes = 61}, 100, held).answer, Answer::kHopeless);
  EXPECT_EQ(PlanFor({.private_bytes = 101}, 100, {}).answer, Answer::kHopeless);
}

TEST(PlanTest, TheBusyOneThatIsDoneFirstIsWaitedFor) {
  std::vector<Holding> held = {Held(1, Use::kBusy, 50, 1), Held(2, Use::kBusy, 50, 2)};
  held[0].idle_in_ns = 900;
  held[1].idle_in_ns = 40;
  const Plan plan = PlanFor({.private_bytes = 50}, 100, held);
  EXPECT_EQ(plan.drain, (std::vector<LeaseId>{2}));
  EXPECT_EQ(plan.wait_ns, 40);
  held[1].idle_in_ns = -1;
  held[0].idle_in_ns = -1;
  EXPECT_EQ(PlanFor({.private_bytes = 50}, 100, held).wait_ns, -1) << "not known is not invented";
}

TEST(PlanTest, WhatIsLeavingCountsAsRoomToCome) {
  const std::vector<Holding> held = {Held(1, Use::kLeaving, 80, 1), Held(2, Use::kIdle, 20, 2)};
  const Plan plan = PlanFor({.private_bytes = 70}, 100, held);
  EXPECT_EQ(plan.answer, Answer::kEvict);
  EXPECT_TRUE(plan.evict.empty());
}

TEST(PlanTest, ASharedFileCountsOnceAndIsFreedWithItsLastHolder) {
  std::vector<Holding> held = {Held(1, Use::kIdle, 10, 1), Held(2, Use::kIdle, 10, 2)};
  for (Holding& h : held) h.shared = {{"weights", 60}};
  EXPECT_EQ(TotalBytes(held), 80u);
  EXPECT_EQ(PlanFor({.private_bytes = 10, .shared = {{"weights", 60}}}, 100, held).answer, Answer::kFits);
  const Plan plan = PlanFor({.private_bytes = 40}, 100, held);
  EXPECT_EQ(plan.evict, (std::vector<LeaseId>{1, 2})) << "one alone frees 10";
}

TEST(PlanTest, SpareOnesAreLeftAlone) {
  const std::vector<Holding> held = {Held(1, Use::kIdle, 60, 1)};
  const LeaseId spare[] = {1};
  EXPECT_EQ(PlanFor({.private_bytes = 50}, 100, held, spare).answer, Answer::kHopeless);
}

TEST(PlanTest, SizesThatOverflowNeverFit) {
  const std::vector<Holding> held = {Held(1, Use::kBusy, UINT64_MAX - 5, 1)};
  EXPECT_NE(PlanFor({.private_bytes = 50}, UINT64_MAX - 1, held).answer, Answer::kFits);
}

TEST(PlanTest, NamesTheLargestHoldersAndWhatTheyDo) {
  std::vector<Holding> held;
  for (LeaseId id = 1; id <= 7; ++id) held.push_back(Held(id, Use::kPinned, id * 1000, 1));
  held[6].use = Use::kBusy;
  held[6].users = 2;
  EXPECT_EQ(DescribeHoldings(held),
            "m7 7.0 kB (2 requests), m6 6.0 kB (pinned), m5 5.0 kB (pinned), m4 4.0 kB (pinned), m3 3.0 kB "
            "(pinned) and 2 more");
}

// Whatever the snapshot: what a plan says is enough is enough, and nothing in it could have stayed.
TEST(PlanTest, APlanIsEnoughAndNothingInItIsNeedless) {
  std::mt19937 random(20260101);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
  for (int round = 0; round < 5000; ++round) {
    std::vector<Holding> held;
    const int n = pick(8);
    for (int i = 0; i < n; ++i) {
      static constexpr Use kUses[] = {Use::kIdle, Use::kIdle, Use::kBusy, Use::kPinned, Use::kLeaving};
      held.push_back(
          Held(static_cast<LeaseId>(i) + 1, kUses[pick(5)], static_cast<uint64_t>(pick(40)), pick(9)));
      if (pick(2) == 0)
        held.back().shared = {
            {std::string(1, static_cast<char>('a' + pick(3))), static_cast<uint64_t>(pick(30))}};
    }
    const Demand demand{.private_bytes = static_cast<uint64_t>(pick(60)), .shared = {{"a", 10}}};
    const Plan plan = PlanFor(demand, 100, held);
    const auto total_without = [&](const std::vector<LeaseId>& gone) {
      std::vector<Holding> left = {Held(99, Use::kBusy, demand.private_bytes, 0)};
      left[0].shared = demand.shared;
      for (const Holding& h : held) {
        const bool waits = plan.answer != Answer::kFits && h.use == Use::kLeaving;
        if (!waits && std::ranges::find(gone, h.id) == gone.end()) left.push_back(h);
      }
      return TotalBytes(left);
    };
    std::vector<LeaseId> gone = plan.evict;
    gone.insert(gone.end(), plan.drain.begin(), plan.drain.end());
    if (plan.answer == Answer::kHopeless) continue;
    EXPECT_LE(total_without(gone), 100u) << "round " << round;
    for (const LeaseId id : plan.evict) {
      EXPECT_EQ(held[id - 1].use, Use::kIdle);
      std::vector<LeaseId> one_less = gone;
      std::erase(one_less, id);
      EXPECT_GT(total_without(one_less), 100u) << "round " << round << ": " << id << " could have stayed";
    }
    for (const LeaseId id : plan.drain) EXPECT_EQ(held[id - 1].use, Use::kBusy);
  }
}

}  // namespace
}  // namespace mlos::resources
