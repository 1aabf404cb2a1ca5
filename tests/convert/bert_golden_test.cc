// SPDX-License-Identifier: Apache-2.0
// Converted BERT checkpoints give in ONNX Runtime what PyTorch gives (golden files written by the framework).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "convert/checkpoint.h"
#include "convert/convert.h"
#include "convert/testing/safetensors_writer.h"
#include "golden.h"
#include "ort_session.h"
#include "os/directory.h"
#include "package.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";
const fs::path kVariants = fs::path(MLOS_SOURCE_DIR) / "tests/convert/variants";

// Runs every case whose outputs the model has; counts the outputs compared.
size_t CheckCases(OrtSession& session, const fs::path& golden_file) {
  size_t compared = 0;
  for (GoldenCase& golden : ReadGolden(golden_file)) {
    if (!golden.inputs.contains("token_type_ids")) {
      IntTensor zeros = golden.inputs.at("input_ids");
      std::fill(zeros.values.begin(), zeros.values.end(), 0);
      golden.inputs["token_type_ids"] = zeros;
    }
    const std::map<std::string, FloatTensor> answers = session.Run(golden.inputs);
    for (const auto& [name, wanted] : golden.outputs) {
      const auto answer = answers.find(name);
      if (answer == answers.end()) continue;
      ExpectClose(golden.name + "/" + name, wanted, answer->second, golden.finite_only_rows);
      ++compared;
    }
  }
  return compared;
}

TEST(BertGoldenTest, EncoderAndPoolerEqualPyTorchForEveryPadding) {
  Package package(kModels / "tiny-bert");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 18U);  // 9 cases, 2 outputs
  EXPECT_EQ(package.result.task, "feature-extraction");
  EXPECT_EQ(package.result.max_length, 64U);
  EXPECT_EQ(package.result.source_files, std::vector<std::string>{"model.safetensors"});
  EXPECT_TRUE(package.result.side_car.empty());
  EXPECT_LT(package.result.graphs[0].onnx.size(), 40'000U);  // no weights inside
}

TEST(BertGoldenTest, FillMaskUsesTheTiedDecoder) {
  Package package(kModels / "tiny-bert-mlm");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 2U);
  EXPECT_EQ(package.result.task, "fill-mask");
}

TEST(BertGoldenTest, FillMaskUsesADecoderOfItsOwn) {
  Package package(kVariants / "own_decoder");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 1U);
}

TEST(BertGoldenTest, SequenceClassificationWithTanhGelu) {
  Package package(kModels / "tiny-bert-cls");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 6U);
  EXPECT_EQ(package.result.task, "text-classification");
}

TEST(BertGoldenTest, TokenClassificationWithOneTokenType) {
  Package package(kVariants / "tokens");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 1U);
  EXPECT_EQ(package.result.task, "token-classification");
}

TEST(BertGoldenTest, QuestionAnsweringWithoutTokenTypesHasTwoInputs) {
  Package package(kVariants / "qa");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->inputs(), (std::vector<std::string>{"input_ids", "attention_mask"}));
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 2U);
}

TEST(BertGoldenTest, BareModelInBf16WithoutPooler) {
  Package package(kVariants / "bare_bf16");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->outputs(), std::vector<std::string>{"last_hidden_state"});
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 1U);
}

TEST(BertGoldenTest, OldNamesInF16GiveTheEncoderAndTheFillMaskHead) {
  Package package(kModels / "tiny-bert-oldnames");
  auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(package.result.task, "fill-mask");
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 1U);
  session = package.Open("feature-extraction");
  ASSERT_NE(session, nullptr);
  EXPECT_GE(CheckCases(*session, package.path() / "golden.json"), 10U);
  EXPECT_FALSE(package.result.ignored_tensors.empty());
}

TEST(BertGoldenTest, PoolingModesDenseAndNormalizeOfAnEncoderInItsOwnFolder) {
  Package package(kVariants / "modules");
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->outputs(), (std::vector<std::string>{"sentence_embedding", "token_embeddings"}));
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 2U);
  EXPECT_EQ(package.result.task, "sentence-similarity");
  EXPECT_EQ(package.result.source_files,
            (std::vector<std::string>{"0_Transformer/model.safetensors", "2_Dense/model.safetensors"}));
}

// Sentences one by one, then all together with padding: both give the framework's vectors.
void CheckSentences(OrtSession& session, const fs::path& golden_file, float tolerance) {
  simdjson::dom::parser parser;
  std::vector<std::vector<int64_t>> rows;
  std::vector<std::vector<float>> vectors;
  for (simdjson::dom::object sentence : parser.load(golden_file.string())["sentences"].get_array()) {
    std::vector<int64_t> shape;
    Flatten(sentence["input_ids"], 0, &shape, &rows.emplace_back());
    shape.clear();
    Flatten(sentence["embedding"], 0, &shape, &vectors.emplace_back());
  }
  ASSERT_FALSE(rows.empty());
  const auto check = [&](size_t first, size_t count) {
    size_t longest = 0;
    for (size_t i = first; i < first + count; ++i) longest = std::max(longest, rows[i].size());
    IntTensor ids{{static_cast<int64_t>(count), static_cast<int64_t>(longest)}, {}};
    IntTensor mask = ids;
    for (size_t i = first; i < first + count; ++i) {
      for (size_t j = 0; j < longest; ++j) {
        ids.values.push_back(j < rows[i].size() ? rows[i][j] : 0);
        mask.values.push_back(j < rows[i].size() ? 1 : 0);
      }
    }
    IntTensor types = ids;
    std::fill(types.values.begin(), types.values.end(), 0);
    const auto answers =
        session.Run({{"input_ids", ids}, {"attention_mask", mask}, {"token_type_ids", types}});
    const FloatTensor& embedding = answers.at("sentence_embedding");
    const size_t width = vectors.front().size();
    ASSERT_EQ(embedding.shape,
              (std::vector<int64_t>{static_cast<int64_t>(count), static_cast<int64_t>(width)}));
    for (size_t i = 0; i < embedding.values.size(); ++i) {
      ASSERT_NEAR(embedding.values[i], vectors[first + i / width][i % width], tolerance)
          << "sentence " << first + i / width;
    }
  };
  for (size_t i = 0; i < rows.size(); ++i) check(i, 1);
  check(0, rows.size());
}

TEST(SentenceGoldenTest, MeanClsAndMaxPoolingEqualTheFramework) {
  for (const char* name : {"tiny-sbert", "tiny-sbert-cls", "tiny-sbert-max"}) {
    SCOPED_TRACE(name);
    Package package(kModels / name);
    const auto session = package.Open();
    ASSERT_NE(session, nullptr);
    CheckSentences(*session, package.path() / "golden.json", 1e-5F);
  }
}

TEST(SentenceGoldenTest, AllMiniLmEqualsTheFramework) {
  ASSERT_TRUE(fs::exists(fs::path(MLOS_MINILM_DIR) / "model.safetensors"))
      << "the model is not in " << MLOS_MINILM_DIR << "; run ./dev setup";
  Package package(MLOS_MINILM_DIR);
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(package.result.max_length, 512U);
  CheckSentences(*session, fs::path(MLOS_SOURCE_DIR) / "tests/convert/minilm_golden.json", 1e-5F);
}

// Tensors of tiny-bert, to be written in other ways.
std::vector<TensorToWrite> TinyBertTensors() {
  Checkpoint checkpoint;
  EXPECT_TRUE(checkpoint.Add(kModels / "tiny-bert", "", "").ok());
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    const auto bytes = checkpoint.Bytes(tensor);
    tensors.push_back(
        {name, "F32", tensor.entry.shape, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  }
  return tensors;
}

TEST(BertGoldenTest, ShardsGiveTheSameModel) {
  Package package(kModels / "tiny-bert");
  fs::remove(package.path() / "model.safetensors");
  std::vector<std::vector<TensorToWrite>> shards(3);
  JsonWriter index;
  index.BeginObject().Key("weight_map").BeginObject();
  size_t next = 0;
  for (TensorToWrite& tensor : TinyBertTensors()) {
    index.Key(tensor.name).String("model-0000" + std::to_string(next + 1) + "-of-00003.safetensors");
    shards[next].push_back(std::move(tensor));
    next = (next + 1) % shards.size();
  }
  index.EndObject().EndObject();
  for (size_t i = 0; i < shards.size(); ++i) {
    WriteBytes(package.path() / ("model-0000" + std::to_string(i + 1) + "-of-00003.safetensors"),
               SafetensorsBytes(shards[i]));
  }
  WriteBytes(package.path() / "model.safetensors.index.json", index.str());
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(package.result.source_files.size(), 3U);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 18U);
}

TEST(BertGoldenTest, MisalignedWeightsGoToASideCar) {
  Package package(kModels / "tiny-bert");
  WriteBytes(package.path() / "model.safetensors", SafetensorsBytes(TinyBertTensors(), /*misalign=*/3));
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_FALSE(package.result.side_car.empty());
  EXPECT_EQ(package.result.source_files, std::vector<std::string>{"model.safetensors"});
  EXPECT_TRUE(fs::exists(package.path() / kSideCarFile));
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 18U);
}

TEST(BertGoldenTest, WrappedNamesAreFound) {
  Package package(kModels / "tiny-bert");
  std::vector<TensorToWrite> tensors = TinyBertTensors();
  for (TensorToWrite& tensor : tensors) tensor.name = "module.bert." + tensor.name;
  WriteBytes(package.path() / "model.safetensors", SafetensorsBytes(tensors));
  const auto session = package.Open();
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(CheckCases(*session, package.path() / "golden.json"), 18U);
}

}  // namespace
}  // namespace mlos::convert
