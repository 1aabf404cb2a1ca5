// SPDX-License-Identifier: Apache-2.0
#include "os/directory.h"

#include <errno.h>
#include <gtest/gtest.h>

#include "os/fault.h"
#include "os/file.h"

namespace mlos::os {
namespace {

class DirectoryTest : public testing::Test {
 protected:
  void TearDown() override { SetFaultHookForTesting(nullptr); }
  std::filesystem::path At(const std::string& name) const { return temporary_.path() / name; }
  TemporaryDirectory temporary_;
};

TEST_F(DirectoryTest, MakesParentsAndAcceptsWhatIsThere) {
  ASSERT_TRUE(MakeDirectories(At("a/b/c")).ok());
  EXPECT_TRUE(MakeDirectories(At("a/b/c")).ok());
  EXPECT_TRUE(Stat(At("a/b/c"))->is_directory);
}

TEST_F(DirectoryTest, AFileInTheWayIsAnError) {
  ASSERT_TRUE(WriteFile(At("a"), "").ok());
  EXPECT_EQ(MakeDirectories(At("a")).code(), Code::kAlreadyExists);
  EXPECT_FALSE(MakeDirectories(At("a/b")).ok());
}

TEST_F(DirectoryTest, ListsSortedNames) {
  ASSERT_TRUE(WriteFile(At("b"), "").ok());
  ASSERT_TRUE(WriteFile(At("a"), "").ok());
  EXPECT_EQ(*ListDirectory(temporary_.path()), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(ListDirectory(At("nothing")).status().code(), Code::kNotFound);
}

TEST_F(DirectoryTest, ExchangeSwapsTwoFullFolders) {
  ASSERT_TRUE(MakeDirectories(At("x")).ok());
  ASSERT_TRUE(MakeDirectories(At("y")).ok());
  ASSERT_TRUE(WriteFile(At("x/1"), "").ok());
  ASSERT_TRUE(WriteFile(At("y/2"), "").ok());
  ASSERT_TRUE(Exchange(At("x"), At("y")).ok());
  EXPECT_TRUE(Exists(At("x/2")));
  EXPECT_TRUE(Exists(At("y/1")));
}

TEST_F(DirectoryTest, ExchangeThatTheFileSystemLacksIsUnimplemented) {
  SetFaultHookForTesting([](std::string_view step, const char*) { return step == "exchange" ? EINVAL : 0; });
  EXPECT_EQ(Exchange(At("x"), At("y")).code(), Code::kUnimplemented);
}

TEST_F(DirectoryTest, RemoveTreeDoesNotFollowSymbolicLinks) {
  ASSERT_TRUE(MakeDirectories(At("keep")).ok());
  ASSERT_TRUE(WriteFile(At("keep/file"), "").ok());
  ASSERT_TRUE(MakeDirectories(At("tree/deep")).ok());
  std::filesystem::create_directory_symlink(At("keep"), At("tree/deep/link"));
  ASSERT_TRUE(RemoveTree(At("tree")).ok());
  EXPECT_FALSE(Exists(At("tree")));
  EXPECT_TRUE(Exists(At("keep/file")));
  EXPECT_TRUE(RemoveTree(At("tree")).ok());
}

TEST_F(DirectoryTest, RemovesOnlyEmptyFolders) {
  ASSERT_TRUE(MakeDirectories(At("a/b")).ok());
  EXPECT_TRUE(RemoveDirectoryIfEmpty(At("a")).ok());
  EXPECT_TRUE(Exists(At("a")));
  EXPECT_TRUE(RemoveDirectoryIfEmpty(At("a/b")).ok());
  EXPECT_FALSE(Exists(At("a/b")));
}

TEST_F(DirectoryTest, FreeBytesOfAFolderThatIsNotThereYetIsThatOfItsParent) {
  EXPECT_GT(*FreeBytes(At("not/there/yet")), 0u);
}

}  // namespace
}  // namespace mlos::os
