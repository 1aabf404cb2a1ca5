// SPDX-License-Identifier: Apache-2.0
#include "convert/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/testing/safetensors_writer.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;

Result<SafetensorsHeader> Parse(std::string_view bytes) {
  return ParseSafetensors(std::as_bytes(std::span(bytes)));
}

// The error of a header over `data_bytes` zeros.
Status HeaderError(std::string_view header, size_t data_bytes) {
  return Parse(SafetensorsBytes(header, std::string(data_bytes, '\0'))).status();
}

void ExpectDamaged(std::string_view header, size_t data_bytes, const std::string& part) {
  const Status status = HeaderError(header, data_bytes);
  EXPECT_EQ(status.code(), Code::kDataLoss) << header << "\n" << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(part));
}

TEST(SafetensorsTest, ReadsNamesDtypesShapesAndOffsets) {
  const auto header = Parse(SafetensorsBytes(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[2,26]},)"
      R"("a":{"dtype":"F16","shape":[],"data_offsets":[0,2]},"e":{"dtype":"I64","shape":[0,5],"data_offsets":[26,26]}}  )",
      std::string(26, 'x')));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  ASSERT_EQ(header->tensors.size(), 3U);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[0].dtype, DType::kFp16);
  EXPECT_TRUE(header->tensors[0].shape.empty());
  EXPECT_EQ(header->tensors[1].name, "b");
  EXPECT_EQ(header->tensors[1].shape, (Shape{2, 3}));
  EXPECT_EQ(header->tensors[1].size_bytes, 24U);
  EXPECT_EQ(header->tensors[1].offset, header->tensors[0].offset + 2);
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(SafetensorsTest, KnowsEveryDtypeOfTheFormat) {
  const std::vector<std::pair<std::string, DType>> dtypes = {
      {"F64", DType::kFp64},  {"F32", DType::kFp32},  {"F16", DType::kFp16},  {"BF16", DType::kBf16},
      {"I64", DType::kInt64}, {"I32", DType::kInt32}, {"I16", DType::kInt16}, {"I8", DType::kInt8},
      {"U8", DType::kUint8},  {"BOOL", DType::kBool}};
  for (const auto& [name, dtype] : dtypes) {
    const auto header = Parse(SafetensorsBytes({{"t", name, {3}, std::string(3 * DTypeSize(dtype), '\0')}}));
    ASSERT_TRUE(header.ok()) << name;
    EXPECT_EQ(header->tensors.front().dtype, dtype);
  }
}

TEST(SafetensorsTest, NamesADtypeItDoesNotKnow) {
  const Status status = HeaderError(R"({"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1);
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("'w'"));
  EXPECT_THAT(status.message(), HasSubstr("F8_E4M3"));
}

TEST(SafetensorsTest, RefusesHeadersThatLieAboutTheirLength) {
  EXPECT_EQ(Parse("").status().code(), Code::kDataLoss);
  EXPECT_EQ(Parse("1234567").status().code(), Code::kDataLoss);
  EXPECT_THAT(Parse(std::string(8, '\xFF') + "{}").status().message(), HasSubstr("100 MB"));
  EXPECT_THAT(Parse(std::string("\x09\0\0\0\0\0\0\0{}", 10)).status().message(),
              HasSubstr("exceeds the file"));
  EXPECT_THAT(Parse(std::string(8, '\0')).status().message(), HasSubstr("'{'"));
  EXPECT_THAT(HeaderError(R"( {})", 0).message(), HasSubstr("'{'"));
}

TEST(SafetensorsTest, RefusesEveryCutOfAValidFile) {
  const std::string whole =
      SafetensorsBytes({{"a", "F32", {4}, std::string(16, 'a')}, {"b", "I8", {5}, "bbbbb"}});
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Parse(whole.substr(0, size)).status().code(), Code::kDataLoss) << size;
  }
  EXPECT_EQ(Parse(whole + "x").status().code(), Code::kDataLoss);
}

TEST(SafetensorsTest, RefusesRegionsThatOverlapLeaveHolesOrLeaveTheFile) {
  ExpectDamaged(
      R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[2,6]}})",
      6, "overlap");
  ExpectDamaged(
      R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})",
      4, "overlap");
  ExpectDamaged(
      R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[2],"data_offsets":[6,8]}})",
      8, "belong to no tensor");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[1,5]}})", 5, "belong to no tensor");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 5, "1 bytes at the end");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 3, "cut short");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[4,0]}})", 4, "before they begin");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,18446744073709551615]}})", 4,
                "cut short");
}

TEST(SafetensorsTest, RefusesSizesThatDoNotFitTheShape) {
  ExpectDamaged(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "does not take 4 bytes");
  // 2^62 * 4 wraps to 0 in 64 bits.
  ExpectDamaged(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
                "does not take");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "does not take");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[-1],"data_offsets":[0,0]}})", 0, "not a size");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1.5],"data_offsets":[0,1]}})", 1, "not a size");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                "16 dimensions");
}

TEST(SafetensorsTest, RefusesWrongJson) {
  ExpectDamaged(R"({"a":)", 0, "not valid JSON");
  ExpectDamaged(R"({} {})", 0, "not valid JSON");
  ExpectDamaged(R"({"a":1})", 0, "not an object");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1]}})", 1, "needs dtype, shape and data_offsets");
  ExpectDamaged(R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}})", 1, "dtype is not a string");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":1,"data_offsets":[0,1]}})", 1, "shape is not a list");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0]}})", 1, "two numbers");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1,2]}})", 1, "two numbers");
  ExpectDamaged(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"x":0}})", 1, "unknown field 'x'");
  ExpectDamaged(R"({"a":{"dtype":"I8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1, "twice");
  ExpectDamaged(R"({"__metadata__":{"a":1}})", 0, "no string");
  ExpectDamaged("{" + std::string(100'000, '{'), 0, "not valid JSON");
}

TEST(SafetensorsTest, RefusesANameThatComesTwice) {
  ExpectDamaged(
      R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
      2, "'a' twice");
}

}  // namespace
}  // namespace mlos::convert
