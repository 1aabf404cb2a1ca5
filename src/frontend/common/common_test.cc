// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "frontend/common/error_map.h"
#include "frontend/common/request_id.h"

namespace mlos::frontend {
namespace {

TEST(ErrorMapTest, EveryCodeHasItsStatusAndReason) {
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    EXPECT_NE(HttpReason(HttpStatusOf(static_cast<Code>(code))), "Error") << code;
  }
  EXPECT_EQ(HttpStatusOf(Code::kUnprocessable), 422);
  EXPECT_EQ(HttpStatusOf(Code::kResourceExhausted), 429);
  EXPECT_EQ(HttpStatusOf(Code::kUnavailable), 503);
  EXPECT_EQ(HttpStatusOf(Code::kDeadlineExceeded), 504);
}

TEST(RequestIdTest, IdsDifferAndAreSane) {
  std::set<std::string> seen;
  std::string id;
  for (int i = 0; i < 10'000; ++i) {
    NewRequestId(&id);
    EXPECT_TRUE(IsSaneRequestId(id));
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(RequestIdTest, RefusesWhatCouldForgeALogLineOrAHeader) {
  EXPECT_TRUE(IsSaneRequestId("trace-1.2_3"));
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a\nb"), std::string("\"x\""),
                                 std::string(129, 'a')}) {
    EXPECT_FALSE(IsSaneRequestId(bad));
  }
}

}  // namespace
}  // namespace mlos::frontend
