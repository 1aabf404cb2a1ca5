// SPDX-License-Identifier: Apache-2.0
#include "infer/request.h"

#include <gtest/gtest.h>

#include <thread>

namespace mlos {
namespace {

TEST(CancelTokenTest, TellsTheListenerOnce) {
  CancelToken token;
  int told = 0;
  token.SetListener([&] { ++told; });
  EXPECT_EQ(told, 0);
  token.Cancel();
  token.Cancel();
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(told, 1);
}

TEST(CancelTokenTest, TellsALateListenerAtOnce) {
  CancelToken token;
  token.Cancel();
  int told = 0;
  token.SetListener([&] { ++told; });
  EXPECT_EQ(told, 1);
}

TEST(CancelTokenTest, DoesNotTellAListenerThatWasTakenAway) {
  CancelToken token;
  int told = 0;
  token.SetListener([&] { ++told; });
  token.SetListener({});
  token.Cancel();
  EXPECT_EQ(told, 0);
}

TEST(CancelTokenTest, TellsExactlyOnceWhenBothRace) {
  for (int round = 0; round < 200; ++round) {
    CancelToken token;
    std::atomic<int> told = 0;
    std::thread canceller([&] { token.Cancel(); });
    token.SetListener([&] { ++told; });
    canceller.join();
    EXPECT_EQ(told, 1);
  }
}

}  // namespace
}  // namespace mlos
