// SPDX-License-Identifier: Apache-2.0
#include "convert/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::convert {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Config Parsed(std::string_view json) {
  Result<Config> config = Config::Parse(json);
  EXPECT_TRUE(config.ok()) << config.status().ToString();
  return config.ok() ? std::move(*config) : Config();
}

TEST(ConfigTest, ReadsValuesAndFallsBackWhenTheyAreAbsentOrNull) {
  const Config config =
      Parsed(R"({"layers":3,"eps":1e-12,"act":"gelu","tied":false,"none":null,"list":["a","b"]})");
  EXPECT_EQ(*config.Int("layers", 1, 0, 10), 3);
  EXPECT_EQ(*config.Int("none", 7, 0, 10), 7);
  EXPECT_EQ(*config.Int("missing", 8, 0, 10), 8);
  EXPECT_EQ(*config.Number("eps", 1, 0, 1), 1e-12);
  EXPECT_EQ(*config.Number("layers", 1, 0, 5), 3.0);
  EXPECT_EQ(*config.String("act", "relu"), "gelu");
  EXPECT_FALSE(*config.Bool("tied", true));
  EXPECT_EQ(*config.Strings("list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(config.Strings("missing")->empty());
  EXPECT_TRUE(config.Has("layers"));
  EXPECT_FALSE(config.Has("none"));
}

TEST(ConfigTest, NamesKeyAndValueOfWhatItRefuses) {
  const Config config = Parsed(
      R"({"kind":"relative_key","layers":-1,"heads":"many","eps":2,"flag":1,"list":[1],"nested":{"a":[1]}})");
  const Status kind = config.RequireOneOf("kind", {"absolute", "none"});
  EXPECT_EQ(kind.code(), Code::kUnimplemented);
  EXPECT_THAT(kind.message(),
              AllOf(HasSubstr("'kind'"), HasSubstr("relative_key"), HasSubstr("absolute, none")));
  EXPECT_THAT(config.Int("layers", 1, 0, 10).status().message(), HasSubstr("'layers' is -1"));
  EXPECT_THAT(config.Int("heads", 1, 0, 10).status().message(), HasSubstr("'heads' is \"many\""));
  EXPECT_FALSE(config.Int("eps", 1, 5, 10).ok());
  EXPECT_FALSE(config.Number("eps", 1, 0, 1).ok());
  EXPECT_FALSE(config.Bool("flag", true).ok());
  EXPECT_FALSE(config.String("flag", "").ok());
  EXPECT_FALSE(config.Strings("list").ok());
  EXPECT_THAT(config.RequireEmpty("nested").message(), HasSubstr(R"({"a":[1]})"));
}

TEST(ConfigTest, RequiresWhatABuilderKnows) {
  const Config config =
      Parsed(R"({"kind":"absolute","off":false,"on":true,"empty":{},"list":[],"text":"","zero":0})");
  EXPECT_TRUE(config.RequireOneOf("kind", {"absolute"}).ok());
  EXPECT_TRUE(config.RequireOneOf("missing", {"absolute"}).ok());
  EXPECT_TRUE(config.RequireBool("off", false).ok());
  EXPECT_FALSE(config.RequireBool("on", false).ok());
  EXPECT_FALSE(config.RequireBool("zero", false).ok());
  for (const char* key : {"empty", "list", "text", "off", "missing"})
    EXPECT_TRUE(config.RequireEmpty(key).ok()) << key;
  for (const char* key : {"on", "kind", "zero"}) EXPECT_FALSE(config.RequireEmpty(key).ok()) << key;
}

TEST(ConfigTest, ShortensLongValuesInMessages) {
  const Config config = Parsed("{\"act\":\"" + std::string(10'000, 'x') + "\"}");
  EXPECT_LT(config.RequireOneOf("act", {"gelu"}).message().size(), 200U);
}

TEST(ConfigTest, RefusesWrongJson) {
  for (const char* json : {"", "[]", "{", "1", R"({"a":1,"a":2})", "{\"a\":\"\xFF\"}"}) {
    EXPECT_EQ(Config::Parse(json).status().code(), Code::kDataLoss) << json;
  }
}

TEST(ConfigTest, ReadsListsOfWholeNumbersAndRefusesOthersByName) {
  const auto config = Config::Parse(R"({"a":[3,4],"b":5,"c":[1,"x"],"d":[],"e":[1.5],"f":"7","g":[9,-1]})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(*config->Ints("a", {}, 1, 9), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(*config->Ints("b", {}, 1, 9), std::vector<int64_t>{5});
  EXPECT_EQ(*config->Ints("absent", {7, 8}, 1, 9), (std::vector<int64_t>{7, 8}));
  for (const std::string key : {"c", "d", "e", "f", "g"}) {
    const auto refused = config->Ints(key, {}, 1, 9);
    EXPECT_EQ(refused.status().code(), Code::kUnimplemented) << key;
    EXPECT_NE(refused.status().message().find("'" + key + "'"), std::string::npos)
        << refused.status().message();
  }
}

}  // namespace
}  // namespace mlos::convert
