// SPDX-License-Identifier: Apache-2.0
#include "os/run_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>

#include <thread>

namespace mlos::os {
namespace {

TEST(RunProgramTest, GivesOutputErrorAndExitStatus) {
  const auto result = RunProgram("/bin/sh", {"-c", "echo out; echo \"$WORD\" >&2; exit 7"},
                                 {.environment = {{"WORD", "err"}}});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->exit_status, 7);
  EXPECT_EQ(result->signal, 0);
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->error, "err\n");
}

TEST(RunProgramTest, ArgumentsArriveAsTheyAre) {
  EXPECT_EQ(RunProgram("/bin/echo", {"a b", "$HOME", "'*'"}, {})->output, "a b $HOME '*'\n");
}

TEST(RunProgramTest, StandardInputIsEmpty) { EXPECT_EQ(RunProgram("/bin/cat", {}, {})->output, ""); }

TEST(RunProgramTest, ASignalThatEndsItIsTold) {
  EXPECT_EQ(RunProgram("/bin/sh", {"-c", "kill -9 $$"}, {})->signal, SIGKILL);
}

TEST(RunProgramTest, OutputBeyondTheLimitIsDroppedAndDoesNotBlock) {
  const auto result = RunProgram("/bin/sh", {"-c", "head -c 1000000 /dev/zero"}, {.max_output_bytes = 1000});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->output.size(), 1000U);
  EXPECT_EQ(result->exit_status, 0);
}

TEST(RunProgramTest, TooLongIsKilledWithItsChildren) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(RunProgram("/bin/sh", {"-c", "sleep 100 & sleep 100"}, {.timeout_s = 0.2}).status().code(),
            Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(RunProgramTest, AnInterruptKillsIt) {
  const std::atomic<bool> interrupted{true};
  EXPECT_EQ(RunProgram("/bin/sleep", {"100"}, {.interrupted = &interrupted}).status().code(),
            Code::kCancelled);
}

TEST(RunProgramTest, SaysWhenThereIsNoSuchProgram) {
  EXPECT_EQ(RunProgram("/nowhere/program", {}, {}).status().code(), Code::kNotFound);
  EXPECT_EQ(FindProgram("no-such-program-anywhere").status().code(), Code::kNotFound);
  EXPECT_TRUE(FindProgram("sh").ok());
}

}  // namespace
}  // namespace mlos::os
