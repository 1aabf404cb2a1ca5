// SPDX-License-Identifier: Apache-2.0
#include "base/xxh64.h"

#include <gtest/gtest.h>

namespace mlos {
namespace {

// Values of the reference implementation, for the empty text, the tails of one, four and eight bytes, and whole stripes.
TEST(Xxh64Test, AgreesWithTheReference) {
  EXPECT_EQ(HexOf(Xxh64("")), "ef46db3751d8e999");
  EXPECT_EQ(HexOf(Xxh64("a")), "d24ec4f1a98c6e5b");
  EXPECT_EQ(HexOf(Xxh64("abc")), "44bc2cf5ad770999");
  EXPECT_EQ(HexOf(Xxh64("Nobody inspects the spammish repetition")), "fbcea83c8a378bf1");
}

TEST(Xxh64Test, DependsOnTheSeed) { EXPECT_NE(Xxh64("abc", 0), Xxh64("abc", 1)); }

TEST(Xxh64Test, WritesSixteenDigits) { EXPECT_EQ(HexOf(0x1f), "000000000000001f"); }

}  // namespace
}  // namespace mlos
