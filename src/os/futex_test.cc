// SPDX-License-Identifier: Apache-2.0
#include "os/futex.h"

#include <gtest/gtest.h>

namespace mlos::os {
namespace {

constexpr int64_t kForEverNs = 3'600'000'000'000;

TEST(LookForTest, EndsAsSoonAsItIsFound) {
  int looks = 0;
  EXPECT_TRUE(LookFor([&] { return ++looks == 100; }, kForEverNs));
  EXPECT_EQ(looks, 100);
}

TEST(LookForTest, GivesUpWhenTheTimeIsOver) {
  EXPECT_FALSE(LookFor([] { return false; }, 1000));
}

TEST(LookForTest, LooksOnceMoreWhenTheTimeIsOver) {
  int looks = 0;
  EXPECT_FALSE(LookFor(
      [&] {
        ++looks;
        return false;
      },
      0));
  const int all = looks;
  looks = 0;
  EXPECT_TRUE(LookFor([&] { return ++looks == all; }, 0));
}

}  // namespace
}  // namespace mlos::os
