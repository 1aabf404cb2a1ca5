// SPDX-License-Identifier: Apache-2.0
#include "hub/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::hub {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<RemoteFile> Files(const std::vector<std::string>& paths) {
  std::vector<RemoteFile> out;
  for (const std::string& path : paths) out.push_back({path, 10, "", ""});
  return out;
}

std::vector<std::string> Paths(const Selection& selection) {
  std::vector<std::string> out;
  for (const RemoteFile& file : selection.files) out.push_back(file.path);
  return out;
}

Result<Selection> Select(const std::vector<std::string>& paths, const SelectOptions& options = {}) {
  return SelectFiles(Files(paths), options);
}

TEST(SelectTest, SentenceTransformerTakesItsSafetensorsAndCompanions) {
  const auto selection =
      Select({".gitattributes", "1_Pooling/config.json", "README.md", "config.json", "data_config.json",
              "model.safetensors", "modules.json", "pytorch_model.bin", "rust_model.ot", "tf_model.h5",
              "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json", "train_script.py",
              "vocab.txt", "openvino/openvino_model.bin", "optimizer.pt"});
  ASSERT_TRUE(selection.ok()) << selection.status().ToString();
  EXPECT_EQ(selection->format, "safetensors");
  EXPECT_THAT(selection->weights, ElementsAre("model.safetensors"));
  EXPECT_THAT(Paths(*selection), ElementsAre("1_Pooling/config.json", "README.md", "config.json",
                                             "model.safetensors", "modules.json", "sentence_bert_config.json",
                                             "tokenizer.json", "tokenizer_config.json", "vocab.txt"));
  EXPECT_EQ(selection->total_bytes, 90U);
}

TEST(SelectTest, OnnxTakesOneVariantWithItsExternalData) {
  const auto selection =
      Select({"config.json", "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_O4.onnx",
              "onnx/model_quantized.onnx", "model.safetensors", "tokenizer.json"});
  ASSERT_TRUE(selection.ok());
  EXPECT_EQ(selection->format, "onnx");
  EXPECT_THAT(Paths(*selection),
              ElementsAre("config.json", "onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"));
}

TEST(SelectTest, OnnxAtTheRootComesFirst) {
  const auto selection = Select({"model.onnx", "onnx/model.onnx"});
  ASSERT_TRUE(selection.ok());
  EXPECT_THAT(selection->weights, ElementsAre("model.onnx"));
}

TEST(SelectTest, ShardedSafetensorsAreTakenTogetherWithTheirIndex) {
  const auto selection = Select({"config.json", "model-00001-of-00002.safetensors",
                                 "model-00002-of-00002.safetensors", "model.safetensors.index.json"});
  ASSERT_TRUE(selection.ok());
  EXPECT_THAT(selection->weights,
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_THAT(Paths(*selection), Contains("model.safetensors.index.json"));
}

TEST(SelectTest, GgufTakesThePreferredQuantisationOnly) {
  const std::vector<std::string> repo = {"README.md", "m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf",
                                         "mmproj-m-f16.gguf"};
  const auto selection = Select(repo);
  ASSERT_TRUE(selection.ok());
  EXPECT_THAT(Paths(*selection), ElementsAre("README.md", "m-Q4_K_M.gguf"));
  EXPECT_THAT(selection->reason, HasSubstr("q4_k_m"));
  EXPECT_THAT(Select(repo, {.quant = "Q8_0"})->weights, ElementsAre("m-Q8_0.gguf"));
  const auto missing = Select(repo, {.quant = "q5_0"});
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr("q2_k, q4_k_m, q8_0"));
}

TEST(SelectTest, SplitGgufMustBeWhole) {
  const auto whole =
      Select({"LICENSE", "m-q4_0-00001-of-00002.gguf", "m-q4_0-00002-of-00002.gguf", "m-q8_0.gguf"});
  ASSERT_TRUE(whole.ok());
  EXPECT_THAT(whole->weights, ElementsAre("m-q4_0-00001-of-00002.gguf", "m-q4_0-00002-of-00002.gguf"));
  EXPECT_EQ(Select({"m-q4_0-00001-of-00002.gguf"}).status().code(), Code::kDataLoss);
}

TEST(SelectTest, PytorchIsTakenWhenThereIsNothingElse) {
  const auto selection =
      Select({"config.json", "optimizer.pt", "pytorch_model.bin", "training_args.bin", "tf_model.h5",
              "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin"});
  ASSERT_TRUE(selection.ok()) << selection.status().ToString();
  EXPECT_EQ(selection->format, "pytorch");
  EXPECT_THAT(selection->weights, ElementsAre("pytorch_model.bin"));
  EXPECT_THAT(Paths(*selection),
              ElementsAre("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin",
                          "config.json", "pytorch_model.bin"));
}

TEST(SelectTest, PytorchShardsComeWithTheirIndex) {
  const auto selection = Select({"config.json", "pytorch_model-00001-of-00002.bin",
                                 "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"});
  ASSERT_TRUE(selection.ok()) << selection.status().ToString();
  EXPECT_THAT(selection->weights,
              ElementsAre("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"));
  EXPECT_THAT(Paths(*selection), Contains("pytorch_model.bin.index.json"));
}

TEST(SelectTest, AModuleBringsItsWeightsInOneFormat) {
  const auto selection =
      Select({"config.json", "model.safetensors", "pytorch_model.bin", "2_Dense/config.json",
              "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin"});
  ASSERT_TRUE(selection.ok());
  EXPECT_THAT(Paths(*selection), ElementsAre("2_Dense/config.json", "2_Dense/model.safetensors",
                                             "config.json", "model.safetensors"));
}

TEST(SelectTest, OneTorchvisionFileIsEnoughAndSeveralAreNot) {
  EXPECT_EQ(Select({"resnet18-f37072fd.pth"})->format, "pytorch");
  EXPECT_THAT(Select({"a.pth", "b.pth"}).status().message(), HasSubstr("--file"));
  EXPECT_EQ(Select({"a.pth", "b.pth"}, {.file = "b.pth"})->weights.front(), "b.pth");
}

TEST(SelectTest, FormatAndFileCanBeChosen) {
  const std::vector<std::string> repo = {"model.onnx", "model.safetensors", "onnx/model_q.onnx",
                                         "config.json"};
  EXPECT_EQ(Select(repo, {.format = "safetensors"})->weights.front(), "model.safetensors");
  EXPECT_EQ(Select(repo, {.file = "model_q.onnx"})->weights.front(), "onnx/model_q.onnx");
  EXPECT_EQ(Select(repo, {.format = "gguf"}).status().code(), Code::kNotFound);
  EXPECT_EQ(Select(repo, {.format = "tar"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Select(repo, {.file = "no.onnx"}).status().code(), Code::kNotFound);
  EXPECT_EQ(Select(repo, {.file = "config.json"}).status().code(), Code::kUnimplemented);
}

TEST(SelectTest, IncludeTakesExactlyWhatMatchesAndExcludeHides) {
  const std::vector<std::string> repo = {"a.onnx", "config.json", "data/x.bin", "model.safetensors"};
  EXPECT_THAT(Paths(*Select(repo, {.include = {"*.onnx", "data/*"}})), ElementsAre("a.onnx", "data/x.bin"));
  EXPECT_EQ(Select(repo, {.exclude = {"*.onnx"}})->format, "safetensors");
  EXPECT_EQ(Select(repo, {.include = {"*.json"}}).status().code(), Code::kNotFound);
}

TEST(SelectTest, TensorflowModelsAreTakenOnlyWhenAsked) {
  SelectOptions options;
  EXPECT_EQ(Select({"saved_model.pb", "variables/variables.index"}).status().code(), Code::kNotFound);
  options.tensorflow = true;
  const auto saved = Select(
      {"assets/words.txt", "saved_model.pb", "variables/variables.data-00000-of-00001", "other/net.bin.txt"},
      options);
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_EQ(saved->format, "tensorflow");
  EXPECT_THAT(saved->weights,
              ElementsAre("saved_model.pb", "assets/words.txt", "variables/variables.data-00000-of-00001"));
  const auto keras = Select({"net.keras", "notes.txt"}, options);
  ASSERT_TRUE(keras.ok()) << keras.status().ToString();
  EXPECT_THAT(keras->weights, ElementsAre("net.keras"));
  const auto native = Select({"model.safetensors", "config.json", "tf_model.h5"}, options);
  ASSERT_TRUE(native.ok()) << native.status().ToString();
  EXPECT_EQ(native->format, "safetensors");
  const auto two = Select({"a.tflite", "b.keras"}, options);
  EXPECT_THAT(two.status().message(), HasSubstr("several TensorFlow models: a.tflite, b.keras"));
}

TEST(SelectTest, NothingToExecuteNamesWhatThereIs) {
  const auto selection = Select({"README.md", "data.csv"});
  EXPECT_EQ(selection.status().code(), Code::kNotFound);
  EXPECT_THAT(selection.status().message(), HasSubstr("data.csv"));
}

TEST(QuantTest, IsReadFromFileNames) {
  EXPECT_EQ(QuantOfFileName("Llama-3.2-1B-Instruct-Q4_K_M.gguf"), "q4_k_m");
  EXPECT_EQ(QuantOfFileName("dir/tinyllama-1.1b-chat-v1.0.Q8_0.gguf"), "q8_0");
  EXPECT_EQ(QuantOfFileName("qwen2-0_5b-instruct-fp16.gguf"), "f16");
  EXPECT_EQ(QuantOfFileName("m-IQ3_XXS-00001-of-00003.gguf"), "iq3_xxs");
  EXPECT_EQ(QuantOfFileName("qwen2.gguf"), "");
}

}  // namespace
}  // namespace mlos::hub
