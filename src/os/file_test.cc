// SPDX-License-Identifier: Apache-2.0
#include "os/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "os/directory.h"
#include "os/errors.h"
#include "os/fault.h"
#include "os/replace_file.h"

namespace mlos::os {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_FALSE(temporary_.path().empty()); }
  void TearDown() override { SetFaultHookForTesting(nullptr); }
  std::filesystem::path At(const std::string& name) const { return temporary_.path() / name; }
  TemporaryDirectory temporary_;
};

TEST_F(FileTest, ReadsWhatWasWritten) {
  ASSERT_TRUE(WriteFile(At("a"), "hello").ok());
  EXPECT_EQ(*ReadFile(At("a"), 5), "hello");
  EXPECT_EQ(Stat(At("a"))->size_bytes, 5u);
}

TEST_F(FileTest, RefusesMoreThanTheLimitAndNamesBoth) {
  ASSERT_TRUE(WriteFile(At("a"), "hello").ok());
  const auto result = ReadFile(At("a"), 4);
  EXPECT_EQ(result.status().code(), Code::kTooLarge);
  EXPECT_NE(result.status().message().find("5 B, the limit is 4 B"), std::string::npos)
      << result.status().message();
}

TEST_F(FileTest, AMissingFileIsNotFoundAndAFolderIsNoFile) {
  EXPECT_EQ(ReadFile(At("nothing"), 1).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadFile(temporary_.path(), 1).status().code(), Code::kInvalidArgument);
}

TEST_F(FileTest, AtomicWriteReplacesAndLeavesNoTemporaryFile) {
  ASSERT_TRUE(WriteFileAtomically(At("a"), "old").ok());
  ASSERT_TRUE(WriteFileAtomically(At("a"), "new", 0600).ok());
  EXPECT_EQ(*ReadFile(At("a"), 10), "new");
  EXPECT_EQ(Stat(At("a"))->mode, 0600u);
  EXPECT_EQ(ListDirectory(temporary_.path())->size(), 1u);
}

TEST_F(FileTest, AReplacedFileIsWholeAndNothingIsSynced) {
  ASSERT_TRUE(ReplaceFile(At("a"), "old").ok());
  SetFaultHookForTesting([](std::string_view step, const char*) { return step == "sync" ? EIO : 0; });
  EXPECT_TRUE(ReplaceFile(At("a"), "new").ok());
  SetFaultHookForTesting([](std::string_view step, const char*) { return step == "write" ? ENOSPC : 0; });
  EXPECT_EQ(ReplaceFile(At("a"), "newer").code(), Code::kResourceExhausted);
  SetFaultHookForTesting(nullptr);
  EXPECT_EQ(*ReadFile(At("a"), 10), "new");
  EXPECT_EQ(ListDirectory(temporary_.path())->size(), 1u);
}

TEST_F(FileTest, AtomicWriteThatFailsKeepsTheOldContents) {
  ASSERT_TRUE(WriteFileAtomically(At("a"), "old").ok());
  SetFaultHookForTesting([](std::string_view step, const char*) { return step == "write" ? ENOSPC : 0; });
  EXPECT_EQ(WriteFileAtomically(At("a"), "new").code(), Code::kResourceExhausted);
  SetFaultHookForTesting(nullptr);
  EXPECT_EQ(*ReadFile(At("a"), 10), "old");
  EXPECT_EQ(ListDirectory(temporary_.path())->size(), 1u);
}

TEST_F(FileTest, CopyIsEqualAndIndependent) {
  const std::string big(3 << 20, 'x');
  ASSERT_TRUE(WriteFile(At("a"), big).ok());
  ASSERT_TRUE(CopyFile(At("a"), At("b")).ok());
  ASSERT_TRUE(WriteFile(At("a"), "changed").ok());
  EXPECT_EQ(*ReadFile(At("b"), big.size()), big);
  EXPECT_EQ(CopyFile(At("a"), At("b")).code(), Code::kAlreadyExists);
}

TEST_F(FileTest, CopiesFilesThatClaimToBeEmpty) {
  // Files below /proc have size 0 and copy_file_range finds nothing in them.
  ASSERT_TRUE(CopyFile("/proc/self/status", At("status")).ok());
  EXPECT_GT(Stat(At("status"))->size_bytes, 0u);
}

TEST_F(FileTest, HardLinkIsTheSameFile) {
  ASSERT_TRUE(WriteFile(At("a"), "x").ok());
  ASSERT_TRUE(HardLink(At("a"), At("b")).ok());
  EXPECT_EQ(Stat(At("a"))->inode, Stat(At("b"))->inode);
  EXPECT_EQ(Stat(At("a"))->link_count, 2u);
  EXPECT_EQ(HardLink(At("a"), At("b")).code(), Code::kAlreadyExists);
}

TEST_F(FileTest, WritesAtOffsetsAndReadsChunksInOrder) {
  auto file = File::Open(At("a"), File::Mode::kOpenOrCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->WriteAt(3, std::string_view("def")).ok());
  ASSERT_TRUE(file->WriteAt(0, std::string_view("abc")).ok());
  ASSERT_TRUE(file->Sync().ok());
  std::string seen;
  ASSERT_TRUE(ReadChunks(At("a"), [&](std::span<const std::byte> chunk) {
                seen.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
                return OkStatus();
              }).ok());
  EXPECT_EQ(seen, "abcdef");
}

// The child sees the limit; the status text goes back through the exit code.
TEST_F(FileTest, AFileSizeLimitIsResourceExhausted) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = WriteFile(At("big"), std::string(5000, 'x'));
    const bool good = status.code() == Code::kResourceExhausted && !Exists(At("big")) &&
                      status.message().find("file size limit") != std::string::npos;
    _exit(good ? 0 : 1);
  }
  int wait_status = 0;
  ASSERT_EQ(waitpid(child, &wait_status, 0), child);
  EXPECT_EQ(WEXITSTATUS(wait_status), 0);
}

TEST_F(FileTest, AFullDiskSaysWhatWasNeededAndWhatWasFree) {
  const std::filesystem::path disk = At("disk");
  ASSERT_TRUE(MakeDirectories(disk).ok());
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=65536") != 0)
    GTEST_SKIP() << "needs the right to mount a small tmpfs";
  ASSERT_TRUE(WriteFile(At("source"), std::string(1'000'000, 'x')).ok());
  const Status written = WriteFile(disk / "a", std::string(1'000'000, 'x'));
  const Status copied = CopyFile(At("source"), disk / "b");
  const size_t left = ListDirectory(disk)->size();
  umount(disk.c_str());
  EXPECT_EQ(written.code(), Code::kResourceExhausted);
  EXPECT_EQ(copied.code(), Code::kResourceExhausted);
  EXPECT_NE(copied.message().find("1.0 MB needed"), std::string::npos) << copied.message();
  EXPECT_NE(copied.message().find("free on that file system"), std::string::npos) << copied.message();
  EXPECT_EQ(left, 0u) << "a half-written file stayed";
}

TEST(FormatBytesTest, UsesDecimalUnits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(999'999), "1.0 MB");
  EXPECT_EQ(FormatBytes(1'500'000'000), "1.5 GB");
}

}  // namespace
}  // namespace mlos::os
