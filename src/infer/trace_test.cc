// SPDX-License-Identifier: Apache-2.0
#include "infer/trace.h"

#include <gtest/gtest.h>

#include <numeric>

namespace mlos {
namespace {

int64_t Sum(const Trace& trace) { return std::accumulate(trace.ns.begin(), trace.ns.end(), int64_t{0}); }

TEST(TraceTest, StagesAddUpToTheWhole) {
  Trace trace;
  trace.Begin(1000);
  trace.Mark(Stage::kRead, 1100);
  trace.Mark(Stage::kDecode, 1150);
  trace.Mark(Stage::kQueue, 2000);
  trace.MarkRun(5000, 100, 2500, 300);
  trace.Mark(Stage::kWrite, 5010);
  EXPECT_EQ(trace.of(Stage::kCompute), 2500);
  EXPECT_EQ(trace.of(Stage::kDispatch), 100);
  EXPECT_EQ(trace.total_ns(), 4010);
  EXPECT_EQ(Sum(trace), trace.total_ns());
}

TEST(TraceTest, APluginThatClaimsMoreThanThereWasGetsWhatThereWas) {
  Trace trace;
  trace.Begin(0);
  trace.MarkRun(100, 90, 80, -5);
  EXPECT_EQ(trace.of(Stage::kCompute), 80);
  EXPECT_EQ(trace.of(Stage::kPrepare), 20);
  EXPECT_EQ(trace.of(Stage::kFinish), 0);
  EXPECT_EQ(Sum(trace), 100);
}

TEST(TraceTest, AClockThatStandsOrStepsBackAddsNothing) {
  Trace trace;
  trace.Begin(50);
  trace.Mark(Stage::kRead, 40);
  trace.Mark(Stage::kQueue, 60);
  EXPECT_EQ(Sum(trace), 10);
  EXPECT_EQ(trace.total_ns(), 10);
}

TEST(TraceTest, EveryStageHasAName) {
  for (size_t i = 0; i < kStages; ++i) EXPECT_NE(StageName(static_cast<Stage>(i)), "unknown");
}

}  // namespace
}  // namespace mlos
