// SPDX-License-Identifier: Apache-2.0
#include "base/event_turn.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace mlos {
namespace {

TEST(EventTurnTest, DoesTheWorkOfEachOwnerOnceAtTheEnd) {
  std::string done;
  const int a = 0;
  const int b = 0;
  EventTurn turn;
  turn.AtEnd(&a, [&] { done += "a"; });
  turn.AtEnd(&b, [&] { done += "b"; });
  turn.AtEnd(&a, [&] { done += "again"; });
  EXPECT_TRUE(turn.pending());
  EXPECT_EQ(done, "");
  turn.End();
  EXPECT_EQ(done, "ab");
  EXPECT_FALSE(turn.pending());
  turn.AtEnd(&a, [&] { done += "c"; });
  turn.End();
  EXPECT_EQ(done, "abc");
}

TEST(EventTurnTest, DoesWhatTheWorkPutsOff) {
  int times = 0;
  EventTurn turn;
  std::function<void()> work = [&] {
    if (++times < 3) turn.AtEnd(&times, work);
  };
  turn.AtEnd(&times, work);
  turn.End();
  EXPECT_EQ(times, 3);
}

TEST(EventTurnTest, IsOfItsThreadAndEndsWithItsScope) {
  EXPECT_EQ(EventTurn::Current(), nullptr);
  bool done = false;
  {
    EventTurn turn;
    EXPECT_EQ(EventTurn::Current(), &turn);
    std::thread([] { EXPECT_EQ(EventTurn::Current(), nullptr); }).join();
    turn.AtEnd(&done, [&] { done = true; });
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(EventTurn::Current(), nullptr);
}

}  // namespace
}  // namespace mlos
