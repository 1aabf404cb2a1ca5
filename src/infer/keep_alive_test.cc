// SPDX-License-Identifier: Apache-2.0
#include "infer/keep_alive.h"

#include <gtest/gtest.h>

namespace mlos {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(KeepAliveTest, TakesSecondsAndDurationsAsOllamaDoes) {
  EXPECT_EQ(ParseKeepAlive("30").value(), 30 * kSecond);
  EXPECT_EQ(ParseKeepAlive("5m").value(), 300 * kSecond);
  EXPECT_EQ(ParseKeepAlive("1h30m").value(), 5400 * kSecond);
  EXPECT_EQ(ParseKeepAlive("1.5h").value(), 5400 * kSecond);
  EXPECT_EQ(ParseKeepAlive("250ms").value(), kSecond / 4);
  EXPECT_EQ(ParseKeepAlive("0").value(), 0);
  EXPECT_EQ(ParseKeepAlive("0s").value(), 0);
  for (const char* forever : {"-1", "-1m", "-5", "forever", "99999999999"}) {
    EXPECT_EQ(ParseKeepAlive(forever).value(), kKeepForever) << forever;
  }
}

TEST(KeepAliveTest, RefusesWhatIsNoDuration) {
  for (const char* bad : {"", "-", "5x", "m", "5m3", "--1", "inf", "nan", " 5m", "5 m", "1e400", "5m-3s"}) {
    EXPECT_EQ(ParseKeepAlive(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(KeepAliveTest, TextReadsBackToTheSame) {
  for (const char* text : {"5m", "1h30m", "250ms", "0s", "forever", "24h", "1m1s"}) {
    EXPECT_EQ(KeepAliveText(ParseKeepAlive(text).value()), text);
  }
}

}  // namespace
}  // namespace mlos
