// SPDX-License-Identifier: Apache-2.0
#include "preprocess/text_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::preprocess {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";

TensorSpec Spec(const std::string& name, DType dtype = DType::kInt64, Shape shape = {-1, -1}) {
  TensorSpec spec;
  spec.name = name;
  spec.dtype = dtype;
  spec.shape = std::move(shape);
  spec.dim_names.resize(spec.shape.size());
  return spec;
}

ModelInterface BertInterface() {
  ModelInterface interface;
  interface.inputs = {Spec("input_ids"), Spec("attention_mask"), Spec("token_type_ids")};
  return interface;
}

std::unique_ptr<TextPipeline> Load(TextOptions options) {
  if (options.tokenizer_file.empty()) options.tokenizer_file = kModels / "tiny-bert/tokenizer.json";
  auto pipeline = TextPipeline::Load(options);
  EXPECT_TRUE(pipeline.ok()) << pipeline.status().ToString();
  return pipeline.ok() ? std::move(*pipeline) : nullptr;
}

std::vector<int64_t> Values(const NamedTensor& tensor) {
  const auto values = tensor.tensor.As<int64_t>();
  return {values.begin(), values.end()};
}

TEST(TextPipelineTest, PadsToTheLongestOfTheBatch) {
  const auto encoded = Load({})->Encode({"hello", "hello world"}, BertInterface());
  ASSERT_TRUE(encoded.ok()) << encoded.status().ToString();
  ASSERT_EQ(encoded->inputs.size(), 3U);
  EXPECT_EQ(encoded->inputs[0].name, "input_ids");
  EXPECT_EQ(encoded->inputs[0].tensor.shape(), (Shape{2, 4}));
  EXPECT_THAT(Values(encoded->inputs[0]), ElementsAre(101, 7592, 102, 0, 101, 7592, 2088, 102));
  EXPECT_THAT(Values(encoded->inputs[1]), ElementsAre(1, 1, 1, 0, 1, 1, 1, 1));
  EXPECT_THAT(Values(encoded->inputs[2]), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(encoded->tokens, 7U);
  EXPECT_THAT(encoded->warnings, IsEmpty());
}

TEST(TextPipelineTest, FillsOnlyWhatTheModelDeclares) {
  ModelInterface interface;
  interface.inputs = {Spec("input_ids", DType::kInt32)};
  const auto encoded = Load({})->Encode({"hello"}, interface);
  ASSERT_TRUE(encoded.ok());
  ASSERT_EQ(encoded->inputs.size(), 1U);
  EXPECT_EQ(encoded->inputs[0].tensor.dtype(), DType::kInt32);
  EXPECT_EQ(encoded->inputs[0].tensor.As<int32_t>()[1], 7592);
  interface.inputs = {Spec("pixel_values", DType::kFp32)};
  EXPECT_EQ(Load({})->Encode({"hello"}, interface).status().code(), Code::kUnimplemented);
  interface.inputs = {Spec("input_ids", DType::kFp32)};
  EXPECT_EQ(Load({})->Encode({"hello"}, interface).status().code(), Code::kUnimplemented);
}

TEST(TextPipelineTest, ReportsEveryTruncationWithBothCounts) {
  TextOptions options;
  options.max_length = 4;
  const auto encoded =
      Load(options)->Encode({"hello hello hello hello", "hello", "hello world hello"}, BertInterface());
  ASSERT_TRUE(encoded.ok());
  EXPECT_THAT(Values(encoded->inputs[0]),
              ElementsAre(101, 7592, 7592, 102, 101, 7592, 102, 0, 101, 7592, 2088, 102));
  EXPECT_THAT(encoded->warnings, ElementsAre("input 0 was truncated from 6 to 4 tokens",
                                             "input 2 was truncated from 5 to 4 tokens"));
  EXPECT_EQ(encoded->tokens, 11U);
}

TEST(TextPipelineTest, PadsAndCutsToALengthThatTheModelFixes) {
  ModelInterface interface;
  interface.inputs = {Spec("input_ids", DType::kInt64, {-1, 5}),
                      Spec("attention_mask", DType::kInt64, {-1, 5})};
  const auto encoded = Load({})->Encode({"hello", "hello hello hello hello"}, interface);
  ASSERT_TRUE(encoded.ok());
  EXPECT_EQ(encoded->inputs[0].tensor.shape(), (Shape{2, 5}));
  EXPECT_THAT(Values(encoded->inputs[1]), ElementsAre(1, 1, 1, 0, 0, 1, 1, 1, 1, 1));
  EXPECT_THAT(encoded->warnings, ElementsAre("input 1 was truncated from 6 to 5 tokens"));
}

TEST(TextPipelineTest, EmptyAndBlankTextsHaveTheSpecialTokensOnly) {
  const auto encoded = Load({})->Encode({"", "   ", "\t\n"}, BertInterface());
  ASSERT_TRUE(encoded.ok());
  EXPECT_THAT(Values(encoded->inputs[0]), ElementsAre(101, 102, 101, 102, 101, 102));
  EXPECT_EQ(Load({})->Encode({}, BertInterface()).status().code(), Code::kUnprocessable);
}

TEST(TextPipelineTest, NamesTheTextThatIsNotUtf8) {
  const Status status = Load({})->Encode({"fine", "\xFF\xFE"}, BertInterface()).status();
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("input 1"));
}

TEST(TextPipelineTest, TakesAMegabyteOfTextAndTenThousandTexts) {
  TextOptions options;
  options.max_length = 64;
  const auto pipeline = Load(options);
  std::string megabyte;
  while (megabyte.size() < (1U << 20)) megabyte += "hello world ";
  const auto one = pipeline->Encode({megabyte, std::string(1 << 20, 'x')}, BertInterface());
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->inputs[0].tensor.shape(), (Shape{2, 64}));
  EXPECT_THAT(one->warnings.front(), HasSubstr("from 174766 to 64"));
  const auto many = pipeline->Encode(std::vector<std::string>(10'000, "hello world"), BertInterface());
  ASSERT_TRUE(many.ok());
  EXPECT_EQ(many->inputs[0].tensor.shape(), (Shape{10'000, 4}));
  EXPECT_EQ(many->tokens, 40'000U);
}

TEST(TextPipelineTest, RefusesATextThatIsTooLong) {
  const Status status =
      Load({})->Encode({"fine", std::string((8U << 20) + 1, ' ')}, BertInterface()).status();
  EXPECT_EQ(status.code(), Code::kTooLarge);
  EXPECT_THAT(status.message(), HasSubstr("input 1 has 8388609 bytes"));
}

TEST(TextPipelineTest, RefusesABatchWhosePaddingExplodes) {
  std::vector<std::string> texts(1000, "hello");
  for (int i = 0; i < 100'000; ++i) texts[0] += " hello";
  EXPECT_EQ(Load({})->Encode(texts, BertInterface()).status().code(), Code::kTooLarge);
}

// A tokenizer folder with another tokenizer_config.json.
class PaddingTest : public ::testing::Test {
 protected:
  std::vector<int64_t> Ids(const std::string& padding, const std::string& config, uint32_t max_length = 0) {
    std::string json = *os::ReadFile(kModels / "tiny-bert/tokenizer.json", 1 << 24);
    const size_t at = json.find("\"padding\":null");
    EXPECT_NE(at, std::string::npos);
    json.replace(at, 14, "\"padding\":" + padding);
    EXPECT_TRUE(os::WriteFile(dir_.path() / "tokenizer.json", json).ok());
    EXPECT_TRUE(os::WriteFile(dir_.path() / "tokenizer_config.json", config).ok());
    TextOptions options;
    options.tokenizer_file = dir_.path() / "tokenizer.json";
    options.max_length = max_length;
    const auto encoded = Load(options)->Encode({"hello", "hello world hello"}, BertInterface());
    EXPECT_TRUE(encoded.ok()) << encoded.status().ToString();
    return Values(encoded->inputs[0]);
  }
  os::TemporaryDirectory dir_;
};

TEST_F(PaddingTest, ComesFromTokenizerJsonThenFromItsConfig) {
  const std::string own =
      R"({"strategy":"BatchLongest","direction":"Left","pad_to_multiple_of":null,"pad_id":9,"pad_type_id":1,"pad_token":"x"})";
  EXPECT_THAT(Ids(own, "{}"), ElementsAre(9, 9, 101, 7592, 102, 101, 7592, 2088, 7592, 102));
  EXPECT_THAT(Ids("null", R"({"pad_token":"[MASK]","padding_side":"left"})"),
              ElementsAre(103, 103, 101, 7592, 102, 101, 7592, 2088, 7592, 102));
  EXPECT_THAT(Ids("null", R"({"pad_token":{"content":"[UNK]"}})"),
              ElementsAre(101, 7592, 102, 100, 100, 101, 7592, 2088, 7592, 102));
  EXPECT_THAT(Ids("null", "{}"), ElementsAre(101, 7592, 102, 0, 0, 101, 7592, 2088, 7592, 102));
}

TEST_F(PaddingTest, TruncatesOnTheSideThatTheConfigNames) {
  EXPECT_THAT(Ids("null", R"({"truncation_side":"left"})", 4),
              ElementsAre(101, 7592, 102, 0, 101, 2088, 7592, 102));
}

TEST(PostProcessTest, PutsThePooledVectorInFront) {
  TextOptions options;
  options.pooling = "mean";
  options.normalize = true;
  const auto pipeline = Load(options);
  const auto encoded = pipeline->Encode({"hello"}, BertInterface());
  ASSERT_TRUE(encoded.ok());
  std::vector<NamedTensor> outputs;
  const std::vector<float> tokens = {1, 1, 2, 3, 6, 8};
  outputs.push_back(
      {"last_hidden_state", std::move(Tensor::FromValues<float>(DType::kFp32, {1, 3, 2}, tokens)).value()});
  ASSERT_TRUE(pipeline->PostProcess(encoded->inputs, &outputs).ok());
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(outputs[0].name, "sentence_embedding");
  EXPECT_FLOAT_EQ(outputs[0].tensor.As<float>()[0], 0.6F);
  EXPECT_FLOAT_EQ(outputs[0].tensor.As<float>()[1], 0.8F);
  outputs.clear();
  EXPECT_EQ(pipeline->PostProcess(encoded->inputs, &outputs).code(), Code::kFailedPrecondition);
}

TEST(PostProcessTest, LeavesOutputsAloneWithoutPooling) {
  std::vector<NamedTensor> outputs;
  EXPECT_TRUE(Load({})->PostProcess({}, &outputs).ok());
  EXPECT_THAT(outputs, IsEmpty());
}

TEST(TextPipelineTest, RefusesAPoolingItDoesNotKnow) {
  TextOptions options;
  options.tokenizer_file = kModels / "tiny-bert/tokenizer.json";
  options.pooling = "attention";
  EXPECT_EQ(TextPipeline::Load(options).status().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace mlos::preprocess
