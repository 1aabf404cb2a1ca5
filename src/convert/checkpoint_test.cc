// SPDX-License-Identifier: Apache-2.0
#include "convert/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/testing/safetensors_writer.h"
#include "os/directory.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  void WriteShard(const std::string& file, const std::vector<std::string>& names) {
    std::vector<TensorToWrite> tensors;
    for (const std::string& name : names) tensors.push_back({name, "I8", {1}, "x"});
    WriteBytes(dir_.path() / file, SafetensorsBytes(tensors));
  }
  void WriteIndex(const std::string& map) {
    WriteBytes(dir_.path() / "model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":" + map + "}");
  }
  Status Add() { return checkpoint_.Add(dir_.path(), "", ""); }
  void ExpectDamaged(const std::string& part) {
    const Status status = Add();
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(part));
  }

  os::TemporaryDirectory dir_;
  Checkpoint checkpoint_;
};

TEST_F(CheckpointTest, ReadsShardsByTheirIndex) {
  WriteShard("one.safetensors", {"a", "b"});
  WriteShard("two.safetensors", {"c"});
  WriteIndex(R"({"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"})");
  ASSERT_TRUE(Add().ok());
  EXPECT_EQ(checkpoint_.files(), (std::vector<std::string>{"one.safetensors", "two.safetensors"}));
  EXPECT_EQ(checkpoint_.tensors().size(), 3U);
  ASSERT_NE(checkpoint_.Find("c"), nullptr);
  EXPECT_EQ(checkpoint_.Find("c")->file, 1U);
  EXPECT_EQ(checkpoint_.Find("d"), nullptr);
}

TEST_F(CheckpointTest, KeepsFoldersApartByPrefix) {
  WriteShard("model.safetensors", {"w"});
  WriteShard("2_Dense/model.safetensors", {"w"});
  ASSERT_TRUE(checkpoint_.Add(dir_.path(), "", "").ok());
  ASSERT_TRUE(checkpoint_.Add(dir_.path(), "2_Dense", "2_Dense/").ok());
  EXPECT_NE(checkpoint_.Find("w"), nullptr);
  ASSERT_NE(checkpoint_.Find("2_Dense/w"), nullptr);
  EXPECT_EQ(checkpoint_.files()[checkpoint_.Find("2_Dense/w")->file], "2_Dense/model.safetensors");
}

TEST_F(CheckpointTest, SaysWhenThereAreNoWeights) { EXPECT_EQ(Add().code(), Code::kNotFound); }

TEST_F(CheckpointTest, NamesAMissingShard) {
  WriteShard("one.safetensors", {"a"});
  WriteIndex(R"({"a":"one.safetensors","b":"two.safetensors"})");
  ExpectDamaged("'two.safetensors' is missing");
}

TEST_F(CheckpointTest, NamesATensorThatIsNotInItsShard) {
  WriteShard("one.safetensors", {"a"});
  WriteIndex(R"({"a":"one.safetensors","b":"one.safetensors"})");
  ExpectDamaged("'b' is not in 'one.safetensors'");
}

TEST_F(CheckpointTest, NamesATensorThatTheIndexDoesNotList) {
  WriteShard("one.safetensors", {"a", "b"});
  WriteIndex(R"({"a":"one.safetensors"})");
  ExpectDamaged("tensor 'b'");
}

TEST_F(CheckpointTest, NamesADamagedFile) {
  WriteBytes(dir_.path() / "model.safetensors", "not weights at all");
  ExpectDamaged("model.safetensors: ");
}

TEST(ShardIndexTest, AcceptsPlainFileNamesOnly) {
  const auto error = [](const std::string& file) {
    return ParseShardIndex("{\"weight_map\":{\"a\":\"" + file + "\"}}").status();
  };
  EXPECT_TRUE(error("model-00001-of-00002.safetensors").ok());
  for (const char* file :
       {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\\\b.safetensors", ".x.safetensors",
        "x.bin", "", ".safetensors", "x\\u0000.safetensors", "x\\n.safetensors"}) {
    EXPECT_EQ(error(file).code(), Code::kDataLoss) << file;
  }
}

TEST(ShardIndexTest, RefusesWrongJson) {
  for (const char* json :
       {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})"}) {
    EXPECT_EQ(ParseShardIndex(json).status().code(), Code::kDataLoss) << json;
  }
}

}  // namespace
}  // namespace mlos::convert
