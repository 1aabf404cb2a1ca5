// SPDX-License-Identifier: Apache-2.0
// What Convert refuses, and what it says of what it converts. Numbers are compared in tests/convert.
#include "convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/checkpoint.h"
#include "convert/testing/safetensors_writer.h"
#include "os/directory.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

// A BERT of width 4 with all its tensors, written after the test has changed what it wants.
class ConvertTest : public ::testing::Test {
 protected:
  ConvertTest() {
    for (const auto& [name, shape] :
         std::vector<std::pair<std::string, Shape>>{{"embeddings.word_embeddings.weight", {10, 4}},
                                                    {"embeddings.position_embeddings.weight", {6, 4}},
                                                    {"embeddings.token_type_embeddings.weight", {2, 4}},
                                                    {"embeddings.LayerNorm.weight", {4}},
                                                    {"embeddings.LayerNorm.bias", {4}},
                                                    {"pooler.dense.weight", {4, 4}},
                                                    {"pooler.dense.bias", {4}}}) {
      AddTensor(name, shape);
    }
    const std::string p = "encoder.layer.0.";
    for (const char* name :
         {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}) {
      AddTensor(p + name + ".weight", {4, 4});
      AddTensor(p + name + ".bias", {4});
    }
    AddTensor(p + "intermediate.dense.weight", {8, 4});
    AddTensor(p + "intermediate.dense.bias", {8});
    AddTensor(p + "output.dense.weight", {4, 8});
    AddTensor(p + "output.dense.bias", {4});
    for (const char* name : {"attention.output.LayerNorm", "output.LayerNorm"}) {
      AddTensor(p + name + ".weight", {4});
      AddTensor(p + name + ".bias", {4});
    }
  }

  void AddTensor(const std::string& name, const Shape& shape, const std::string& dtype = "F32") {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    tensors_.push_back(
        {name, dtype, shape, std::string(static_cast<size_t>(count) * (dtype == "F32" ? 4 : 1), '\0')});
  }
  TensorToWrite& Tensor(const std::string& name) {
    for (TensorToWrite& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << name;
    return tensors_.front();
  }

  Result<ConvertResult> Run(const std::string& extra_config = "", const std::string& task = "") {
    WriteBytes(
        dir_.path() / "config.json",
        R"({"model_type":"bert","vocab_size":10,"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,)"
        R"("intermediate_size":8,"max_position_embeddings":6)" +
            extra_config + "}");
    WriteBytes(dir_.path() / "model.safetensors", SafetensorsBytes(tensors_));
    return Convert(dir_.path(), {task});
  }
  void ExpectRefused(Code code, const Result<ConvertResult>& result, const std::string& part,
                     const std::string& other = "") {
    EXPECT_EQ(result.status().code(), code) << result.status().ToString();
    EXPECT_THAT(result.status().message(), AllOf(HasSubstr(part), HasSubstr(other)));
  }

  os::TemporaryDirectory dir_;
  std::vector<TensorToWrite> tensors_;
};

TEST_F(ConvertTest, TellsWhatItUsedIgnoredAndDeclares) {
  AddTensor("cls.seq_relationship.weight", {2, 4});
  AddTensor("embeddings.position_ids", {1, 6}, "I8");
  const auto result = Run(R"(,"architectures":["BertModel"])");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->architecture, "bert");
  EXPECT_EQ(result->task, "feature-extraction");
  EXPECT_EQ(result->max_length, 6U);
  EXPECT_EQ(result->used_tensors.size(), tensors_.size() - 2);
  EXPECT_THAT(result->ignored_tensors,
              ::testing::ElementsAre("cls.seq_relationship.weight (next-sentence head, not part of the task)",
                                     "embeddings.position_ids (a constant)"));
  uint64_t parameters = 0;
  for (const TensorToWrite& tensor : tensors_) parameters += tensor.bytes.size() / 4;
  EXPECT_EQ(result->parameter_count, parameters - 8 - 1);
  ASSERT_EQ(result->graphs.size(), 1U);
  EXPECT_EQ(result->graphs[0].file, "model.onnx");
  EXPECT_EQ(result->graphs[0].type, "single");
  ASSERT_EQ(result->graphs[0].inputs.size(), 3U);
  EXPECT_EQ(SpecToString(result->graphs[0].inputs[0]), "INT64 [batch_size, sequence_length]");
  ASSERT_EQ(result->graphs[0].outputs.size(), 2U);
  EXPECT_EQ(result->graphs[0].outputs[0].name, "last_hidden_state");
  EXPECT_EQ(SpecToString(result->graphs[0].outputs[0]), "FP32 [batch_size, sequence_length, 4]");
  EXPECT_EQ(result->graphs[0].outputs[1].name, "pooler_output");
}

TEST_F(ConvertTest, WritesNothingAndIsRepeatable) {
  const auto first = Run();
  const auto second = Run();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->graphs[0].onnx, second->graphs[0].onnx);
  EXPECT_EQ(*os::ListDirectory(dir_.path()), (std::vector<std::string>{"config.json", "model.safetensors"}));
}

TEST_F(ConvertTest, NamesATensorThatIsMissing) {
  std::erase_if(tensors_,
                [](const TensorToWrite& t) { return t.name == "encoder.layer.0.output.dense.weight"; });
  ExpectRefused(Code::kDataLoss, Run(), "'encoder.layer.0.output.dense.weight'");
}

TEST_F(ConvertTest, NamesATensorThatHasNoPlace) {
  AddTensor("encoder.layer.0.adapter.weight", {4, 4});
  ExpectRefused(Code::kUnimplemented, Run(), "'encoder.layer.0.adapter.weight'", "[4, 4]");
}

TEST_F(ConvertTest, NamesALayerThatTheConfigDoesNotCount) {
  AddTensor("encoder.layer.1.attention.self.query.weight", {4, 4});
  ExpectRefused(Code::kUnimplemented, Run(), "'encoder.layer.1.attention.self.query.weight'");
}

TEST_F(ConvertTest, NamesATensorOfAnotherShape) {
  Tensor("encoder.layer.0.intermediate.dense.weight").shape = {4, 8};
  ExpectRefused(Code::kDataLoss, Run(), "'encoder.layer.0.intermediate.dense.weight' has shape [4, 8]",
                "[8, 4]");
}

TEST_F(ConvertTest, NamesAWeightThatIsNoFloat) {
  for (TensorToWrite& tensor : tensors_) {
    if (tensor.name == "pooler.dense.bias") tensor = {tensor.name, "I8", {4}, "abcd"};
  }
  ExpectRefused(Code::kUnimplemented, Run(), "'pooler.dense.bias' holds INT8");
}

TEST_F(ConvertTest, NamesConfigValuesItDoesNotKnow) {
  ExpectRefused(Code::kUnimplemented, Run(R"(,"hidden_act":"gelu_10")"), "'hidden_act'", "gelu_10");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"position_embedding_type":"relative_key")"),
                "'position_embedding_type'", "relative_key");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"is_decoder":true)"), "'is_decoder'");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"pruned_heads":{"0":[1]})"), "'pruned_heads'");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"quantization_config":{"bits":4})"), "'quantization_config'");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"auto_map":{"AutoModel":"modeling.Own"})"), "'auto_map'");
  ExpectRefused(Code::kUnimplemented, Run(R"(,"architectures":["BertLMHeadModel"])"), "BertLMHeadModel");
  ExpectRefused(Code::kUnimplemented, Run("", "translation"), "'translation'");
  ExpectRefused(Code::kUnimplemented, Run("", "sentence-similarity"), "modules.json");
}

TEST_F(ConvertTest, NamesAnArchitectureItDoesNotKnow) {
  WriteBytes(dir_.path() / "config.json", R"({"model_type":"mamba"})");
  ExpectRefused(Code::kUnimplemented, Convert(dir_.path(), {}), "mamba", "bert");
}

TEST_F(ConvertTest, RefusesADecoderThatShouldBeTiedAndIsNot) {
  for (TensorToWrite& tensor : tensors_) tensor.name = "bert." + tensor.name;
  AddTensor("cls.predictions.transform.dense.weight", {4, 4});
  AddTensor("cls.predictions.transform.dense.bias", {4});
  AddTensor("cls.predictions.transform.LayerNorm.weight", {4});
  AddTensor("cls.predictions.transform.LayerNorm.bias", {4});
  AddTensor("cls.predictions.bias", {10});
  AddTensor("cls.predictions.decoder.weight", {10, 4});
  const std::string masked_lm = R"(,"architectures":["BertForMaskedLM"])";
  EXPECT_TRUE(Run(masked_lm).ok()) << Run(masked_lm).status().ToString();
  tensors_.back().bytes[0] = 1;
  ExpectRefused(Code::kUnimplemented, Run(masked_lm), "cls.predictions.decoder.weight", "tie");
  EXPECT_TRUE(Run(masked_lm + R"(,"tie_word_embeddings":false)").ok());
}

TEST_F(ConvertTest, RefusesModulesItDoesNotKnow) {
  const auto modules = [&](const std::string& json) { WriteBytes(dir_.path() / "modules.json", json); };
  const std::string transformer = R"({"path":"","type":"sentence_transformers.models.Transformer"})";
  modules("[" + transformer + R"(,{"path":"1_LSTM","type":"sentence_transformers.models.LSTM"}])");
  ExpectRefused(Code::kUnimplemented, Run(), "sentence_transformers.models.LSTM");
  modules("[" + transformer + R"(,{"path":"1_P","type":"own_code.Pooling"}])");
  ExpectRefused(Code::kUnimplemented, Run(), "own_code.Pooling");
  modules("[" + transformer + R"(,{"path":"../x","type":"sentence_transformers.models.Pooling"}])");
  ExpectRefused(Code::kDataLoss, Run(), "../x");
  modules("[" + transformer + R"(,{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}])");
  ExpectRefused(Code::kNotFound, Run(), "1_Pooling/config.json");
  WriteBytes(dir_.path() / "1_Pooling/config.json",
             R"({"pooling_mode_mean_tokens":true,"pooling_mode_attention":true})");
  ExpectRefused(Code::kUnimplemented, Run(), "pooling_mode_attention");
  modules("[" + transformer + R"(,{"path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
  ExpectRefused(Code::kUnimplemented, Run(), "before the Pooling");
}

TEST_F(ConvertTest, SaysWhenFilesAreMissing) {
  EXPECT_EQ(Convert(dir_.path(), {}).status().code(), Code::kNotFound);
  EXPECT_FALSE(LooksConvertible(dir_.path()));
  ASSERT_TRUE(Run().ok());
  EXPECT_TRUE(LooksConvertible(dir_.path()));
  fs::remove(dir_.path() / "model.safetensors");
  EXPECT_FALSE(LooksConvertible(dir_.path()));
  EXPECT_EQ(Convert(dir_.path(), {}).status().code(), Code::kNotFound);
}

TEST_F(ConvertTest, RefusesSizesThatCannotBe) {
  ExpectRefused(Code::kUnimplemented, Run(R"(,"type_vocab_size":-1)"), "'type_vocab_size'");
  WriteBytes(dir_.path() / "config.json", R"({"model_type":"bert","hidden_size":4,"num_attention_heads":3})");
  ExpectRefused(Code::kDataLoss, Convert(dir_.path(), {}), "not a multiple");
  WriteBytes(dir_.path() / "config.json", R"({"model_type":"bert","num_hidden_layers":1e30})");
  ExpectRefused(Code::kUnimplemented, Convert(dir_.path(), {}), "num_hidden_layers");
}

}  // namespace
}  // namespace mlos::convert
