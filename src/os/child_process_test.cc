// SPDX-License-Identifier: Apache-2.0
#include "os/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "os/futex.h"
#include "os/local_socket.h"
#include "os/shared_memory.h"

namespace mlos::os {
namespace {

Result<ChildProcess> Shell(const std::string& script, int inherited = 1) {
  return ChildProcess::Start("/bin/sh", {"-c", script}, inherited);
}

TEST(ChildProcessTest, TellsHowItEnded) {
  auto child = Shell("exit 7");
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->Wait(-1)->code, 7);
  auto killed = Shell("kill -SEGV $$");
  EXPECT_EQ(killed->Wait(-1)->ToString(), "was killed by signal 11 (Segmentation fault)");
}

TEST(ChildProcessTest, NamesAProgramThatIsNotThere) {
  const Status status = ChildProcess::Start("/nowhere/program", {}, 1).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("/nowhere/program"));
}

TEST(ChildProcessTest, InheritsTheOneFileAndNoOther) {
  // Not close-on-exec, as third-party code opens files.
  const int leaked = ::open("/dev/null", O_RDONLY);
  auto sockets = LocalSocket::Pair().value();
  auto child = Shell("ls /proc/self/fd | tr '\\n' ' ' >&3", sockets.second.fd());
  ASSERT_TRUE(child.ok());
  sockets.second.Close();
  std::vector<std::byte> buffer(kMaxSocketMessage);
  const auto message = sockets.first.Receive(buffer, true);
  ASSERT_TRUE(message.ok());
  const std::string listed(reinterpret_cast<const char*>(buffer.data()), message->size_bytes);
  // The fifth is the folder that ls reads.
  EXPECT_THAT(listed, ::testing::StartsWith("0 1 2 3 "));
  EXPECT_LE(std::ranges::count(listed, ' '), 6) << listed;
  child->Wait(-1);
  ::close(leaked);
}

TEST(ChildProcessTest, TheDestructorKillsWhatItStartedToo) {
  auto sockets = LocalSocket::Pair().value();
  {
    auto child = Shell("sleep 1000 & sleep 1000", sockets.second.fd());
    ASSERT_TRUE(child.ok());
    sockets.second.Close();
  }
  // Both had the socket.
  std::vector<std::byte> buffer(kMaxSocketMessage);
  EXPECT_EQ(sockets.first.Receive(buffer, true).status().code(), Code::kFailedPrecondition);
}

TEST(ChildProcessTest, WaitGivesUpInTime) {
  auto child = Shell("sleep 1000");
  EXPECT_FALSE(child->Wait(10));
  EXPECT_TRUE(child->running());
}

TEST(SharedMemoryTest, ItsSizeCannotChange) {
  const auto memory = SharedMemory::Create("os-test", 4096).value();
  EXPECT_NE(ftruncate(memory.fd().get(), 0), 0);
  EXPECT_NE(ftruncate(memory.fd().get(), 8192), 0);
}

TEST(SharedMemoryTest, OthersReadWhatIsWrittenButCannotMapItForWriting) {
  const auto memory = SharedMemory::CreateReadOnlyForOthers("os-test", 4096).value();
  memory.data()[5] = std::byte{9};
  const auto seen =
      SharedMemory::Attach(Descriptor(dup(memory.fd().get())), 4096, SharedMemory::Access::kReadOnly);
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->data()[5], std::byte{9});
  EXPECT_FALSE(
      SharedMemory::Attach(Descriptor(dup(memory.fd().get())), 4096, SharedMemory::Access::kReadWrite).ok());
}

TEST(SharedMemoryTest, RefusesMemoryOfAnotherSizeOrNotSealed) {
  const auto memory = SharedMemory::Create("os-test", 4096).value();
  EXPECT_EQ(SharedMemory::Attach(Descriptor(dup(memory.fd().get())), 8192, SharedMemory::Access::kReadOnly)
                .status()
                .code(),
            Code::kInvalidArgument);
  char name[] = "/tmp/mlos_os_test_XXXXXX";
  Descriptor file(mkstemp(name));
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  unlink(name);
  EXPECT_EQ(SharedMemory::Attach(std::move(file), 4096, SharedMemory::Access::kReadOnly).status().code(),
            Code::kInvalidArgument);
}

TEST(SharedMemoryTest, CommitRefusesWhatIsNotThere) {
  // More than any machine has.
  const auto memory = SharedMemory::Create("os-test", uint64_t{1} << 45);
  ASSERT_TRUE(memory.ok()) << memory.status().ToString();
  EXPECT_TRUE(memory->Commit(0, 4096).ok());
  EXPECT_FALSE(memory->Commit(uint64_t{1} << 45, 4096).ok());
}

TEST(FutexTest, AWakeEndsAWait) {
  std::atomic<uint32_t> word{0};
  std::thread sleeper([&] {
    while (word.load() == 0) FutexWait(word, 0, -1);
  });
  word.store(1);
  FutexWake(word, 1);
  sleeper.join();
  FutexWait(word, 0, -1);
  FutexWait(word, 1, 1000);
}

}  // namespace
}  // namespace mlos::os
