// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/directory.h"
#include "os/file.h"
#include "preprocess/sentence_modules.h"
#include "preprocess/text_pipeline.h"

namespace mlos::preprocess {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

const fs::path kModels = fs::path(MLOS_SOURCE_DIR) / "tests/models";

class SentenceConfigTest : public ::testing::Test {
 protected:
  void Write(const std::string& file, const std::string& json) {
    ASSERT_TRUE(os::MakeDirectories((dir_.path() / file).parent_path()).ok());
    ASSERT_TRUE(os::WriteFile(dir_.path() / file, json).ok());
  }
  void WriteModules() {
    Write("modules.json", R"([{"path":"","type":"sentence_transformers.models.Transformer"},)"
                          R"({"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}])");
    Write(
        "1_Pooling/config.json",
        R"({"pooling_mode_cls_token":true,"pooling_mode_max_tokens":true,"pooling_mode_mean_tokens":true})");
  }
  Result<SentenceConfig> Read() { return ReadSentenceConfig(dir_.path()); }
  os::TemporaryDirectory dir_;
};

TEST(SentenceConfigOfModelsTest, ReadsTheFixturesAsTheyAre) {
  const auto mean = ReadSentenceConfig(kModels / "tiny-sbert");
  ASSERT_TRUE(mean.ok()) << mean.status().ToString();
  EXPECT_TRUE(mean->is_sentence_transformer);
  EXPECT_THAT(mean->pooling, ElementsAre("mean"));
  EXPECT_TRUE(mean->normalize);
  EXPECT_FALSE(mean->has_dense);
  EXPECT_EQ(mean->max_length, 16U);
  const auto cls = ReadSentenceConfig(kModels / "tiny-sbert-cls");
  ASSERT_TRUE(cls.ok());
  EXPECT_THAT(cls->pooling, ElementsAre("cls"));
  EXPECT_FALSE(cls->normalize);
  const auto plain = ReadSentenceConfig(kModels / "tiny-bert");
  ASSERT_TRUE(plain.ok());
  EXPECT_FALSE(plain->is_sentence_transformer);
  EXPECT_THAT(plain->pooling, IsEmpty());
  EXPECT_EQ(plain->max_length, 64U);
}

TEST_F(SentenceConfigTest, PutsSeveralPoolingsInTheFrameworksOrder) {
  WriteModules();
  const auto config = Read();
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_THAT(config->pooling, ElementsAre("cls", "max", "mean"));
}

TEST_F(SentenceConfigTest, TakesTheSmallestLengthThatIsKnown) {
  EXPECT_EQ(Read()->max_length, 0U);
  Write("config.json", R"({"model_type":"bert","max_position_embeddings":512})");
  EXPECT_EQ(Read()->max_length, 512U);
  Write("tokenizer_config.json", R"({"model_max_length":1000000000000000019884624838656})");
  EXPECT_EQ(Read()->max_length, 512U);
  Write("tokenizer_config.json", R"({"model_max_length":300})");
  EXPECT_EQ(Read()->max_length, 300U);
  Write("sentence_bert_config.json", R"({"max_seq_length":128})");
  EXPECT_EQ(Read()->max_length, 128U);
  Write("sentence_bert_config.json", R"({"max_seq_length":null})");
  EXPECT_EQ(Read()->max_length, 300U);
  Write("sentence_bert_config.json", R"({"max_seq_length":9999})");
  Write("config.json", R"({"model_type":"roberta","max_position_embeddings":514})");
  EXPECT_EQ(Read()->max_length, 512U);
}

TEST_F(SentenceConfigTest, RefusesTextRulesItCannotFollow) {
  WriteModules();
  Write("config_sentence_transformers.json", R"({"prompts":{"q":"query: "},"default_prompt_name":"q"})");
  EXPECT_EQ(Read().status().code(), Code::kUnimplemented);
  EXPECT_THAT(Read().status().message(), HasSubstr("default_prompt_name"));
  Write("config_sentence_transformers.json", R"({"prompts":{},"default_prompt_name":null})");
  EXPECT_TRUE(Read().ok());
  Write("sentence_bert_config.json", R"({"max_seq_length":128,"do_lower_case":true})");
  EXPECT_EQ(Read().status().code(), Code::kUnimplemented);
  Write("tokenizer_config.json", R"({"do_lower_case":true})");
  EXPECT_TRUE(Read().ok());
}

TEST_F(SentenceConfigTest, SaysWhichFileIsDamaged) {
  WriteModules();
  Write("1_Pooling/config.json", "{");
  EXPECT_EQ(Read().status().code(), Code::kDataLoss);
  EXPECT_THAT(Read().status().message(), HasSubstr("1_Pooling/config.json"));
  WriteModules();
  Write("tokenizer_config.json", "[]");
  EXPECT_EQ(Read().status().code(), Code::kDataLoss);
  Write("tokenizer_config.json", "{}");
  Write("modules.json", "{}");
  EXPECT_EQ(Read().status().code(), Code::kDataLoss);
}

TEST(PoolingModesTest, ReadsBothSpellings) {
  EXPECT_THAT(*ParsePoolingModes(R"({"pooling_mode":"lasttoken"})"), ElementsAre("lasttoken"));
  EXPECT_THAT(*ParsePoolingModes(R"({"pooling_mode":["max","cls"]})"), ElementsAre("max", "cls"));
  EXPECT_THAT(
      *ParsePoolingModes(R"({"pooling_mode_mean_tokens":false,"pooling_mode_weightedmean_tokens":true})"),
      ElementsAre("weightedmean"));
  EXPECT_THAT(*ParsePoolingModes(R"({"word_embedding_dimension":3})"), ElementsAre("mean"));
  EXPECT_EQ(ParsePoolingModes(R"({"pooling_mode":"attention"})").status().code(), Code::kUnimplemented);
  EXPECT_EQ(ParsePoolingModes(R"({"pooling_mode":[]})").status().code(), Code::kDataLoss);
  EXPECT_EQ(ParsePoolingModes(R"({"pooling_mode_cls_token":1})").status().code(), Code::kDataLoss);
}

TEST(DenseConfigTest, ReadsWhatItKnowsAndNamesTheRest) {
  const os::TemporaryDirectory dir;
  const SentenceModule module{SentenceModule::Kind::kDense, "2_Dense"};
  ASSERT_TRUE(os::MakeDirectories(dir.path() / "2_Dense").ok());
  const auto read = [&](const std::string& json) {
    EXPECT_TRUE(os::WriteFile(dir.path() / "2_Dense/config.json", json).ok());
    return ReadDenseConfig(dir.path(), module);
  };
  const auto dense = read(
      R"({"in_features":8,"out_features":3,"bias":false,"activation_function":"torch.nn.modules.linear.Identity"})");
  ASSERT_TRUE(dense.ok()) << dense.status().ToString();
  EXPECT_EQ(dense->out_features, 3);
  EXPECT_FALSE(dense->bias);
  EXPECT_EQ(dense->activation, "identity");
  EXPECT_EQ(read(R"({"in_features":8,"out_features":3})")->activation, "tanh");
  EXPECT_EQ(read(R"({"in_features":8})").status().code(), Code::kDataLoss);
  EXPECT_EQ(read(R"({"in_features":8,"out_features":-1})").status().code(), Code::kDataLoss);
  EXPECT_EQ(read(R"({"in_features":8,"out_features":3,"activation_function":"os.system"})").status().code(),
            Code::kUnimplemented);
  EXPECT_EQ(read(R"({"in_features":8,"out_features":3,"use_residual":true})").status().code(),
            Code::kUnimplemented);
}

}  // namespace
}  // namespace mlos::preprocess
