// SPDX-License-Identifier: Apache-2.0
#include "resources/budget.h"

#include <gtest/gtest.h>

namespace mlos::resources {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30U;

TEST(BudgetTest, SizesTakeDecimalAndBinaryUnits) {
  EXPECT_EQ(ParseBytes("6GB").value(), 6'000'000'000u);
  EXPECT_EQ(ParseBytes("6GiB").value(), 6 * kGiB);
  EXPECT_EQ(ParseBytes("6G").value(), 6 * kGiB);
  EXPECT_EQ(ParseBytes("1.5 GB").value(), 1'500'000'000u);
  EXPECT_EQ(ParseBytes("4096").value(), 4096u);
}

TEST(BudgetTest, RefusesWhatIsNoSize) {
  for (const char* bad : {"", "GB", "-1", "6XB", "nan", "inf", "6GB ", "1e30", "99999999999TB"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
  for (const char* bad : {"0%", "101%", "%", "x%", "0"}) {
    EXPECT_FALSE(ResolveBudget(bad, {.total = kGiB}, {}).ok()) << bad;
  }
}

TEST(BudgetTest, AutoLeavesAnEighthForTheRestOfTheMachine) {
  EXPECT_EQ(ResolveBudget("auto", {.total = 16 * kGiB}, {})->bytes, 14 * kGiB);
  EXPECT_EQ(ResolveBudget("", {.total = 256 * kGiB}, {})->bytes, 252 * kGiB);
  EXPECT_EQ(ResolveBudget("auto", {.total = kGiB / 4}, {})->bytes, kGiB / 8) << "never more than half";
}

TEST(BudgetTest, TheControlGroupsLimitStandsForTheMachine) {
  const os::CgroupMemory group{.version = 2, .group = "/x", .own_group = "/x", .limit = 8 * kGiB};
  EXPECT_EQ(ResolveBudget("auto", {.total = 16 * kGiB}, group)->bytes, 7 * kGiB);
  const Budget half = ResolveBudget("50%", {.total = 16 * kGiB}, group).value();
  EXPECT_EQ(half.bytes, 4 * kGiB);
  EXPECT_NE(half.source.find("control group /x"), std::string::npos) << half.source;
  EXPECT_EQ(ResolveBudget("50%", {.total = 4 * kGiB}, group)->bytes, 2 * kGiB) << "a limit over the memory";
}

}  // namespace
}  // namespace mlos::resources
