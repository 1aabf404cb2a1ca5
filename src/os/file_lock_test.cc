// SPDX-License-Identifier: Apache-2.0
#include "os/file_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/directory.h"

namespace mlos::os {
namespace {

class FileLockTest : public testing::Test {
 protected:
  std::filesystem::path path() const { return temporary_.path() / "lock"; }
  TemporaryDirectory temporary_;
};

TEST_F(FileLockTest, ExclusiveKeepsOthersOutUntilItIsDropped) {
  {
    const auto held = FileLock::Acquire(path(), FileLock::Kind::kExclusive);
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(FileLock::Acquire(path(), FileLock::Kind::kExclusive, false).status().code(),
              Code::kUnavailable);
    EXPECT_EQ(FileLock::Acquire(path(), FileLock::Kind::kShared, false).status().code(), Code::kUnavailable);
  }
  EXPECT_TRUE(FileLock::Acquire(path(), FileLock::Kind::kExclusive, false).ok());
}

TEST_F(FileLockTest, SharedLocksGoTogether) {
  const auto first = FileLock::Acquire(path(), FileLock::Kind::kShared);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(FileLock::Acquire(path(), FileLock::Kind::kShared, false).ok());
  EXPECT_EQ(FileLock::Acquire(path(), FileLock::Kind::kExclusive, false).status().code(), Code::kUnavailable);
}

TEST_F(FileLockTest, AKilledHolderLosesTheLock) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto held = FileLock::Acquire(path(), FileLock::Kind::kExclusive);
    (void)!write(ready[1], held.ok() ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::Acquire(path(), FileLock::Kind::kExclusive, false).ok());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::Acquire(path(), FileLock::Kind::kExclusive, false).ok());
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace mlos::os
