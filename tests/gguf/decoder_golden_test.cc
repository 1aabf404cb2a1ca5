// SPDX-License-Identifier: Apache-2.0
// Every folder of tests/models/gguf: converted, loaded by llama.cpp, tokenized and run; against the tokenizers library's ids and
// transformers' logits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "convert/checkpoint.h"
#include "convert/gguf/to_gguf.h"
#include "llama_session.h"
#include "os/directory.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";

std::vector<std::string> Cases() {
  std::vector<std::string> out;
  for (const auto& item : fs::directory_iterator(kModels / "gguf"))
    out.push_back(item.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

class DecoderGoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = kModels / "gguf" / GetParam();
    const auto result = ConvertToGguf(folder_, file(), {});
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    result_ = *result;
  }
  fs::path file() const { return scratch_.path() / "model.gguf"; }

  const os::TemporaryDirectory scratch_;
  fs::path folder_;
  GgufResult result_;
};

template <typename T>
std::vector<T> Values(const Checkpoint& golden, const std::string& name) {
  const CheckpointTensor* tensor = golden.Find(name);
  if (tensor == nullptr) return {};
  const auto bytes = golden.Bytes(*tensor);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

void ExpectAnswers(const fs::path& file, const fs::path& folder, double tolerance) {
  LlamaSession session(file);
  ASSERT_TRUE(session.ok());
  Checkpoint golden;
  ASSERT_TRUE(golden.AddFile(folder, "golden.safetensors", "").ok());
  for (const std::string prompt : {"0", "1"}) {
    const std::vector<int32_t> ids = Values<int32_t>(golden, prompt + "/ids");
    const std::vector<float> wanted = Values<float>(golden, prompt + "/logits");
    ASSERT_FALSE(wanted.empty());
    const std::vector<float> got = session.Logits(ids);
    ASSERT_EQ(got.size(), wanted.size());
    double largest = 1;
    double difference = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
      difference =
          std::max(difference, std::abs(static_cast<double>(got[i]) - static_cast<double>(wanted[i])));
    }
    EXPECT_LE(difference, tolerance * largest) << "prompt " << prompt;
    ::testing::Test::RecordProperty("difference_" + prompt, std::to_string(difference));
  }
}

// llama.cpp looks GELU up in a table of 16-bit floats.
double Rounding(const std::string& name) { return name.starts_with("gemma") ? 1e-3 : 2e-5; }

TEST_P(DecoderGoldenTest, AnswersAsTheFrameworkDoes) {
  const fs::path wide = scratch_.path() / "f32.gguf";
  ASSERT_TRUE(ConvertToGguf(folder_, wide, {.type = "f32"}).ok());
  ExpectAnswers(wide, folder_, Rounding(GetParam()));
}

TEST_P(DecoderGoldenTest, AnswersNearlySoWithTheCheckpointsOwnTypes) {
  // 16-bit weights are multiplied by inputs rounded to 16 bits.
  ExpectAnswers(file(), folder_, 1e-2);
}

TEST_P(DecoderGoldenTest, TokenizesAsTheTokenizersLibraryDoes) {
  const LlamaSession session(file());
  ASSERT_TRUE(session.ok());
  simdjson::dom::parser parser;
  simdjson::dom::element golden;
  ASSERT_EQ(parser.load((folder_ / "golden.json").string()).get(golden), simdjson::SUCCESS);
  for (const simdjson::dom::element item : golden["tokens"].get_array()) {
    const std::string text{std::string_view(item["text"])};
    std::vector<int32_t> wanted;
    for (const int64_t id : item["ids"].get_array()) wanted.push_back(static_cast<int32_t>(id));
    EXPECT_EQ(session.Tokens(text), wanted) << "'" << text << "'";
  }
}

TEST_P(DecoderGoldenTest, SaysWhatItTookWithoutWriting) {
  const auto explained = ExplainGguf(folder_, {});
  ASSERT_TRUE(explained.ok());
  EXPECT_EQ(explained->used_tensors, result_.used_tensors);
  EXPECT_EQ(explained->architecture, result_.architecture);
  EXPECT_GT(explained->parameter_count, 0U);
  EXPECT_TRUE(LooksLikeDecoder(folder_));
  EXPECT_FALSE(fs::exists(file().string() + ".part"));
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderGoldenTest, ::testing::ValuesIn(Cases()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

std::string Metadata(const LlamaSession& session, const char* key) {
  char text[4096];
  return llama_model_meta_val_str(session.model(), key, text, sizeof text) < 0 ? "missing" : text;
}

TEST(DecoderMetadataTest, SpecialTokensAndTemplatesAreThose) {
  const os::TemporaryDirectory scratch;
  const fs::path file = scratch.path() / "model.gguf";
  ASSERT_TRUE(ConvertToGguf(kModels / "gguf/qwen2-yarn", file, {}).ok());
  const LlamaSession session(file);
  ASSERT_TRUE(session.ok());
  const auto text = [&](llama_token id) {
    return std::string(llama_vocab_get_text(session.vocabulary(), id));
  };
  EXPECT_EQ(text(llama_vocab_eos(session.vocabulary())), "<|im_end|>");
  EXPECT_EQ(text(llama_vocab_pad(session.vocabulary())), "<|endoftext|>");
  EXPECT_FALSE(llama_vocab_get_add_bos(session.vocabulary()));
  EXPECT_THAT(Metadata(session, "tokenizer.chat_template"), ::testing::HasSubstr("assistant"));
  EXPECT_EQ(Metadata(session, "tokenizer.chat_template.tool_use"), "tools");
}

TEST(DecoderContextTest, EndsWhereASlidingWindowWouldBegin) {
  const auto mistral = ExplainGguf(kModels / "gguf/mistral-f16", {});
  ASSERT_TRUE(mistral.ok());
  EXPECT_EQ(mistral->context_length, 64U);
}

TEST(DecoderTypeTest, MatricesAreOfTheTypeAskedFor) {
  const os::TemporaryDirectory scratch;
  const fs::path source = kModels / "gguf/llama3-scaled";
  const auto wide = ConvertToGguf(source, scratch.path() / "f32.gguf", {.type = "f32"});
  const auto narrow = ConvertToGguf(source, scratch.path() / "f16.gguf", {.type = "f16"});
  ASSERT_TRUE(wide.ok());
  ASSERT_TRUE(narrow.ok());
  EXPECT_LT(narrow->size_bytes, wide->size_bytes * 6 / 10);
  LlamaSession a(scratch.path() / "f32.gguf");
  LlamaSession b(scratch.path() / "f16.gguf");
  ASSERT_TRUE(a.ok());
  ASSERT_TRUE(b.ok());
  const std::vector<float> x = a.Logits({300, 301, 302});
  const std::vector<float> y = b.Logits({300, 301, 302});
  ASSERT_EQ(x.size(), y.size());
  double difference = 0;
  for (size_t i = 0; i < x.size(); ++i) difference = std::max<double>(difference, std::abs(x[i] - y[i]));
  EXPECT_LT(difference, 0.1);
  EXPECT_GT(difference, 0);
  EXPECT_EQ(ConvertToGguf(source, scratch.path() / "x.gguf", {.type = "q9"}).status().code(),
            Code::kInvalidArgument);
}

// A model that was trained, with transformers' greedy answers.
TEST(DecoderAdditionTest, AddsAsTheFrameworkDoes) {
  const os::TemporaryDirectory scratch;
  const fs::path file = scratch.path() / "addition.gguf";
  const auto result = ConvertToGguf(kModels / "addition", file, {});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  LlamaSession session(file);
  ASSERT_TRUE(session.ok());
  simdjson::dom::parser parser;
  simdjson::dom::element golden;
  ASSERT_EQ(parser.load((kModels / "addition/golden.json").string()).get(golden), simdjson::SUCCESS);
  const auto rows = static_cast<size_t>(llama_vocab_n_tokens(session.vocabulary()));
  for (const simdjson::dom::element item : golden["completions"].get_array()) {
    std::vector<int32_t> ids;
    for (const int64_t id : item["ids"].get_array()) ids.push_back(static_cast<int32_t>(id));
    EXPECT_EQ(session.Tokens(std::string(std::string_view(item["prompt"]))), ids);
    for (const int64_t wanted : item["output_ids"].get_array()) {
      const std::vector<float> logits = session.Logits(ids);
      ASSERT_GE(logits.size(), rows);
      const auto best = std::max_element(logits.end() - static_cast<ptrdiff_t>(rows), logits.end());
      const auto next = static_cast<int32_t>(best - (logits.end() - static_cast<ptrdiff_t>(rows)));
      ASSERT_EQ(next, wanted) << std::string_view(item["prompt"]);
      ids.push_back(next);
    }
  }
}

}  // namespace
}  // namespace mlos::convert
