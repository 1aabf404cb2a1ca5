// SPDX-License-Identifier: Apache-2.0
// Embeddings, end to end through the SMI table, against the framework's vectors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cmath>

#include "testing/harness.h"

namespace mlos::llama {
namespace {

using testing::HasSubstr;

const std::string kModel = FixturePath("embedding/model-f32.gguf");
// llama.cpp's GELU looks up a table of 16-bit floats (tests/models/README.md).
constexpr float kTolerance = 5e-3F;

struct Golden {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> mean;
  std::vector<float> normalised;
};

std::vector<Golden> Goldens() {
  simdjson::dom::parser parser;
  std::vector<Golden> goldens;
  for (simdjson::dom::element item : parser.load(FixturePath("embedding/golden.json"))["sentences"]) {
    Golden& golden = goldens.emplace_back();
    golden.text = std::string_view(item["text"]);
    for (int64_t id : item["ids"].get_array()) golden.ids.push_back(static_cast<int32_t>(id));
    for (double number : item["mean"].get_array()) golden.mean.push_back(static_cast<float>(number));
    for (double number : item["normalised"].get_array())
      golden.normalised.push_back(static_cast<float>(number));
  }
  return goldens;
}

void ExpectRow(const Vectors& vectors, size_t row, const std::vector<float>& expected, float tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(vectors.data[row * expected.size() + i], expected[i], tolerance)
        << "vector " << row << "[" << i << "]";
  }
}

TEST(EmbedTest, VectorsEqualTheFrameworks) {
  TestModel model(kModel);
  ASSERT_TRUE(model.loaded()) << model.message();
  const std::vector<Golden> goldens = Goldens();
  ASSERT_GE(goldens.size(), 2u);
  std::vector<std::string> texts;
  for (const Golden& golden : goldens) texts.push_back(golden.text);
  const Vectors vectors = model.Embed(texts);
  ASSERT_EQ(vectors.code, SMI_OK) << vectors.message;
  EXPECT_EQ(vectors.shape, (std::vector<int64_t>{static_cast<int64_t>(texts.size()), 32}));
  for (size_t i = 0; i < goldens.size(); ++i) {
    EXPECT_EQ(model.Tokenize(texts[i]), goldens[i].ids) << texts[i];
    ExpectRow(vectors, i, goldens[i].normalised, kTolerance);
  }
}

TEST(EmbedTest, WithoutNormalizingTheMeanItselfComes) {
  TestModel model(kModel, {.options = {{"normalize", "false"}}});
  const std::vector<Golden> goldens = Goldens();
  const Vectors vectors = model.Embed({goldens[0].text});
  ASSERT_EQ(vectors.code, SMI_OK) << vectors.message;
  ExpectRow(vectors, 0, goldens[0].mean, 10 * kTolerance);
}

TEST(EmbedTest, ManyTextsOverSeveralStepsGiveWhatEachGivesAlone) {
  TestModel model(kModel, {.max_sequences = 3});
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back("sentence number " + std::to_string(i) + std::string(i, '.'));
  const Vectors together = model.Embed(texts);
  ASSERT_EQ(together.code, SMI_OK) << together.message;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Vectors alone = model.Embed({texts[i]});
    ExpectRow(together, i, alone.data, 1e-4F);
    double squares = 0;
    for (float number : alone.data) squares += double{number} * number;
    EXPECT_NEAR(squares, 1, 1e-5);
  }
}

TEST(EmbedTest, NoTextsGiveNoVectors) {
  TestModel model(kModel);
  const Vectors vectors = model.Embed({});
  EXPECT_EQ(vectors.code, SMI_OK) << vectors.message;
  EXPECT_EQ(vectors.shape, (std::vector<int64_t>{0, 32}));
}

TEST(EmbedTest, TextLongerThanTheContextIsRefusedWithItsNumber) {
  TestModel model(kModel);
  std::string longer;
  for (int i = 0; i < 600; ++i) longer += "cat ";
  const Vectors vectors = model.Embed({"short", longer});
  EXPECT_EQ(vectors.code, SMI_BAD_INPUT);
  EXPECT_THAT(vectors.message, HasSubstr("text 1"));
  EXPECT_THAT(vectors.message, HasSubstr("holds " + std::to_string(model.info().context_length)));
}

TEST(EmbedTest, DeclaresItsInterface) {
  TestModel model(kModel);
  const smi_model_info& info = model.info();
  EXPECT_TRUE(info.capabilities & SMI_CAP_EXECUTE);
  EXPECT_FALSE(info.capabilities & SMI_CAP_GENERATE);
  EXPECT_EQ(info.embedding_length, 32u);
  EXPECT_EQ(info.batch_dimension, 0);
  ASSERT_EQ(info.n_inputs, 1u);
  EXPECT_EQ(info.inputs[0].dtype, SMI_BYTES);
  EXPECT_EQ(info.outputs[0].shape[1], 32);
  EXPECT_EQ(model.Generate({.prompt = "a"})->accepted, SMI_UNSUPPORTED);
}

TEST(EmbedTest, TensorsThatDoNotHoldWhatTheySayAreRefused) {
  TestModel model(kModel);
  const std::string good = PackBytes({"ab", "cd"});
  const int64_t two = 2;
  const auto run = [&](std::string bytes, smi_dtype dtype, uint32_t rank, const char* name) {
    const smi_tensor input{sizeof input, dtype,       {name, strlen(name)}, &two, rank, SMI_MEMORY_HOST, 0, 0,
                           bytes.data(), bytes.size()};
    return model.ExecuteRaw(input);
  };
  EXPECT_EQ(run(good, SMI_BYTES, 1, "text").code, SMI_OK);
  EXPECT_EQ(run(good.substr(0, good.size() - 1), SMI_BYTES, 1, "text").code, SMI_INVALID_ARGUMENT);
  EXPECT_EQ(run(good + "x", SMI_BYTES, 1, "text").code, SMI_INVALID_ARGUMENT);
  EXPECT_EQ(run(std::string(8, '\xFF'), SMI_BYTES, 1, "text").code, SMI_INVALID_ARGUMENT);
  EXPECT_EQ(run(good, SMI_FP32, 1, "text").code, SMI_INVALID_ARGUMENT);
  EXPECT_EQ(run(good, SMI_BYTES, 0, "text").code, SMI_INVALID_ARGUMENT);
  EXPECT_THAT(run(good, SMI_BYTES, 1, "input_ids").message, HasSubstr("no input 'input_ids'"));
}

TEST(EmbedTest, DeadlineInThePastEndsTheCall) {
  TestModel model(kModel);
  const std::string bytes = PackBytes({"ab"});
  const int64_t one = 1;
  std::string copy = bytes;
  const smi_tensor input{sizeof input,    SMI_BYTES, {"text", 4}, &one,        1,
                         SMI_MEMORY_HOST, 0,         0,           copy.data(), copy.size()};
  EXPECT_EQ(model.ExecuteRaw(input, /*deadline_ns=*/1).code, SMI_DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace mlos::llama
