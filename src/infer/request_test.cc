// SPDX-License-Identifier: Apache-2.0
#include "infer/request.h"

#include <gtest/gtest.h>

#include <thread>

namespace mlos {
namespace {

TEST(CancelTokenTest, TellsTheListenerOnce) {
  CancelToken token;
  int told = 0;
  token.AddListener([&] { ++told; });
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
  token.AddListener([&] { ++told; });
  EXPECT_EQ(told, 1);
}

TEST(CancelTokenTest, DoesNotTellAListenerThatWasTakenAway) {
  CancelToken token;
  int told = 0;
  token.RemoveListener(token.AddListener([&] { ++told; }));
  token.Cancel();
  EXPECT_EQ(told, 0);
}

TEST(CancelTokenTest, TellsEveryListener) {
  CancelToken token;
  int told = 0;
  token.AddListener([&] { told += 1; });
  const uint64_t second = token.AddListener([&] { told += 10; });
  token.AddListener([&] { told += 100; });
  token.RemoveListener(second);
  token.Cancel();
  EXPECT_EQ(told, 101);
}

TEST(CancelTokenTest, TellsExactlyOnceWhenBothRace) {
  for (int round = 0; round < 200; ++round) {
    CancelToken token;
    std::atomic<int> told = 0;
    std::thread canceller([&] { token.Cancel(); });
    token.AddListener([&] { ++told; });
    canceller.join();
    EXPECT_EQ(told, 1);
  }
}

}  // namespace
}  // namespace mlos
