// SPDX-License-Identifier: Apache-2.0
#include "preprocess/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::preprocess {
namespace {

double NumberOf(const std::string& json) {
  const auto document = ParseJson(json, "x.json");
  EXPECT_TRUE(document.ok()) << document.status().ToString();
  return document.ok() ? document->root["a"].get_double().value() : 0;
}

TEST(JsonFileTest, ReadsWholeNumbersBeyond64BitsAsDoubles) {
  EXPECT_EQ(NumberOf(R"({"a":1000000000000000019884624838656})"), 1e30);
  EXPECT_EQ(NumberOf(R"({"a": -1000000000000000019884624838656 })"), -1e30);
  EXPECT_EQ(
      NumberOf(
          R"({"s":"\\\"1000000000000000019884624838656","b":1000000000000000019884624838656,"a":0.1000000000000000019884624838656})"),
      0.1);
}

TEST(JsonFileTest, LeavesDigitsInTextsAlone) {
  const auto document =
      ParseJson(R"({"a":1000000000000000019884624838656,"s":"1000000000000000019884624838656"})", "x.json");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->root["s"].get_string().value(), "1000000000000000019884624838656");
}

TEST(JsonFileTest, NamesTheFileThatIsNotJson) {
  const Status status = ParseJson("{", "x.json").status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("x.json"));
  EXPECT_EQ(ReadJson("/nonexistent", "x.json").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace mlos::preprocess
