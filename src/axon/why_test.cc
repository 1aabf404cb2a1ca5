// SPDX-License-Identifier: Apache-2.0
#include "axon/why.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::axon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(WhyTest, ShowsEachStageThatTookTimeAndTheirSum) {
  const auto text = ExplainRequest(
      R"({"request_id":"abc","model_id":"t/x@latest","model_version":"3","priority":"high","outcome":"ok","total_us":20000,)"
      R"("batch_requests":4,"threads":2,"slots":4,"predicted_us":14000,"deadline_us":50000,"waited_for":"1 request waited when it came",)"
      R"("stages":[{"stage":"read","us":100},{"stage":"decode","us":0},{"stage":"queue","us":4900},{"stage":"compute","us":15000}]})");
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_THAT(*text, HasSubstr("request abc  ok  20.00 ms"));
  EXPECT_THAT(*text, HasSubstr("t/x@latest  version 3"));
  EXPECT_THAT(
      *text,
      HasSubstr("priority high  deadline 50.00 ms  batch of 4 requests  2 threads of 4  predicted 14.00 ms"));
  EXPECT_THAT(*text, HasSubstr("waited   1 request waited when it came"));
  EXPECT_THAT(*text, HasSubstr("compute      15.00 ms   75.0 %  ##############################\n"));
  EXPECT_THAT(*text, Not(HasSubstr("decode")));
  EXPECT_THAT(*text, HasSubstr("together     20.00 ms"));
}

TEST(WhyTest, ARefusedRequestSaysWhy) {
  const auto text = ExplainRequest(
      R"({"request_id":"abc","priority":"normal","outcome":"unavailable","message":"the queue is full","total_us":90,"batch_requests":0,"stages":[{"stage":"read","us":90}]})");
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("never started"));
  EXPECT_THAT(*text, HasSubstr("error    the queue is full"));
}

TEST(WhyTest, WhatIsNoTraceIsRefused) {
  for (const char* bad : {"", "[]", "{}", R"({"stages":3})"}) EXPECT_FALSE(ExplainRequest(bad).ok()) << bad;
}

}  // namespace
}  // namespace mlos::axon
