// SPDX-License-Identifier: Apache-2.0
#include "package/digest.h"

#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::package {
namespace {

// FIPS 180-2, appendix B.
TEST(DigestTest, Sha256GivesThePublishedValues) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(DigestTest, PiecesGiveTheDigestOfTheWhole) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(sha.Finish(), Sha256Hex("abc"));
}

TEST(DigestTest, HashesFilesOfSeveralChunks) {
  const os::TemporaryDirectory temporary;
  const std::string contents(2'500'000, 'q');
  ASSERT_TRUE(os::WriteFile(temporary.path() / "f", contents).ok());
  EXPECT_EQ(*Sha256File(temporary.path() / "f"), Sha256Hex(contents));
  EXPECT_EQ(Sha256File(temporary.path() / "none").status().code(), Code::kNotFound);
  EXPECT_FALSE(Sha256File(temporary.path()).ok());
}

// `printf 'what is up, doc?' | git hash-object --stdin`, and git's well-known id of the empty file.
TEST(DigestTest, GitBlobIdsAreGits) {
  const os::TemporaryDirectory temporary;
  ASSERT_TRUE(os::WriteFile(temporary.path() / "doc", "what is up, doc?").ok());
  ASSERT_TRUE(os::WriteFile(temporary.path() / "empty", "").ok());
  EXPECT_EQ(*GitBlobSha1File(temporary.path() / "doc"), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
  EXPECT_EQ(*GitBlobSha1File(temporary.path() / "empty"), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(DigestTest, KnowsWhatASha256LooksLike) {
  EXPECT_TRUE(IsSha256Hex(std::string(64, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a')));
  EXPECT_FALSE(IsSha256Hex(std::string(64, 'A')));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a') + "g"));
}

}  // namespace
}  // namespace mlos::package
