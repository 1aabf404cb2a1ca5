// SPDX-License-Identifier: Apache-2.0
#include "cache_entry.h"

#include <gtest/gtest.h>

#include "cpu.h"
#include "digest.h"

namespace mlos_ort {
namespace {

CacheEntry Example() {
  CacheEntry out;
  out.facts =
      "mlos-weight-cache 1\nengine onnxruntime 1.2.3\ncpu x\noptions optimization=all\nsource 1 2 3 - "
      "model.onnx\n";
  out.files = {{"model.onnx", {10, -1, 7, 1ULL << 63}, 0xFEDCBA9876543210}, {"a b", {0, 0, 0, 0}, 0}};
  return out;
}

TEST(CacheEntryTest, GoesThereAndBack) {
  CacheEntry read;
  ASSERT_TRUE(ParseEntry(FormatEntry(Example()), &read));
  EXPECT_EQ(read, Example());
  CacheEntry unusable = Example();
  unusable.files.clear();
  unusable.unusable = "its outputs differ";
  ASSERT_TRUE(ParseEntry(FormatEntry(unusable), &read));
  EXPECT_EQ(read, unusable);
}

TEST(CacheEntryTest, RefusesEveryTruncation) {
  const std::string text = FormatEntry(Example());
  const size_t first_file = text.find("file ");
  CacheEntry read;
  for (size_t size = 0; size < text.size(); ++size) {
    const bool ok = ParseEntry(text.substr(0, size), &read);
    // Without its last line it is a record of fewer files, which the caller notices by their names.
    EXPECT_EQ(ok, size > first_file && text[size - 1] == '\n') << size;
  }
}

TEST(CacheEntryTest, RefusesNamesThatLeaveTheFolder) {
  const std::string facts = Example().facts;
  CacheEntry read;
  for (const char* name : {"", ".", "..", "../model.onnx", "/etc/passwd", "a/b"}) {
    EXPECT_FALSE(ParseEntry(facts + "file 1 2 3 4 00000000000000ff " + name + "\n", &read)) << name;
  }
  EXPECT_TRUE(ParseEntry(facts + "file 1 2 3 4 00000000000000ff name\n", &read));
}

TEST(CacheEntryTest, RefusesNumbersThatAreNone) {
  const std::string facts = Example().facts;
  CacheEntry read;
  for (const char* line : {"file -1 2 3 4 ff n", "file 1 2 3 4 fg n", "file 1 2 3 4 10000000000000000 n",
                           "file 1 2 3 4 n", "file 99999999999999999999 2 3 4 ff n", "unusable "}) {
    EXPECT_FALSE(ParseEntry(facts + line + "\n", &read)) << line;
  }
}

uint64_t DigestOfText(std::string_view text, uint64_t seed) {
  Digest digest(seed);
  digest.Add(std::as_bytes(std::span(text)));
  return digest.value();
}

TEST(DigestTest, IsXxh64) {
  EXPECT_EQ(DigestOfText("", 0), 0xEF46DB3751D8E999);
  EXPECT_EQ(DigestOfText("a", 0), 0xD24EC4F1A98C6E5B);
  EXPECT_EQ(DigestOfText("abc", 0), 0x44BC2CF5AD770999);
  EXPECT_EQ(DigestOfText("Call me Ishmael. Some years ago--never mind how long precisely-", 0),
            0x02A2E85470D6FD96);
}

TEST(DigestTest, DoesNotDependOnHowTheBytesCome) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += static_cast<char>(i * 7);
  for (const size_t piece : {1, 7, 31, 32, 33, 100}) {
    Digest digest(5);
    for (size_t at = 0; at < text.size(); at += piece) {
      digest.Add(std::as_bytes(std::span(text).subspan(at, std::min(piece, text.size() - at))));
    }
    EXPECT_EQ(digest.value(), DigestOfText(text, 5)) << piece;
  }
}

TEST(CpuIdentityTest, IsOneLineAndStays) {
  const std::string identity = CpuIdentity();
  EXPECT_EQ(identity.find('\n'), std::string::npos);
  EXPECT_GT(identity.size(), 10U);
  EXPECT_EQ(CpuIdentity(), identity);
}

}  // namespace
}  // namespace mlos_ort
