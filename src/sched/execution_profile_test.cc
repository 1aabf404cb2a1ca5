// SPDX-License-Identifier: Apache-2.0
#include "sched/execution_profile.h"

#include <gtest/gtest.h>

namespace mlos::sched {
namespace {

void ObserveTimes(ExecutionProfile* profile, const RunSize& size, uint32_t threads, int64_t ns,
                  int times = 8) {
  for (int i = 0; i < times; ++i) profile->Observe(size, threads, ns);
}

TEST(LogBucketTest, GrowsWithTheValueAndKnowsItsFloor) {
  for (const uint32_t steps : {4U, 8U}) {
    uint32_t last = 0;
    for (uint64_t value = 0; value < 5000; ++value) {
      const uint32_t bucket = LogBucket(value, steps);
      EXPECT_GE(bucket, last);
      EXPECT_LE(LogBucketFloor(bucket, steps), value);
      EXPECT_EQ(LogBucket(LogBucketFloor(bucket, steps), steps), bucket);
      last = bucket;
    }
    EXPECT_LT(LogBucket(~uint64_t{0}, steps), 1024u);
  }
}

TEST(ExecutionProfileTest, KnowsNothingAtFirst) {
  const ExecutionProfile profile{};
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 0);
}

TEST(ExecutionProfileTest, TheFirstRunCountsOnlyUntilThereIsASecond) {
  ExecutionProfile profile;
  profile.Observe({100, 1}, 1, 900'000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 900'000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).runs, 0u);
  profile.Observe({100, 1}, 1, 1000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 1000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).runs, 1u);
}

TEST(ExecutionProfileTest, QuantilesNotMeans) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 1000, 29);
  ObserveTimes(&profile, {100, 1}, 1, 50'000, 4);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 1000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p90_ns, 50'000);
}

TEST(ExecutionProfileTest, ForgetsAnotherSpeedWithinAWindow) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 1000, 40);
  ObserveTimes(&profile, {100, 1}, 1, 3000, 32);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 3000);
}

TEST(ExecutionProfileTest, SizesRowsAndThreadsAreKeptApart) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 1000);
  ObserveTimes(&profile, {10'000, 1}, 1, 80'000);
  ObserveTimes(&profile, {100, 4}, 1, 2500);
  ObserveTimes(&profile, {100, 1}, 4, 400);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 1000);
  EXPECT_EQ(profile.Predict({10'000, 1}, 1).p50_ns, 80'000);
  EXPECT_EQ(profile.Predict({100, 4}, 1).p50_ns, 2500);
  EXPECT_EQ(profile.Predict({100, 1}, 4).p50_ns, 400);
}

TEST(ExecutionProfileTest, WhatWasNotRunIsDerivedAndSaysSo) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {1024, 1}, 1, 1000);
  const Estimate rows = profile.Predict({1024, 4}, 1);
  EXPECT_EQ(rows.p50_ns, 4000);
  EXPECT_EQ(rows.runs, 0u);
  EXPECT_EQ(profile.Predict({2048, 1}, 1).p50_ns, 2000);
  const int64_t four_threads = profile.Predict({1024, 1}, 4).p50_ns;
  EXPECT_LT(four_threads, 500);
  EXPECT_GT(four_threads, 250) << "threads never pay in full";
}

TEST(ExecutionProfileTest, AWarmUpAloneDoesNotSpoilAThreadCount) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 10'000);
  profile.Observe({100, 1}, 4, 900'000);
  EXPECT_LT(profile.Predict({100, 1}, 4).p50_ns, 10'000);
}

TEST(ExecutionProfileTest, WhatWasMeasuredLongAgoIsSoonOutvoted) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 2, 9000, 32);
  ObserveTimes(&profile, {100, 1}, 1, 2000, 100);
  EXPECT_EQ(profile.Predict({100, 1}, 2).p50_ns, 9000);
  profile.Observe({100, 1}, 2, 1000);
  EXPECT_EQ(profile.Predict({100, 1}, 2).p50_ns, 9000) << "one run is not enough";
  ObserveTimes(&profile, {100, 1}, 2, 1000, 2);
  EXPECT_EQ(profile.Predict({100, 1}, 2).p50_ns, 1000);
}

TEST(ExecutionProfileTest, ASizeThatComesSeldomKeepsItsTimes) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 1000, 20);
  ObserveTimes(&profile, {5000, 1}, 1, 50'000, 500);
  profile.Observe({100, 1}, 1, 9000);
  EXPECT_EQ(profile.Predict({100, 1}, 1).p50_ns, 1000);
}

TEST(ExecutionProfileTest, TellsHowFarOffItWas) {
  ExecutionProfile profile;
  ObserveTimes(&profile, {100, 1}, 1, 1000, 10);
  EXPECT_EQ(profile.prediction_error(), 0);
  EXPECT_GT(profile.predictions(), 0u);
  ObserveTimes(&profile, {100, 1}, 1, 2000, 10);
  EXPECT_GT(profile.prediction_error(), 0.1);
}

TEST(ExecutionProfileTest, ManySizesDoNotGrowItForEver) {
  ExecutionProfile profile;
  for (uint64_t elements = 1; elements < uint64_t{1} << 40; elements += elements / 9 + 1) {
    for (uint32_t rows = 1; rows < 40; rows += 3) ObserveTimes(&profile, {elements, rows}, 1, 1000, 2);
  }
  EXPECT_GT(profile.Predict({uint64_t{1} << 39, 1}, 1).p50_ns, 0);
}

}  // namespace
}  // namespace mlos::sched
