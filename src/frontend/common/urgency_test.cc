// SPDX-License-Identifier: Apache-2.0
#include "frontend/common/urgency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::frontend {
namespace {

using ::testing::HasSubstr;

TEST(UrgencyTest, ReadsPrioritiesByName) {
  EXPECT_EQ(ReadPriorityHeader("")->has_value(), false);
  EXPECT_EQ(ReadPriorityHeader("realtime").value(), Priority::kRealtime);
  EXPECT_EQ(ReadPriorityHeader("batch").value(), Priority::kBatch);
}

TEST(UrgencyTest, AnUnknownPriorityIsRefusedWithTheKnownOnes) {
  for (const char* bad : {"urgent", "HIGH", "1", "high "}) {
    const auto read = ReadPriorityHeader(bad);
    EXPECT_EQ(read.status().code(), Code::kInvalidArgument) << bad;
    EXPECT_THAT(read.status().message(), HasSubstr("realtime, high, normal, batch"));
  }
}

TEST(UrgencyTest, ReadsDeadlinesInMilliseconds) {
  EXPECT_EQ(ReadDeadlineHeader("")->has_value(), false);
  EXPECT_EQ(ReadDeadlineHeader("250").value(), 250'000'000);
  EXPECT_EQ(ReadDeadlineHeader("0.5").value(), 500'000);
  EXPECT_EQ(ReadDeadlineHeader("0").value(), 0);
  EXPECT_LT(ReadDeadlineHeader("-20").value(), 0);
  EXPECT_GT(ReadDeadlineHeader("1e300").value(), 0) << "no overflow";
  for (const char* bad : {"soon", "10ms", " 10", "nan", "inf", "1,5"}) {
    EXPECT_EQ(ReadDeadlineHeader(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(UrgencyTest, TheEarliestDeadlineHolds) {
  EXPECT_EQ(DeadlineNs(1000, 0, std::nullopt, std::nullopt), 0);
  EXPECT_EQ(DeadlineNs(1000, 500, std::nullopt, std::nullopt), 1500);
  EXPECT_EQ(DeadlineNs(1000, 500, 100, 200), 1100);
  EXPECT_EQ(DeadlineNs(1000, 0, std::nullopt, 200), 1200);
  EXPECT_EQ(DeadlineNs(1000, 500, -1'000'000, std::nullopt), 1) << "passed, which is not none";
}

}  // namespace
}  // namespace mlos::frontend
