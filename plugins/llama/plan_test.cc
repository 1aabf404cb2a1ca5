// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cpus.h"
#include "decode_loop.h"
#include "testing/gguf_bytes.h"
#include "testing/harness.h"

namespace mlos::llama {
namespace {

using testing::HasSubstr;

// The header of a model of the size of Llama 2 7B, without its weights.
struct Numbers {
  std::string architecture = "llama";
  std::string tokenizer = "llama";
  uint32_t context = 4096;
  uint32_t layers = 32;
  uint32_t width = 4096;
  uint32_t heads = 32;
  uint32_t kv_heads = 32;
  uint32_t pooling = 0;
  bool causal = true;
};

std::vector<GgufHeader> Headers(const Numbers& n) {
  GgufBytes file;
  file.Header(0, 10)
      .PairText("general.architecture", n.architecture)
      .PairText("tokenizer.ggml.model", n.tokenizer);
  file.Text("tokenizer.ggml.tokens")
      .Number<uint32_t>(9)
      .Number<uint32_t>(8)
      .Number<uint64_t>(2)
      .Text("a")
      .Text("b");
  const std::string a = n.architecture + ".";
  file.PairU32(a + "context_length", n.context).PairU32(a + "block_count", n.layers);
  file.PairU32(a + "embedding_length", n.width).PairU32(a + "attention.head_count", n.heads);
  file.PairU32(a + "attention.head_count_kv", n.kv_heads).PairU32(a + "pooling_type", n.pooling);
  file.Text(a + "attention.causal").Number<uint32_t>(7).Number<uint8_t>(n.causal ? 1 : 0);
  std::vector<GgufHeader> headers(1);
  MemorySource source(file.bytes());
  const Status status = GgufHeader::Read(source, &headers[0]);
  EXPECT_TRUE(status.ok()) << status.message;
  return headers;
}

ModelPlan Plan(const Numbers& numbers, const LoadOptions& options = {}) {
  ModelPlan plan;
  const Status status = MakePlan(Headers(numbers), options, &plan);
  EXPECT_TRUE(status.ok()) << status.message;
  return plan;
}

Status PlanStatus(const Numbers& numbers, const LoadOptions& options = {}) {
  ModelPlan plan;
  return MakePlan(Headers(numbers), options, &plan);
}

TEST(PlanTest, DefaultContextIsTheModelsUpToAReasonableSize) {
  EXPECT_EQ(Plan({.context = 2048}).context_length, 2048u);
  EXPECT_EQ(Plan({.context = 131072}).context_length, 4096u);
  EXPECT_EQ(Plan({.context = 131072}, {.context_length = 16384}).context_length, 16384u);
}

TEST(PlanTest, CacheIsTwoHalvesAHeadALayerAToken) {
  // Llama 2 7B: 512 KiB a token.
  EXPECT_EQ(Plan({}, {.context_length = 4096, .max_sequences = 1}).cache_bytes, uint64_t{4096} * 512 * 1024);
}

TEST(PlanTest, DefaultSequencesKeepTheCacheSmall) {
  EXPECT_EQ(Plan({}).max_sequences, 1u);               // 2 GiB each
  EXPECT_EQ(Plan({.kv_heads = 8}).max_sequences, 2u);  // 512 MiB each
  EXPECT_EQ(Plan({.kv_heads = 1}).max_sequences, 4u);
  EXPECT_EQ(Plan({}, {.max_sequences = 8}).max_sequences, 8u);
}

TEST(PlanTest, ContextBeyondTheModelsIsRefusedWithBothNumbers) {
  const Status status = PlanStatus({.context = 2048}, {.context_length = 4096});
  EXPECT_EQ(status.code, SMI_INVALID_ARGUMENT);
  EXPECT_THAT(status.message, HasSubstr("4096"));
  EXPECT_THAT(status.message, HasSubstr("2048"));
  EXPECT_EQ(PlanStatus({}, {.max_sequences = 1000}).code, SMI_INVALID_ARGUMENT);
}

TEST(PlanTest, EmbeddingModelsAreToldByTheirPooling) {
  EXPECT_FALSE(Plan({}).embeds);
  EXPECT_TRUE(Plan({.pooling = 3}).embeds);
  EXPECT_EQ(Plan({.pooling = 2, .causal = false}).pooling, Pooling::kCls);
  EXPECT_EQ(Plan({.causal = false}, {.pooling = Pooling::kMean}).pooling, Pooling::kMean);
  EXPECT_EQ(Plan({.pooling = 1}).embedding_length, 4096u);
}

TEST(PlanTest, EncoderWithoutPoolingIsRefusedNotGuessed) {
  const Status status = PlanStatus({.architecture = "bert", .causal = false});
  EXPECT_EQ(status.code, SMI_UNSUPPORTED);
  EXPECT_THAT(status.message, HasSubstr("pooling=mean"));
  EXPECT_EQ(PlanStatus({.pooling = 4}).code, SMI_UNSUPPORTED);  // ranks pairs
}

// One matrix of 1024 x 1024.
ModelPlan PlanOfWeights(int32_t type, Repack repack) {
  GgufBytes file;
  file.Header(1, 6).PairText("general.architecture", "llama").PairText("tokenizer.ggml.model", "llama");
  file.Text("tokenizer.ggml.tokens").Number<uint32_t>(9).Number<uint32_t>(8).Number<uint64_t>(1).Text("a");
  file.PairU32("llama.context_length", 64)
      .PairU32("llama.block_count", 1)
      .PairU32("llama.embedding_length", 64);
  file.Tensor("t", 1024, 1024, 0, type).PadTo(32).Zeros(4 << 20);
  std::vector<GgufHeader> headers(1);
  MemorySource source(file.bytes());
  EXPECT_TRUE(GgufHeader::Read(source, &headers[0]).ok());
  ModelPlan plan;
  EXPECT_TRUE(MakePlan(headers, {.repack = repack}, &plan).ok());
  return plan;
}

TEST(PlanTest, WeightsAreRepackedOnlyWhereThatPays) {
  constexpr int32_t kQ4_0 = 2, kQ8_0 = 8, kQ4_K = 12, kF16 = 1;
  EXPECT_EQ(PlanOfWeights(kQ4_0, Repack::kAuto).repacked_bytes, (1u << 20) / 32 * 18);
  EXPECT_EQ(PlanOfWeights(kQ4_0, Repack::kOff).repacked_bytes, 0u);
  EXPECT_EQ(PlanOfWeights(kQ8_0, Repack::kAuto).repacked_bytes, 0u);
  EXPECT_EQ(PlanOfWeights(kQ4_K, Repack::kAuto).repacked_bytes, 0u);
  EXPECT_EQ(PlanOfWeights(kQ4_K, Repack::kOn).repacked_bytes, (1u << 20) / 256 * 144);
  EXPECT_EQ(PlanOfWeights(kF16, Repack::kOn).repacked_bytes, 0u);
}

TEST(PlanTest, ModelWithoutTokenizerIsRefused) {
  // The engine ends the process when such a model is asked to tokenize.
  EXPECT_EQ(PlanStatus({.tokenizer = "none"}).code, SMI_UNSUPPORTED);
  EXPECT_EQ(PlanStatus({.tokenizer = ""}).code, SMI_UNSUPPORTED);
}

TEST(PlanTest, SizesWithoutSenseAreCorrupt) {
  EXPECT_EQ(PlanStatus({.context = 0}).code, SMI_CORRUPT);
  EXPECT_EQ(PlanStatus({.layers = 0}).code, SMI_CORRUPT);
  EXPECT_EQ(PlanStatus({.width = 0xFFFFFFFF}).code, SMI_CORRUPT);
}

TEST(PlanTest, HugeNumbersSaturateInsteadOfWrapping) {
  const ModelPlan plan =
      Plan({.layers = 1u << 30, .width = 1u << 30, .heads = 0xFFFFFFFF, .kv_heads = 0xFFFFFFFF},
           {.context_length = 1, .max_sequences = 1});
  EXPECT_GT(plan.private_bytes(), uint64_t{1} << 40);
}

TEST(CpusTest, QuotaIsRoundedUp) {
  EXPECT_EQ(CpusOfQuota("max 100000"), 0u);
  EXPECT_EQ(CpusOfQuota("150000 100000"), 2u);
  EXPECT_EQ(CpusOfQuota("100000 100000"), 1u);
  EXPECT_EQ(CpusOfQuota("1000 100000"), 1u);
  EXPECT_EQ(CpusOfQuota(""), 0u);
  EXPECT_EQ(CpusOfQuota("12"), 0u);
  EXPECT_EQ(CpusOfQuota("12 0"), 0u);
}

TEST(CpusTest, OneCpuIsLeftFreeWhenThereAreMany) {
  constexpr uint64_t kGib = uint64_t{1} << 30;
  EXPECT_EQ(DefaultThreads(1, kGib), 1u);
  EXPECT_EQ(DefaultThreads(2, kGib), 2u);
  EXPECT_EQ(DefaultThreads(8, kGib), 7u);
  EXPECT_EQ(DefaultThreads(8, 1 << 20), 1u);
  EXPECT_GE(AvailableCpus(), 1u);
}

TEST(PromptTokensTest, AStepIsBoundedInTime) {
  constexpr double kMs = 1e6;
  EXPECT_EQ(PromptTokens(0.01 * kMs, true, 512), 512u);  // fast: all of it
  EXPECT_EQ(PromptTokens(2 * kMs, true, 512), 100u);     // 200 ms with others waiting
  EXPECT_EQ(PromptTokens(2 * kMs, false, 512), 500u);    // 1 s alone
  EXPECT_EQ(PromptTokens(1000 * kMs, true, 512), 16u);   // never less: a step costs something
  EXPECT_EQ(PromptTokens(1000 * kMs, false, 512), 64u);
  EXPECT_EQ(PromptTokens(0, true, 512), 16u);  // not yet measured
  EXPECT_EQ(PromptTokens(0, true, 3), 3u);
}

}  // namespace
}  // namespace mlos::llama
