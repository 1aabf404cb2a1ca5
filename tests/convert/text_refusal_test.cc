// SPDX-License-Identifier: Apache-2.0
// Text checkpoints that are not what config.json says are refused by name, for every architecture and tensor.
#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/checkpoint.h"
#include "convert/convert.h"
#include "convert/testing/safetensors_writer.h"
#include "os/file.h"
#include "package.h"

namespace mlos::convert {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

const fs::path kCases = fs::path(MLOS_SOURCE_DIR) / "tests/models/convert";

std::vector<TensorToWrite> TensorsOf(const fs::path& folder) {
  Checkpoint checkpoint;
  EXPECT_TRUE(checkpoint.Add(folder, "", "").ok());
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    const auto bytes = checkpoint.Bytes(tensor);
    EXPECT_EQ(tensor.entry.dtype, DType::kFp32) << folder;
    tensors.push_back(
        {name, "F32", tensor.entry.shape, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  }
  return tensors;
}

class TextRefusalTest : public ::testing::TestWithParam<const char*> {
 protected:
  TextRefusalTest() : package_(kCases / GetParam()), tensors_(TensorsOf(package_.path())) {}

  Status ConvertWith(const std::vector<TensorToWrite>& tensors) {
    WriteBytes(package_.path() / "model.safetensors", SafetensorsBytes(tensors));
    return Convert(package_.path(), {}).status();
  }

  Package package_;
  std::vector<TensorToWrite> tensors_;
};

TEST_P(TextRefusalTest, NamesEveryTensorThatIsMissing) {
  ASSERT_TRUE(ConvertWith(tensors_).ok()) << ConvertWith(tensors_).ToString();
  for (size_t i = 0; i < tensors_.size(); ++i) {
    std::vector<TensorToWrite> others = tensors_;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const Status status = ConvertWith(others);
    EXPECT_EQ(status.code(), Code::kDataLoss) << tensors_[i].name;
    EXPECT_THAT(status.message(), HasSubstr("'" + tensors_[i].name + "'"));
  }
}

TEST_P(TextRefusalTest, NamesEveryTensorOfAnotherShape) {
  for (TensorToWrite& tensor : tensors_) {
    tensor.shape.push_back(1);
    const Status status = ConvertWith(tensors_);
    tensor.shape.pop_back();
    EXPECT_EQ(status.code(), Code::kDataLoss) << tensor.name;
    EXPECT_THAT(status.message(), HasSubstr("'" + tensor.name + "'"));
  }
}

TEST_P(TextRefusalTest, NamesATensorThatHasNoPlace) {
  const std::string layer = tensors_.back().name + ".adapter";
  for (const std::string& name : {layer, std::string("encoder.layer.9.output.dense.weight")}) {
    std::vector<TensorToWrite> more = tensors_;
    more.push_back({name, "F32", {1}, std::string(4, '\0')});
    const Status status = ConvertWith(more);
    EXPECT_EQ(status.code(), Code::kUnimplemented) << name;
    EXPECT_THAT(status.message(), HasSubstr("'" + name + "'"));
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, TextRefusalTest,
                         ::testing::Values("roberta-cls", "roberta-mlm", "distilbert-mlm", "distilbert-cls",
                                           "mpnet-mlm", "mpnet-cls", "albert-mlm", "electra-mlm",
                                           "electra-discriminator", "deberta-v3-mlm",
                                           "deberta-v2-tokens-conv", "gpt2-tokens", "gpt2-cls", "t5-cls",
                                           "bart-cls", "wav2vec2-cls-stable", "squeezebert-cls", "xlnet-qa"),
                         [](const ::testing::TestParamInfo<const char*>& folder) {
                           std::string name = folder.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TextConfigTest, NamesValuesItDoesNotKnow) {
  struct {
    const char* folder;
    const char* entry;
    const char* key;
  } const wrong[] = {
      {"roberta-mlm", R"("hidden_act": "gelu_10")", "'hidden_act'"},
      {"roberta-mlm", R"("is_decoder": true)", "'is_decoder'"},
      {"roberta-mlm", R"("pad_token_id": 15)", "'pad_token_id'"},
      {"distilbert-mlm", R"("activation": "gelu_10")", "'activation'"},
      {"distilbert-mlm", R"("pruned_heads": {"0": [1]})", "'pruned_heads'"},
      {"mpnet-mlm", R"("relative_attention_num_buckets": 16)", "'relative_attention_num_buckets'"},
      {"albert-mlm", R"("num_hidden_groups": 7)", "'num_hidden_groups'"},
      {"albert-mlm", R"("hidden_act": "softplus")", "'hidden_act'"},
      {"deberta-v3-mlm", R"("conv_kernel_size": 4)", "'conv_kernel_size'"},
      {"deberta-v3-mlm", R"("attention_head_size": 4)", "'attention_head_size'"},
      {"gpt2-cls", R"("activation_function": "gelu_10")", "'activation_function'"},
      {"gpt2-cls", R"("add_cross_attention": true)", "'add_cross_attention'"},
      {"t5", R"("feed_forward_proj": "gelu_10")", "'feed_forward_proj'"},
      {"t5-encoder", R"("relative_attention_num_buckets": 2)", "'relative_attention_num_buckets'"},
      {"t5-encoder", R"("tie_word_embeddings": "yes")", "'tie_word_embeddings'"},
      {"bart-cls", R"("activation_function": "gelu_10")", "'activation_function'"},
      {"bart-cls", R"("normalize_before": true)", "'normalize_before'"},
      {"bart-cls", R"("eos_token_id": [2, 3])", "'eos_token_id'"},
      {"whisper-cls", R"("use_weighted_layer_sum": true)", "'use_weighted_layer_sum'"},
      {"whisper-cls", R"("scale_embedding": true)", "'scale_embedding'"},
      {"wav2vec2-ctc", R"("feat_extract_norm": "batch")", "'feat_extract_norm'"},
      {"wav2vec2-ctc", R"("add_adapter": true)", "'add_adapter'"},
      {"wav2vec2-cls-stable", R"("use_weighted_layer_sum": true)", "'do_stable_layer_norm'"},
      {"squeezebert-mlm", R"("q_groups": 3)", "'q_groups'"},
      {"squeezebert-mlm", R"("hidden_act": "gelu_10")", "'hidden_act'"},
      {"xlnet-qa", R"("attn_type": "uni")", "'attn_type'"},
      {"xlnet-qa", R"("bi_data": true)", "'bi_data'"},
      {"electra-mlm", R"("position_embedding_type": "relative_key")", "'position_embedding_type'"},
  };
  for (const auto& [folder, entry, key] : wrong) {
    SCOPED_TRACE(entry);
    Package package(kCases / folder);
    std::string config = *os::ReadFile(package.path() / "config.json", 1 << 20);
    config.insert(config.find('{') + 1, std::string(entry) + ",");
    WriteBytes(package.path() / "config.json", config);
    const Status status = Convert(package.path(), {}).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(key));
  }
}

TEST(TextConfigTest, RefusesATaskTheArchitectureHasNoHeadFor) {
  Package package(kCases / "roberta-mlm");
  const Status status = Convert(package.path(), {"replaced-token-detection"}).status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("'replaced-token-detection' is not supported for roberta"));
}

}  // namespace
}  // namespace mlos::convert
