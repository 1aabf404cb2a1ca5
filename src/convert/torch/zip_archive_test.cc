// SPDX-License-Identifier: Apache-2.0
// Zip archives: what is read, and what is refused because it lies in one place.
#include "convert/torch/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/torch/testing/torch_writer.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;

Result<std::vector<ZipEntry>> Read(const std::string& bytes) {
  return ReadZipArchive(std::as_bytes(std::span(bytes)));
}

ZipToWrite TwoEntries() { return {{{"m/data.pkl", "pickle"}, {"m/data/0", "0123456789abcdef"}}}; }

void ExpectDamaged(const std::string& bytes, const std::string& part) {
  const auto entries = Read(bytes);
  EXPECT_EQ(entries.status().code(), Code::kDataLoss) << part;
  EXPECT_THAT(entries.status().message(), HasSubstr(part));
}

TEST(ZipArchiveTest, FindsContentsWhereTheyLie) {
  for (const bool zip64 : {false, true}) {
    ZipToWrite zip = TwoEntries();
    zip.zip64 = zip64;
    const std::string bytes = ZipBytes(zip);
    const auto entries = Read(bytes);
    ASSERT_TRUE(entries.ok()) << entries.status().ToString();
    ASSERT_EQ(entries->size(), 2U);
    EXPECT_EQ((*entries)[1].name, "m/data/0");
    EXPECT_EQ((*entries)[1].offset % 64, 0U);
    EXPECT_EQ(bytes.substr((*entries)[1].offset, (*entries)[1].size_bytes), "0123456789abcdef");
  }
}

TEST(ZipArchiveTest, AnEmptyArchiveHasNoEntries) { EXPECT_TRUE(Read(ZipBytes({}))->empty()); }

TEST(ZipArchiveTest, CompressedEntriesAreMarked) {
  ZipToWrite zip = TwoEntries();
  zip.entries[0].method = 8;
  EXPECT_TRUE((*Read(ZipBytes(zip)))[0].compressed);
}

TEST(ZipArchiveTest, EveryLengthOfACutFileIsRefused) {
  for (const bool zip64 : {false, true}) {
    ZipToWrite zip = TwoEntries();
    zip.zip64 = zip64;
    const std::string whole = ZipBytes(zip);
    for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(Read(whole.substr(0, size)).ok()) << size;
  }
}

TEST(ZipArchiveTest, NamesThatAreThereTwice) {
  ZipToWrite zip = TwoEntries();
  zip.entries[1].name = "m/data.pkl";
  ExpectDamaged(ZipBytes(zip), "twice");
}

TEST(ZipArchiveTest, NamesThatLeadOutOfTheArchive) {
  for (const char* name : {"../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", ".."}) {
    ZipToWrite zip = TwoEntries();
    zip.entries[0].name = name;
    ExpectDamaged(ZipBytes(zip), "outside the archive");
  }
  for (const std::string& name : {std::string("a\\b"), std::string("a\0b", 3), std::string("a\nb")}) {
    ZipToWrite zip = TwoEntries();
    zip.entries[0].name = name;
    ExpectDamaged(ZipBytes(zip), "forbidden character");
  }
}

TEST(ZipArchiveTest, TwoDescriptionsThatDiffer) {
  ZipToWrite name = TwoEntries();
  name.entries[0].local_name = "m/evil.pkl";
  ExpectDamaged(ZipBytes(name), "two different ways");
  ZipToWrite size = TwoEntries();
  size.entries[0].size_shift = -1;
  ExpectDamaged(ZipBytes(size), "two different sizes");
  ZipToWrite place = TwoEntries();
  place.entries[1].header_shift = -3;
  ExpectDamaged(ZipBytes(place), "not where the directory says");
}

TEST(ZipArchiveTest, EntriesThatShareBytes) {
  // Both directory entries point at one local header; their names agree with it in turn, so it is the bytes that tell.
  ZipToWrite inner = {{{"a", "xx"}}};
  std::string hidden = ZipBytes(inner).substr(0, 64 + 2);
  ZipToWrite zip = {{{"b", hidden}, {"a", "xx"}}};
  const std::string first = ZipBytes(zip);
  const auto entries = Read(first);
  ASSERT_TRUE(entries.ok());
  // The copy of "a" inside "b" begins at the contents of "b".
  const auto second_header =
      static_cast<int64_t>(first.find(std::string("PK\x03\x04"), (*entries)[0].offset + hidden.size()));
  zip.entries[1].header_shift = static_cast<int64_t>((*entries)[0].offset) - second_header;
  ExpectDamaged(ZipBytes(zip), "shares bytes");
}

TEST(ZipArchiveTest, EncryptionVolumesAndLyingDirectories) {
  ZipToWrite encrypted = TwoEntries();
  encrypted.entries[0].flags = 1;
  ExpectDamaged(ZipBytes(encrypted), "encrypted");
  ZipToWrite shifted = TwoEntries();
  shifted.directory_shift = 4;
  ExpectDamaged(ZipBytes(shifted), "not where its end record says");
  for (const int64_t more : {-1, 1, 60'000}) {
    ZipToWrite count = TwoEntries();
    count.entries_shift = more;
    EXPECT_EQ(Read(ZipBytes(count)).status().code(), Code::kDataLoss) << more;
  }
  ZipToWrite huge = TwoEntries();
  huge.zip64 = true;
  huge.entries_shift = int64_t{1} << 60;
  ExpectDamaged(ZipBytes(huge), "entries");
}

TEST(ZipArchiveTest, SizesBeyondTheFile) {
  ZipToWrite zip = TwoEntries();
  zip.zip64 = true;
  zip.entries[1].size_shift = int64_t{1} << 62;
  EXPECT_EQ(Read(ZipBytes(zip)).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace mlos::convert
