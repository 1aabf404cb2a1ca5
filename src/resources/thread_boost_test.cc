// SPDX-License-Identifier: Apache-2.0
#include "resources/thread_boost.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace mlos::resources {
namespace {

using os::GetThreadPriority;
using os::ThisThread;

// Whether this process may lower nice values.
bool MayRaise() {
  bool may = false;
  std::thread([&may] { may = os::SetThreadPriority(ThisThread(), {.nice = -1}).ok(); }).join();
  return may;
}

TEST(ThreadBoostTest, NiceRaisesAndPutsBack) {
  if (!MayRaise()) GTEST_SKIP() << "no right to lower nice values";
  std::thread([] {
    ASSERT_TRUE(os::SetThreadPriority(ThisThread(), {.nice = 3}).ok());
    {
      const ThreadBoost boost(BoostMode::kNice, {ThisThread()});
      EXPECT_EQ(boost.how(), "nice");
      EXPECT_EQ(GetThreadPriority(ThisThread())->nice, -10);
    }
    EXPECT_EQ(GetThreadPriority(ThisThread())->nice, 3);
  }).join();
}

TEST(ThreadBoostTest, WhatTheThreadChoseMeanwhileStays) {
  if (!MayRaise()) GTEST_SKIP() << "no right to lower nice values";
  std::thread([] {
    {
      const ThreadBoost boost(BoostMode::kNice, {ThisThread()});
      ASSERT_TRUE(os::SetThreadPriority(ThisThread(), {.nice = 5}).ok());
    }
    EXPECT_EQ(GetThreadPriority(ThisThread())->nice, 5);
  }).join();
}

TEST(ThreadBoostTest, OffRaisesNothing) {
  const os::ThreadPriority before = GetThreadPriority(ThisThread()).value();
  const ThreadBoost boost(BoostMode::kOff, {ThisThread()});
  EXPECT_EQ(boost.how(), "");
  EXPECT_EQ(GetThreadPriority(ThisThread())->nice, before.nice);
}

TEST(ThreadBoostTest, AThreadThatEndedIsNoTrouble) {
  const ThreadBoost boost(BoostMode::kRealtime, {0x7ffffff0});
  EXPECT_EQ(boost.how(), "");
  EXPECT_FALSE(boost.refused());
}

TEST(ProcessBoostTest, HoldersShareOneBoost) {
  ProcessBoost boost(BoostMode::kNice);
  // A process of our own whose threads may be changed: a child that sleeps.
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const int before = GetThreadPriority(child)->nice;
  auto first = boost.Hold(child);
  auto second = boost.Hold(child);
  EXPECT_EQ(first, second);
  first.reset();
  if (second->how() == "nice") {
    EXPECT_EQ(GetThreadPriority(child)->nice, -10);
  }
  second.reset();
  EXPECT_EQ(GetThreadPriority(child)->nice, before);
  kill(child, SIGKILL);
  EXPECT_EQ(ProcessBoost(BoostMode::kOff).Hold(child), nullptr);
}

}  // namespace
}  // namespace mlos::resources
