// SPDX-License-Identifier: Apache-2.0
#include "sched/gathering.h"

#include <gtest/gtest.h>

namespace mlos::sched {
namespace {

constexpr int64_t kMs = 1'000'000;

class GatheringTest : public testing::Test {
 protected:
  // A batch of four of group 7 ends on a machine of one slot.
  void End(size_t waiting = 0) {
    gathering_.Ended({.group = 7, .members = 4, .hold_ns = 2 * kMs, .waiting = waiting}, now_);
  }

  Gathering gathering_;
  int64_t now_ = 100 * kMs;
};

TEST_F(GatheringTest, HoldsUntilAsManyHaveComeAsWereAnswered) {
  End();
  EXPECT_TRUE(gathering_.Holds(7, 1, now_));
  EXPECT_TRUE(gathering_.Holds(7, 3, now_ + kMs));
  EXPECT_FALSE(gathering_.Holds(7, 4, now_ + kMs));
  EXPECT_FALSE(gathering_.Holds(8, 1, now_ + kMs)) << "another group";
}

TEST_F(GatheringTest, HoldsNoLongerThanTheBatchAllows) {
  End();
  EXPECT_EQ(gathering_.UntilNs(now_), now_ + 2 * kMs);
  EXPECT_FALSE(gathering_.Holds(7, 1, now_ + 2 * kMs));
  EXPECT_EQ(gathering_.UntilNs(now_ + 2 * kMs), 0);
}

TEST_F(GatheringTest, ABatchThatSavedLittleMakesNobodyWait) {
  EXPECT_EQ(Gathering::HoldNs(100 * kMs, 100 * kMs), 0);
  EXPECT_EQ(Gathering::HoldNs(100 * kMs, 120 * kMs), 0);
  EXPECT_EQ(Gathering::HoldNs(36 * kMs, 32 * kMs), kMs) << "a quarter of the four milliseconds";
  EXPECT_EQ(Gathering::HoldNs(64 * kMs, 32 * kMs), 2 * kMs) << "a sixteenth of the batch";
  EXPECT_EQ(Gathering::HoldNs(200'000, 100'000), 0) << "less than a wake-up costs";
}

TEST_F(GatheringTest, NothingIsHeldAfterARunOfOne) {
  gathering_.Ended({.group = 7, .members = 1, .hold_ns = 2 * kMs}, now_);
  EXPECT_EQ(gathering_.UntilNs(now_), 0);
}

TEST_F(GatheringTest, WhatRunsElsewhereHasItsShareOfTheClients) {
  // Two slots, eight clients: four come back, four are in the other slot.
  gathering_.Ended({.group = 7, .members = 4, .hold_ns = kMs, .running = 4, .slots = 2}, now_);
  EXPECT_TRUE(gathering_.Holds(7, 3, now_));
  EXPECT_FALSE(gathering_.Holds(7, 4, now_));
  // Seven come back to one in the other slot: half of all is enough.
  gathering_.Ended({.group = 7, .members = 7, .hold_ns = kMs, .running = 1, .slots = 2}, now_);
  EXPECT_FALSE(gathering_.Holds(7, 4, now_));
}

TEST_F(GatheringTest, AStartEndsTheHold) {
  End();
  gathering_.Started(7, 4);
  EXPECT_FALSE(gathering_.Holds(7, 1, now_));
}

TEST_F(GatheringTest, AGroupThatNobodyComesBackToIsHeldRarely) {
  int held = 0;
  for (int i = 0; i < 1000; ++i) {
    now_ += 50 * kMs;
    End();
    held += gathering_.Holds(7, 1, now_) ? 1 : 0;
    gathering_.Started(7, 1);
  }
  EXPECT_GT(held, 10) << "it is tried again";
  EXPECT_LT(held, 50);
}

TEST_F(GatheringTest, AGroupThatFillsIsHeldEveryTime) {
  for (int i = 0; i < 100; ++i) {
    now_ += 50 * kMs;
    End();
    EXPECT_TRUE(gathering_.Holds(7, 1, now_));
    gathering_.Started(7, i % 10 == 0 ? 1 : 4);
  }
}

}  // namespace
}  // namespace mlos::sched
