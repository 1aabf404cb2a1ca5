// SPDX-License-Identifier: Apache-2.0
// What conversion to GGUF refuses, one thing wrong at a time, the rest valid.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convert/gguf/to_gguf.h"
#include "os/directory.h"

namespace mlos::convert {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DecoderRefusalTest : public ::testing::Test {
 protected:
  // A writable copy of a fixture.
  void Start(const std::string& name) {
    fs::remove_all(folder());
    fs::copy(fs::path(MLOS_SOURCE_DIR) / "tests/models/gguf" / name, folder());
  }
  fs::path folder() const { return scratch_.path() / "model"; }

  void Replace(const std::string& file, const std::string& what, const std::string& with) {
    std::ifstream in(folder() / file, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), with);
    std::ofstream(folder() / file, std::ios::binary) << text;
  }
  // The message of the refusal.
  std::string Refusal(Code code = Code::kUnimplemented) {
    const auto result = ConvertToGguf(folder(), scratch_.path() / "out.gguf", {});
    EXPECT_FALSE(result.ok());
    if (result.ok()) return "";
    EXPECT_EQ(result.status().code(), code) << result.status().ToString();
    EXPECT_FALSE(fs::exists(scratch_.path() / "out.gguf"));
    EXPECT_FALSE(fs::exists(scratch_.path() / "out.gguf.part"));
    return result.status().message();
  }

  const os::TemporaryDirectory scratch_;
};

struct ConfigCase {
  const char* model;
  const char* what;
  const char* with;
  const char* says;
};
class DecoderConfigTest : public DecoderRefusalTest, public ::testing::WithParamInterface<ConfigCase> {};

TEST_P(DecoderConfigTest, IsRefusedByName) {
  Start(GetParam().model);
  Replace("config.json", GetParam().what, GetParam().with);
  EXPECT_THAT(Refusal(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Values, DecoderConfigTest,
    ::testing::Values(
        ConfigCase{"llama3-scaled", "\"silu\"", "\"gelu\"", "'hidden_act' is \"gelu\""},
        ConfigCase{"llama3-scaled", "\"llama3\"", "\"dynamic\"", "rope type 'dynamic'"},
        ConfigCase{"llama3-scaled", "\"model_type\": \"llama\"", "\"model_type\": \"falcon\"", "'falcon'"},
        ConfigCase{"llama3-scaled", "LlamaForCausalLM", "LlamaForSequenceClassification",
                   "LlamaForSequenceClassification"},
        ConfigCase{"llama3-scaled", "{\n", "{\"quantization_config\": {\"bits\": 4},\n",
                   "quantization_config"},
        ConfigCase{"llama3-scaled", "{\n", "{\"partial_rotary_factor\": 0.5,\n", "partial_rotary_factor"},
        ConfigCase{"qwen3", "\"attention_bias\": false", "\"attention_bias\": true", "attention_bias"},
        ConfigCase{"qwen2-yarn", "\"factor\": 4.0", "\"factor\": 4.0, \"mscale\": 2.0", "mscale"},
        ConfigCase{"phi3-longrope", "\"longrope\"", "\"linear\", \"factor\": 2.0",
                   "rope type 'linear' of Phi-3"},
        ConfigCase{"gemma2", "\"query_pre_attn_scalar\": 8", "\"query_pre_attn_scalar\": 7",
                   "query_pre_attn_scalar"},
        ConfigCase{"gemma2", "\"full_attention\"", "\"chunked_attention\"", "chunked_attention"},
        ConfigCase{"gemma", "gelu_pytorch_tanh", "relu", "relu"}),
    [](const auto& param) { return std::string("Case") + std::to_string(param.index); });

TEST_F(DecoderRefusalTest, NamesATensorOfAnotherShape) {
  Start("llama3-scaled");
  Replace("config.json", "\"intermediate_size\": 40", "\"intermediate_size\": 41");
  EXPECT_THAT(Refusal(Code::kDataLoss),
              HasSubstr("'model.layers.0.mlp.gate_proj.weight' has shape [40, 24]"));
}

TEST_F(DecoderRefusalTest, NamesATensorTooMany) {
  Start("llama3-scaled");
  Replace("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
  EXPECT_THAT(Refusal(), HasSubstr("'model.layers.1."));
}

TEST_F(DecoderRefusalTest, NamesATensorThatIsMissing) {
  Start("qwen2-yarn");
  Replace("config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  EXPECT_THAT(Refusal(Code::kDataLoss), HasSubstr("'lm_head.weight'"));
}

TEST_F(DecoderRefusalTest, NamesAMissingShard) {
  Start("llama2-biases-bf16-shards");
  fs::remove(folder() / "model-00002-of-00002.safetensors");
  const auto result = ConvertToGguf(folder(), scratch_.path() / "out.gguf", {});
  EXPECT_THAT(result.status().message(), HasSubstr("model-00002-of-00002.safetensors"));
}

TEST_F(DecoderRefusalTest, NamesWhatTheTokenizerHas) {
  Start("qwen3");
  Replace("tokenizer.json", "\\\\p{N}|", "\\\\p{N}{1,2}|");
  EXPECT_THAT(Refusal(), HasSubstr("splitting by"));
  Start("qwen3");
  Replace("tokenizer.json", "\"NFC\"", "\"NFKC\"");
  EXPECT_THAT(Refusal(), HasSubstr("normalizer 'NFKC'"));
  Start("gemma");
  Replace("tokenizer.json", "\"byte_fallback\":true", "\"byte_fallback\":false");
  EXPECT_THAT(Refusal(), HasSubstr("byte_fallback"));
  Start("gemma");
  fs::remove(folder() / "tokenizer.json");
  EXPECT_THAT(Refusal(Code::kNotFound), HasSubstr("neither tokenizer.json nor tokenizer.model"));
}

TEST_F(DecoderRefusalTest, SaysThatATokenizerIsTooLargeForTheModel) {
  Start("qwen3");
  Replace("tokenizer.json", "\"id\":319", "\"id\":5000");
  EXPECT_THAT(Refusal(Code::kDataLoss), HasSubstr("the embedding 330 rows"));
}

}  // namespace
}  // namespace mlos::convert
