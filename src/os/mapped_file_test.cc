// SPDX-License-Identifier: Apache-2.0
#include "os/mapped_file.h"

#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::os {
namespace {

TEST(MappedFileTest, ShowsTheBytesOfTheFile) {
  const TemporaryDirectory temporary;
  ASSERT_TRUE(WriteFile(temporary.path() / "a", "hello").ok());
  auto mapped = MappedFile::Open(temporary.path() / "a");
  ASSERT_TRUE(mapped.ok());
  const MappedFile moved = std::move(*mapped);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(moved.bytes().data()), moved.size()), "hello");
  EXPECT_EQ(mapped->size(), 0u);
}

TEST(MappedFileTest, AnEmptyFileIsEmptyBytes) {
  const TemporaryDirectory temporary;
  ASSERT_TRUE(WriteFile(temporary.path() / "a", "").ok());
  EXPECT_TRUE(MappedFile::Open(temporary.path() / "a")->bytes().empty());
}

TEST(MappedFileTest, RefusesFoldersAndMissingFiles) {
  const TemporaryDirectory temporary;
  EXPECT_EQ(MappedFile::Open(temporary.path()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MappedFile::Open(temporary.path() / "no").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace mlos::os
