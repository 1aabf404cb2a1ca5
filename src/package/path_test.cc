// SPDX-License-Identifier: Apache-2.0
#include "package/path.h"

#include <gtest/gtest.h>

namespace mlos::package {
namespace {

TEST(PackagePathTest, AcceptsOrdinaryNames) {
  for (const char* path : {"model.onnx", "1_Pooling/config.json", "a..b", "..a", "with space",
                           "\xC3\xA9t\xC3\xA9.txt", "a/manifest.yaml"}) {
    EXPECT_TRUE(CheckPackagePath(path).ok()) << path;
  }
}

TEST(PackagePathTest, RefusesEveryWayOutOfThePackage) {
  const std::string long_part(256, 'a');
  std::string deep = "a";
  for (int i = 0; i < 32; ++i) deep += "/a";
  const std::vector<std::string> bad = {"",
                                        "/etc/passwd",
                                        "..",
                                        "../x",
                                        "a/../b",
                                        "a/..",
                                        ".",
                                        "./a",
                                        "a//b",
                                        "a/",
                                        "a\\b",
                                        "a\nb",
                                        std::string("a\0b", 3),
                                        "a\x7f",
                                        "\xff",
                                        "manifest.yaml",
                                        long_part,
                                        deep,
                                        std::string(1025, 'a')};
  for (const std::string& path : bad)
    EXPECT_EQ(CheckPackagePath(path).code(), Code::kInvalidArgument) << Printable(path);
}

TEST(PackagePathTest, MessagesShowNoControlCharacters) {
  EXPECT_EQ(CheckPackagePath("a\x1b[31m").message(), "path 'a\\x1b[31m' holds a control character");
  EXPECT_EQ(CheckPackagePath("a\xff").message(), "path 'a\\xff' is not valid UTF-8");
}

TEST(PackagePathTest, SeesDuplicatesAndFilesThatAreFolders) {
  EXPECT_TRUE(CheckPathsFitTogether({"a", "a.b", "a-b/c", "ab"}).ok());
  EXPECT_FALSE(CheckPathsFitTogether({"a", "b", "a"}).ok());
  // '-' and '.' sort before '/': the neighbours are not next to each other in plain order.
  EXPECT_FALSE(CheckPathsFitTogether({"a/x", "a-b", "a", "a.b"}).ok());
}

}  // namespace
}  // namespace mlos::package
