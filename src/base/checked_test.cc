// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"

#include <gtest/gtest.h>

namespace mlos {
namespace {

TEST(CheckedTest, SeesEveryOverflow) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(CheckedAdd<uint64_t>(1, 2), 3u);
  EXPECT_FALSE(CheckedAdd<uint64_t>(kMax, 1));
  EXPECT_FALSE(CheckedSub<uint64_t>(1, 2));
  EXPECT_FALSE(CheckedMul<uint64_t>(kMax / 2 + 1, 2));
  EXPECT_FALSE(CheckedMul<int64_t>(std::numeric_limits<int64_t>::min(), -1));
  EXPECT_FALSE((CheckedCast<uint32_t>(int64_t{-1})));
  EXPECT_EQ((CheckedCast<int8_t>(uint64_t{127})), 127);
  EXPECT_FALSE((CheckedCast<int8_t>(uint64_t{128})));
}

TEST(CheckedTest, RangeFitsDoesNotWrapAround) {
  EXPECT_TRUE(RangeFits(0, 0, 0));
  EXPECT_TRUE(RangeFits(4, 6, 10));
  EXPECT_FALSE(RangeFits(4, 7, 10));
  EXPECT_FALSE(RangeFits(11, 0, 10));
  EXPECT_FALSE(RangeFits(8, std::numeric_limits<uint64_t>::max() - 4, 10));
}

}  // namespace
}  // namespace mlos
