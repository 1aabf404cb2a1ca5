// SPDX-License-Identifier: Apache-2.0
// Against a folder that looks like a tree of control groups; the kernel's own tree is only found on some machines.
#include "os/child_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "os/directory.h"

namespace mlos::os {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ChildGroupsTest : public ::testing::Test {
 protected:
  void Write(const fs::path& path, const std::string& text) const {
    fs::create_directories((root_.path() / path).parent_path());
    std::ofstream(root_.path() / path) << text;
  }
  static std::string Read(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const TemporaryDirectory root_;
  const fs::path own_ = root_.path() / "sys/fs/cgroup/slice/mlos.service";
};

TEST_F(ChildGroupsTest, MovesItselfAsideAndLimitsEachChild) {
  Write("proc/self/cgroup", "0::/slice/mlos.service\n");
  Write("sys/fs/cgroup/slice/mlos.service/cgroup.controllers", "cpu memory pids\n");
  const auto groups = ChildGroups::Open(root_.path());
  ASSERT_TRUE(groups.ok()) << groups.status().ToString();
  EXPECT_EQ(Read(own_ / "mlos-core/cgroup.procs"), std::to_string(getpid()));
  EXPECT_THAT(Read(own_ / "cgroup.subtree_control"), HasSubstr("+pids"));
  const auto one = (*groups)->Make({.memory_bytes = 1000, .tasks = 7}).value();
  const auto other = (*groups)->Make({.memory_bytes = 2000}).value();
  ASSERT_NE(one->path(), other->path());
  EXPECT_EQ(one->path().parent_path(), own_);
  EXPECT_EQ(Read(one->path() / "memory.max"), "1000");
  EXPECT_EQ(Read(one->path() / "memory.oom.group"), "1");
  EXPECT_EQ(Read(one->path() / "pids.max"), "7");
  EXPECT_EQ(Read(other->path() / "pids.max"), "");
  ASSERT_TRUE(one->Add(4711).ok());
  EXPECT_EQ(Read(one->path() / "cgroup.procs"), "4711");
  EXPECT_EQ(one->out_of_memory_kills(), 0U);
  std::ofstream(one->path() / "memory.events") << "oom 1\noom_kill 1\n";
  EXPECT_EQ(one->out_of_memory_kills(), 1U);
}

TEST_F(ChildGroupsTest, SaysThatThereIsNoVersionTwo) {
  Write("proc/self/cgroup", "4:memory:/x\n0::/\n");
  const Status status = ChildGroups::Open(root_.path()).status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("version 2"));
}

TEST_F(ChildGroupsTest, SaysThatMemoryIsNotCounted) {
  Write("proc/self/cgroup", "0::/slice/mlos.service\n");
  Write("sys/fs/cgroup/slice/mlos.service/cgroup.controllers", "cpu pids\n");
  const Status status = ChildGroups::Open(root_.path()).status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("Delegate=memory pids"));
  EXPECT_FALSE(fs::exists(own_ / "mlos-core"));
}

TEST_F(ChildGroupsTest, LeavesEverythingAsItWasWhereItMayNot) {
  Write("proc/self/cgroup", "0::/slice/mlos.service\n");
  Write("sys/fs/cgroup/slice/mlos.service/cgroup.controllers", "memory\n");
  // A folder in the place of the control file refuses the write, as the kernel does when other processes are there.
  fs::create_directories(own_ / "cgroup.subtree_control");
  const Status status = ChildGroups::Open(root_.path()).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status.ToString();
  EXPECT_EQ(Read(own_ / "cgroup.procs"), std::to_string(getpid()));
}

// Where the kernel lets this process make groups, they hold.
TEST(ChildGroupsOfThisMachineTest, HoldAProcess) {
  if (ChildGroups::Open("/nonexistent").ok()) FAIL() << "there is no such tree";
  const auto groups = ChildGroups::Open();
  if (!groups.ok()) GTEST_SKIP() << groups.status().message();
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto group = (*groups)->Make({.memory_bytes = 64 << 20, .tasks = 4}).value();
  EXPECT_TRUE(group->Add(child).ok());
  std::ifstream in("/proc/" + std::to_string(child) + "/cgroup");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(text, HasSubstr(group->path().filename().string()));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace mlos::os
