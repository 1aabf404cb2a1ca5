// SPDX-License-Identifier: Apache-2.0
// The tokenizer against the framework's own ids (tests/models/*/tokenizer_golden.json).
#include "preprocess/tokenizer.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "os/directory.h"
#include "os/file.h"
#include "preprocess/truncate.h"

namespace mlos::preprocess {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";

Tokenizer LoadModel(const std::string& model) {
  Result<Tokenizer> tokenizer = Tokenizer::Load(kModels / model / "tokenizer.json");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return std::move(tokenizer).value();
}

std::vector<uint32_t> Numbers(simdjson::dom::element element) {
  std::vector<uint32_t> numbers;
  for (const uint64_t number : element.get_array()) numbers.push_back(static_cast<uint32_t>(number));
  return numbers;
}

std::vector<uint32_t> Copy(std::span<const uint32_t> values) { return {values.begin(), values.end()}; }

class TokenizerGoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  TokenizerGoldenTest() : tokenizer_(LoadModel(GetParam())) {
    golden_ = parser_.load((kModels / GetParam() / "tokenizer_golden.json").string());
  }
  Tokenizer tokenizer_;
  simdjson::dom::parser parser_;
  simdjson::dom::element golden_;
};

TEST_P(TokenizerGoldenTest, EveryTextGetsTheFrameworksIds) {
  std::vector<std::string> texts;
  std::vector<std::vector<uint32_t>> ids;
  for (simdjson::dom::object text : golden_["single"].get_array()) {
    texts.emplace_back(std::string_view(text["text"]));
    ids.push_back(Numbers(text["ids"]));
  }
  ASSERT_GE(texts.size(), 200U);
  const auto encoded = tokenizer_.Encode(texts);
  ASSERT_TRUE(encoded.ok()) << encoded.status().ToString();
  ASSERT_EQ(encoded->size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(Copy((*encoded)[i].ids), ids[i]) << texts[i];
}

TEST_P(TokenizerGoldenTest, PairsGetTheFrameworksIdsAndTypes) {
  for (simdjson::dom::object pair : golden_["pairs"].get_array()) {
    const std::vector<std::string> first = {std::string(std::string_view(pair["text"]))};
    const std::vector<std::string> second = {std::string(std::string_view(pair["pair"]))};
    const auto encoded = tokenizer_.Encode(first, second);
    ASSERT_TRUE(encoded.ok());
    EXPECT_EQ(Copy((*encoded)[0].ids), Numbers(pair["ids"])) << first[0];
    EXPECT_EQ(Copy((*encoded)[0].type_ids), Numbers(pair["type_ids"])) << first[0];
  }
}

TEST_P(TokenizerGoldenTest, TruncationKeepsWhatTheFrameworkKeeps) {
  for (simdjson::dom::object text : golden_["truncated"].get_array()) {
    const std::vector<std::string> texts = {std::string(std::string_view(text["text"]))};
    const auto encoded = tokenizer_.Encode(texts);
    ASSERT_TRUE(encoded.ok());
    const EncodingView view = (*encoded)[0];
    std::vector<uint32_t> kept;
    for (const uint32_t position :
         KeptPositions(view, static_cast<uint32_t>(uint64_t(text["max_length"])), false)) {
      kept.push_back(view.ids[position]);
    }
    EXPECT_EQ(kept, Numbers(text["ids"])) << texts[0];
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TokenizerGoldenTest, ::testing::Values("tiny-bert", "tiny-sbert"));

TEST(TokenizerTest, DecodesAndFindsTokens) {
  const Tokenizer tokenizer = LoadModel("tiny-bert");
  EXPECT_EQ(tokenizer.TokenId("hello"), 7592);
  EXPECT_EQ(tokenizer.TokenId("[CLS]"), 101);
  EXPECT_EQ(tokenizer.TokenId("no such token"), -1);
  const std::vector<uint32_t> ids = {101, 7592, 2088, 102};
  EXPECT_EQ(*tokenizer.Decode(ids, true), "hello world");
  EXPECT_EQ(*tokenizer.Decode(ids, false), "[CLS] hello world [SEP]");
  EXPECT_EQ(*tokenizer.Decode({}, true), "");
}

TEST(TokenizerTest, LeavesTruncationAndPaddingOfTheFileToTheCaller) {
  const Tokenizer tokenizer = LoadModel("tiny-sbert");  // its file cuts to 12 and pads to 12
  EXPECT_TRUE(tokenizer.padding().given);
  const std::vector<std::string> texts = {
      "hello", "hello hello hello hello hello hello hello hello hello hello hello hello hello"};
  const auto encoded = tokenizer.Encode(texts);
  ASSERT_TRUE(encoded.ok());
  EXPECT_EQ((*encoded)[0].ids.size(), 3U);
  EXPECT_EQ((*encoded)[1].ids.size(), 15U);
  EXPECT_EQ(Copy((*encoded)[0].special_mask), (std::vector<uint32_t>{1, 0, 1}));
}

TEST(TokenizerTest, NamesTheTextThatIsNotUtf8) {
  const Tokenizer tokenizer = LoadModel("tiny-bert");
  const std::vector<std::string> texts = {"fine", "fine too", "broken \xC3\x28"};
  const Status status = tokenizer.Encode(texts).status();
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("input 2"));
  for (const char* broken : {"\xFF", "\xED\xA0\x80", "\xC0\xAF", "\xF5\x80\x80\x80", "cut \xE4\xB8"}) {
    EXPECT_EQ(tokenizer.Encode(std::vector<std::string>{broken}).status().code(), Code::kUnprocessable);
  }
}

TEST(TokenizerTest, ZeroBytesAreText) {
  const Tokenizer tokenizer = LoadModel("tiny-bert");
  const auto encoded = tokenizer.Encode(std::vector<std::string>{std::string("hello\0world", 11)});
  ASSERT_TRUE(encoded.ok());
  EXPECT_GT((*encoded)[0].ids.size(), 2U);
}

TEST(TokenizerTest, SaysWhatIsWrongWithAFile) {
  const os::TemporaryDirectory dir;
  const auto error = [&](std::string_view json) {
    EXPECT_TRUE(os::WriteFile(dir.path() / "tokenizer.json", json).ok());
    return Tokenizer::Load(dir.path() / "tokenizer.json").status();
  };
  EXPECT_EQ(Tokenizer::Load(dir.path() / "none.json").status().code(), Code::kNotFound);
  EXPECT_EQ(error("").code(), Code::kDataLoss);
  EXPECT_EQ(error("{\"version\":").code(), Code::kDataLoss);
  EXPECT_EQ(error("{}").code(), Code::kUnimplemented);
  const Status unknown = error(
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{"type":"Shouting"},)"
      R"("pre_tokenizer":null,"post_processor":null,"decoder":null,"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}})");
  EXPECT_EQ(unknown.code(), Code::kUnimplemented);
  EXPECT_THAT(unknown.message(), HasSubstr("tokenizer.json cannot be used"));
}

TEST(TokenizerTest, IsUsedByManyThreadsAtOnce) {
  const Tokenizer tokenizer = LoadModel("tiny-bert");
  const std::vector<std::string> texts = {"hello world", "hello, unknown words and 中国", "don't stop"};
  const auto expected = tokenizer.Encode(texts);
  ASSERT_TRUE(expected.ok());
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const auto encoded = tokenizer.Encode(texts);
        for (size_t i = 0; i < texts.size(); ++i) {
          if (!encoded.ok() || Copy((*encoded)[i].ids) != Copy((*expected)[i].ids)) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(TruncateTest, KeepsSpecialTokensFirst) {
  const std::vector<uint32_t> special = {1, 0, 0, 0, 0, 1};
  const EncodingView view{special, special, special};
  using Positions = std::vector<uint32_t>;
  EXPECT_EQ(KeptPositions(view, 0, false), (Positions{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(KeptPositions(view, 6, false), (Positions{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(KeptPositions(view, 4, false), (Positions{0, 1, 2, 5}));
  EXPECT_EQ(KeptPositions(view, 4, true), (Positions{0, 3, 4, 5}));
  EXPECT_EQ(KeptPositions(view, 2, false), (Positions{0, 5}));
  EXPECT_EQ(KeptPositions(view, 1, false), (Positions{0}));
}

}  // namespace
}  // namespace mlos::preprocess
