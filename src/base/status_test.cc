// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace mlos {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument("odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  MLOS_ASSIGN_OR_RETURN(const int half, Half(n));
  return Half(half);
}

TEST(StatusTest, ContextKeepsTheCodeAndLeavesOkAlone) {
  const Status s = NotFound("no such file").WithContext("reading 'x'");
  EXPECT_EQ(s.code(), Code::kNotFound);
  EXPECT_EQ(s.ToString(), "not_found: reading 'x': no such file");
  EXPECT_TRUE(OkStatus().WithContext("anything").ok());
}

TEST(StatusTest, AssignOrReturnPassesTheFirstErrorOn) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
}

TEST(ResultTest, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> r = std::make_unique<int>(7);
  ASSERT_TRUE(r.ok());
  const std::unique_ptr<int> taken = std::move(r).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultTest, ValueOrFallsBackOnlyOnError) {
  EXPECT_EQ(Half(4).value_or(9), 2);
  EXPECT_EQ(Half(5).value_or(9), 9);
}

}  // namespace
}  // namespace mlos
