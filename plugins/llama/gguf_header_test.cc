// SPDX-License-Identifier: Apache-2.0
#include "gguf_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/gguf_bytes.h"
#include "testing/harness.h"

namespace mlos::llama {
namespace {

using testing::HasSubstr;

Status Check(const std::string& bytes, GgufHeader* header = nullptr) {
  GgufHeader own;
  MemorySource source(bytes);
  return GgufHeader::Read(source, header == nullptr ? &own : header);
}

void ExpectCorrupt(const std::string& bytes, const std::string& words) {
  const Status status = Check(bytes);
  EXPECT_EQ(status.code, SMI_CORRUPT);
  EXPECT_THAT(status.message, HasSubstr(words));
}

// Two tensors of 4x8 and 4x1 floats.
GgufBytes Good() {
  GgufBytes file;
  file.Header(2, 3).PairText("general.architecture", "llama").PairU32("llama.block_count", 2);
  file.Text("llama.attention.head_count_kv").Number<uint32_t>(9).Number<uint32_t>(5).Number<uint64_t>(2);
  file.Number<int32_t>(4).Number<int32_t>(1);
  file.Tensor("a", 4, 8, 0).Tensor("b", 4, 1, 128).PadTo(32).Zeros(144);
  return file;
}

TEST(GgufHeaderTest, ReadsMetadataAndTensors) {
  GgufHeader header;
  ASSERT_TRUE(Check(Good().bytes(), &header).ok());
  EXPECT_EQ(header.String("general.architecture"), "llama");
  EXPECT_EQ(header.Uint("llama.block_count"), 2u);
  EXPECT_EQ(header.Largest("llama.attention.head_count_kv"), 4u);
  EXPECT_EQ(header.OfLayer("llama.attention.head_count_kv", 1), 1u);
  EXPECT_EQ(header.OfLayer("llama.attention.head_count_kv", 2), std::nullopt);
  EXPECT_EQ(header.Uint("missing"), std::nullopt);
  ASSERT_EQ(header.tensors().size(), 2u);
  EXPECT_EQ(header.tensors()[0].size_bytes, 128u);
  EXPECT_EQ(header.tensors()[1].offset, 128u);
  EXPECT_EQ(header.header_bytes() + 144, header.file_bytes());
}

TEST(GgufHeaderTest, ReadsTheFixtures) {
  for (const char* name :
       {"addition/model-f16.gguf", "addition/model-q8_0.gguf", "embedding/model-f32.gguf"}) {
    GgufHeader header;
    const Status status = GgufHeader::ReadFile(FixturePath(name), &header);
    EXPECT_TRUE(status.ok()) << status.message;
    EXPECT_GT(header.tensors().size(), 10u);
  }
}

TEST(GgufHeaderTest, EveryShorterFileIsRefused) {
  const std::string whole = Good().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Check(whole.substr(0, size)).code, SMI_CORRUPT) << size << " of " << whole.size();
  }
}

TEST(GgufHeaderTest, FileAndMemoryAgree) {
  const std::string whole = Good().bytes();
  for (size_t size : {whole.size(), whole.size() - 1, size_t{100}, size_t{3}}) {
    const TempFile file(whole.substr(0, size));
    GgufHeader header;
    EXPECT_EQ(GgufHeader::ReadFile(file.path(), &header).code, Check(whole.substr(0, size)).code);
  }
}

TEST(GgufHeaderTest, WhatIsNoGgufIsSaidSo) {
  ExpectCorrupt("PK\3\4 something else entirely", "does not begin with 'GGUF'");
  GgufHeader header;
  EXPECT_EQ(GgufHeader::ReadFile("/nowhere/model.gguf", &header).code, SMI_NOT_FOUND);
}

TEST(GgufHeaderTest, UnknownVersionsAreUnsupported) {
  EXPECT_EQ(Check(GgufBytes().Header(0, 0, 1).bytes()).code, SMI_UNSUPPORTED);
  EXPECT_EQ(Check(GgufBytes().Header(0, 0, 4).bytes()).code, SMI_UNSUPPORTED);
  EXPECT_EQ(Check(GgufBytes().Header(0, 0, 0x03000000).bytes()).code, SMI_UNSUPPORTED);  // big-endian
}

TEST(GgufHeaderTest, CountsBeyondTheFileAreRefusedBeforeAnythingIsAllocated) {
  ExpectCorrupt(GgufBytes().Header(UINT64_MAX, 0).bytes(), "more than the file holds");
  ExpectCorrupt(GgufBytes().Header(0, UINT64_MAX / 2).bytes(), "more than the file holds");
  ExpectCorrupt(
      GgufBytes().Header(0, 1).Text("k").Number<uint32_t>(8).Number<uint64_t>(1u << 30).Zeros(20).bytes(),
      "beyond the end");
  ExpectCorrupt(GgufBytes()
                    .Header(0, 1)
                    .Text("k")
                    .Number<uint32_t>(9)
                    .Number<uint32_t>(4)
                    .Number(UINT64_MAX)
                    .Zeros(8)
                    .bytes(),
                "more than the file holds");
}

TEST(GgufHeaderTest, UnknownTypesAreRefused) {
  ExpectCorrupt(GgufBytes().Header(0, 1).Text("k").Number<uint32_t>(13).Zeros(20).bytes(), "unknown type 13");
  // An array of arrays.
  ExpectCorrupt(GgufBytes()
                    .Header(0, 1)
                    .Text("k")
                    .Number<uint32_t>(9)
                    .Number<uint32_t>(9)
                    .Number<uint64_t>(1)
                    .Zeros(20)
                    .bytes(),
                "unknown type 9");
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 4, 1, 0, 999).PadTo(32).Zeros(64).bytes(),
                "unknown type");
}

TEST(GgufHeaderTest, NamesThatComeTwiceAreRefused) {
  ExpectCorrupt(GgufBytes().Header(0, 2).PairU32("k", 1).PairU32("k", 2).bytes(), "twice");
  ExpectCorrupt(
      GgufBytes().Header(2, 0).Tensor("t", 4, 1, 0).Tensor("t", 4, 1, 32).PadTo(32).Zeros(64).bytes(),
      "twice");
}

TEST(GgufHeaderTest, TensorsOutsideTheFileAreRefused) {
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 4, 8, 0).PadTo(32).Zeros(127).bytes(),
                "ends at data byte");
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 4, 1, 1 << 20).PadTo(32).Zeros(64).bytes(),
                "ends at data byte");
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 4, 1, UINT64_MAX - 31).PadTo(32).Zeros(64).bytes(),
                "ends at data byte");
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 4, 1, 16).PadTo(32).Zeros(64).bytes(), "not aligned");
}

TEST(GgufHeaderTest, SizesThatOverflowAreRefused) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", kHuge, kHuge, 0).PadTo(32).Zeros(64).bytes(),
                "do not fit");
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", -4, 1, 0).PadTo(32).Zeros(64).bytes(), "negative");
  // Q8_0 comes in blocks of 32.
  ExpectCorrupt(GgufBytes().Header(1, 0).Tensor("t", 33, 1, 0, 8).PadTo(32).Zeros(64).bytes(), "do not fit");
}

TEST(GgufHeaderTest, AlignmentMustBeAPowerOfTwo) {
  for (uint32_t alignment : {0u, 3u, 1u << 30}) {
    ExpectCorrupt(GgufBytes().Header(0, 1).PairU32("general.alignment", alignment).bytes(), "power of two");
  }
  EXPECT_TRUE(Check(GgufBytes().Header(0, 1).PairU32("general.alignment", 64).PadTo(64).bytes()).ok());
}

}  // namespace
}  // namespace mlos::llama
