// SPDX-License-Identifier: Apache-2.0
#include "os/terminal.h"

#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include "os/exec.h"
#include "os/interrupt.h"

namespace mlos::os {
namespace {

TEST(TerminalTest, ColumnsAreNeverNone) { EXPECT_GT(TerminalColumns(StandardStream::kError), 0); }

TEST(ExecTest, AMissingProgramIsNotFound) {
  EXPECT_EQ(Exec("/nowhere/at/all", {"x"}).code(), Code::kNotFound);
}

TEST(ExecDeathTest, TheOtherProgramTakesOverWithItsArguments) {
  EXPECT_EXIT((void)Exec("/bin/sh", {"-c", "exit 7"}), testing::ExitedWithCode(7), "");
}

int InterruptTwice() {
  const auto flag = WatchInterrupts();
  if (!flag.ok() || (*flag)->load()) return 1;
  kill(getpid(), SIGTERM);
  WaitForInterrupt();
  if (!(*flag)->load()) return 2;
  for (;;) kill(getpid(), SIGINT);
}

TEST(InterruptDeathTest, TheFirstSetsTheFlagAndTheSecondEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(InterruptTwice()), testing::ExitedWithCode(kInterruptedExit), "");
}

}  // namespace
}  // namespace mlos::os
