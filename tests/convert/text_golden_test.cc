// SPDX-License-Identifier: Apache-2.0
// Plain text in, the framework's sentence vectors out: tokenizer, conversion and pooling together.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "package.h"
#include "preprocess/text_pipeline.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";

struct Sentence {
  std::string text;
  std::vector<int64_t> ids;
  std::vector<float> embedding;
};

std::vector<Sentence> ReadSentences(const fs::path& golden_file) {
  simdjson::dom::parser parser;
  std::vector<Sentence> sentences;
  for (simdjson::dom::object object : parser.load(golden_file.string())["sentences"].get_array()) {
    Sentence& sentence = sentences.emplace_back();
    std::vector<int64_t> shape;
    sentence.text = std::string_view(object["text"]);
    Flatten(object["input_ids"], 0, &shape, &sentence.ids);
    shape.clear();
    Flatten(object["embedding"], 0, &shape, &sentence.embedding);
  }
  EXPECT_FALSE(sentences.empty());
  return sentences;
}

// A converted package with its text pipeline.
class TextModel {
 public:
  TextModel(const fs::path& source, const std::string& task, bool pool_outside) : package_(source) {
    session_ = package_.Open(task);
    interface_.inputs.swap(package_.result.graphs.front().inputs);
    const auto config = preprocess::ReadSentenceConfig(source);
    EXPECT_TRUE(config.ok()) << config.status().ToString();
    preprocess::TextOptions options;
    options.tokenizer_file = source / "tokenizer.json";
    options.max_length = config->max_length;
    if (pool_outside) {
      options.pooling = config->pooling.front();
      options.normalize = config->normalize;
    }
    auto pipeline = preprocess::TextPipeline::Load(options);
    EXPECT_TRUE(pipeline.ok()) << pipeline.status().ToString();
    pipeline_ = std::move(*pipeline);
  }

  // [texts, width], row after row.
  std::vector<float> Embed(const std::vector<std::string>& texts) {
    auto encoded = pipeline_->Encode(texts, interface_);
    EXPECT_TRUE(encoded.ok()) << encoded.status().ToString();
    std::map<std::string, IntTensor> inputs;
    for (const NamedTensor& input : encoded->inputs) {
      const auto values = input.tensor.As<int64_t>();
      inputs[input.name] = {input.tensor.shape(), {values.begin(), values.end()}};
    }
    last_ids = inputs.at("input_ids").values;
    warnings = encoded->warnings;
    std::vector<NamedTensor> outputs;
    for (auto& [name, tensor] : session_->Run(inputs)) {
      outputs.push_back(
          {name, std::move(Tensor::FromValues<float>(DType::kFp32, tensor.shape, tensor.values)).value()});
    }
    const Status status = pipeline_->PostProcess(encoded->inputs, &outputs);
    EXPECT_TRUE(status.ok()) << status.ToString();
    for (const NamedTensor& output : outputs) {
      if (output.name != "sentence_embedding") continue;
      const auto values = output.tensor.As<float>();
      return {values.begin(), values.end()};
    }
    ADD_FAILURE() << "no sentence_embedding";
    return {};
  }

  std::vector<int64_t> last_ids;
  std::vector<std::string> warnings;

 private:
  Package package_;
  std::unique_ptr<OrtSession> session_;
  ModelInterface interface_;
  std::unique_ptr<preprocess::TextPipeline> pipeline_;
};

void CheckModel(TextModel& model, const std::vector<Sentence>& sentences) {
  std::vector<std::string> texts;
  std::vector<float> expected;
  for (const Sentence& sentence : sentences) {
    const std::vector<float> vector = model.Embed({sentence.text});
    EXPECT_EQ(model.last_ids, sentence.ids) << sentence.text;
    EXPECT_THAT(vector, ::testing::Pointwise(::testing::FloatNear(1e-5F), sentence.embedding))
        << sentence.text;
    texts.push_back(sentence.text);
    expected.insert(expected.end(), sentence.embedding.begin(), sentence.embedding.end());
  }
  EXPECT_THAT(model.Embed(texts), ::testing::Pointwise(::testing::FloatNear(1e-5F), expected));
}

TEST(TextGoldenTest, PoolingInTheGraphEqualsTheFramework) {
  for (const char* name : {"tiny-sbert", "tiny-sbert-cls", "tiny-sbert-max"}) {
    SCOPED_TRACE(name);
    TextModel model(kModels / name, "", false);
    CheckModel(model, ReadSentences(kModels / name / "golden.json"));
  }
}

TEST(TextGoldenTest, PoolingOutsideTheGraphEqualsTheFramework) {
  for (const char* name : {"tiny-sbert", "tiny-sbert-cls", "tiny-sbert-max"}) {
    SCOPED_TRACE(name);
    TextModel model(kModels / name, "feature-extraction", true);
    CheckModel(model, ReadSentences(kModels / name / "golden.json"));
  }
}

TEST(TextGoldenTest, AllMiniLmGivesTheFrameworksVectorsAndRanksMeaning) {
  ASSERT_TRUE(fs::exists(fs::path(MLOS_MINILM_DIR) / "model.safetensors"))
      << "the model is not in " << MLOS_MINILM_DIR << "; run ./dev setup";
  TextModel model(MLOS_MINILM_DIR, "", false);
  const std::vector<Sentence> sentences =
      ReadSentences(fs::path(MLOS_SOURCE_DIR) / "tests/convert/minilm_golden.json");
  CheckModel(model, sentences);
  model.Embed({sentences.back().text});
  EXPECT_THAT(model.warnings, ::testing::ElementsAre("input 0 was truncated from 362 to 256 tokens"));

  const std::vector<float> v =
      model.Embed({"A cat sits on the mat.", "A kitten is resting on a rug.", "Interest rates rose."});
  const auto similarity = [&](size_t a, size_t b) {
    float sum = 0;
    for (size_t i = 0; i < 384; ++i) sum += v[a * 384 + i] * v[b * 384 + i];
    return sum;
  };
  EXPECT_GT(similarity(0, 1), 0.4F);
  EXPECT_LT(similarity(0, 2), 0.2F);
}

}  // namespace
}  // namespace mlos::convert
