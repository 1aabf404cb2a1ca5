// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "llama.h"

namespace mlos::llama {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kImpossible = -std::numeric_limits<float>::infinity();

std::vector<float> RandomLogits(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// The engine's own chain on the same logits: token -> probability.
std::map<int32_t, float> EngineCandidates(std::vector<float> logits, const SamplingParams& params,
                                          const std::vector<int32_t>& accepted) {
  llama_sampler* chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
  const auto n_vocab = static_cast<int32_t>(logits.size());
  llama_sampler_chain_add(
      chain, llama_sampler_init_penalties(n_vocab, Sampler::kPenaltyWindow, params.repeat_penalty, 0, 0));
  llama_sampler_chain_add(chain, llama_sampler_init_top_k(params.top_k));
  llama_sampler_chain_add(chain, llama_sampler_init_top_p(params.top_p, 1));
  llama_sampler_chain_add(chain, llama_sampler_init_min_p(params.min_p, 1));
  llama_sampler_chain_add(chain, llama_sampler_init_temp(params.temperature));
  llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
  for (int32_t token : accepted) llama_sampler_accept(chain, token);
  std::vector<llama_token_data> data;
  for (size_t i = 0; i < logits.size(); ++i) data.push_back({static_cast<int32_t>(i), logits[i], 0});
  llama_token_data_array array{data.data(), data.size(), -1, false};
  llama_sampler_apply(chain, &array);
  std::map<int32_t, float> candidates;
  for (size_t i = 0; i < array.size; ++i) candidates[array.data[i].id] = array.data[i].p;
  llama_sampler_free(chain);
  return candidates;
}

TEST(SamplerTest, AgreesWithTheEnginesChain) {
  uint32_t seed = 0;
  for (const SamplingParams& params : std::vector<SamplingParams>{
           {.temperature = 0.8F, .top_p = 0.95F, .min_p = 0.05F, .top_k = 40},
           {.temperature = 1.5F, .top_p = 0.5F},
           {.temperature = 1, .min_p = 0.2F},
           {.temperature = 0.7F, .top_k = 5},
           {.temperature = 2},
           {.temperature = 1, .top_p = 0.999F},
           {.temperature = 1, .top_p = 0.9F, .min_p = 0.01F, .repeat_penalty = 1.3F, .top_k = 100},
           {.temperature = 0.9F, .top_k = 1'000'000},
       }) {
    std::vector<float> logits = RandomLogits(3000, ++seed);
    Sampler sampler(params);
    std::vector<int32_t> accepted;
    for (int32_t i = 0; i < 100; ++i) accepted.push_back((i * 37) % 3000);
    accepted.push_back(accepted.back());  // twice in the window, penalised once
    for (int32_t token : accepted) sampler.Accept(token);
    const std::map<int32_t, float> expected = EngineCandidates(logits, params, accepted);
    const std::vector<Candidate>& got = sampler.Candidates(logits);
    ASSERT_EQ(got.size(), expected.size()) << "case " << seed;
    for (const Candidate& candidate : got) {
      ASSERT_TRUE(expected.contains(candidate.token)) << "case " << seed;
      EXPECT_NEAR(candidate.probability, expected.at(candidate.token), 1e-5) << "case " << seed;
    }
  }
}

TEST(SamplerTest, GreedyTakesTheLargestAndOfEqualOnesTheFirst) {
  Sampler sampler({.temperature = 0});
  std::vector<float> logits = RandomLogits(1000, 3);
  logits[700] = logits[300] = 99;
  EXPECT_EQ(sampler.Sample(logits), 300);
  std::vector<float> few = {1, 5, 2};
  EXPECT_EQ(sampler.Sample(few), 1);
}

TEST(SamplerTest, FindsTheLargestWhereverItIs) {
  for (size_t size : {1, 3, 31, 32, 33, 64, 100}) {
    for (size_t at = 0; at < size; ++at) {
      std::vector<float> logits(size, kNan);
      logits[at] = -7;
      if (at > 0) logits[at - 1] = -8;
      Sampler greedy({.temperature = 0});
      EXPECT_EQ(greedy.Sample(logits), static_cast<int32_t>(at)) << at << " of " << size;
      Sampler narrow({.temperature = 1e-6F, .top_k = 2});
      EXPECT_EQ(narrow.Sample(logits), static_cast<int32_t>(at)) << at << " of " << size;
    }
  }
}

TEST(SamplerTest, ImpossibleTokensAreNeverDrawn) {
  for (const SamplingParams& params : std::vector<SamplingParams>{
           {.temperature = 0}, {.temperature = 100}, {.temperature = 100, .top_k = 5}}) {
    Sampler sampler(params);
    for (int i = 0; i < 200; ++i) {
      std::vector<float> logits = {kNan, kImpossible, -5, kNan, -6};
      const std::optional<int32_t> token = sampler.Sample(logits);
      ASSERT_TRUE(token == 2 || token == 4);
    }
  }
}

TEST(SamplerTest, NothingIsDrawnWhenNothingIsFinite) {
  for (float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature});
    std::vector<float> nan(40, kNan);
    EXPECT_EQ(sampler.Sample(nan), std::nullopt);
    std::vector<float> impossible(40, kImpossible);
    EXPECT_EQ(sampler.Sample(impossible), std::nullopt);
    std::vector<float> none;
    EXPECT_EQ(sampler.Sample(none), std::nullopt);
  }
}

TEST(SamplerTest, DrawsAsOftenAsTheProbabilitiesSay) {
  Sampler sampler({.temperature = 1, .seed = 11});
  std::map<int32_t, int> drawn;
  for (int i = 0; i < 20000; ++i) {
    std::vector<float> logits = {std::log(0.7F), std::log(0.2F), std::log(0.1F)};
    ++drawn[*sampler.Sample(logits)];
  }
  EXPECT_NEAR(drawn[0], 14000, 300);
  EXPECT_NEAR(drawn[1], 4000, 250);
  EXPECT_NEAR(drawn[2], 2000, 200);
}

TEST(SamplerTest, SameSeedSameDraws) {
  Sampler one({.temperature = 1, .seed = 5});
  Sampler same({.temperature = 1, .seed = 5});
  Sampler other({.temperature = 1, .seed = 6});
  std::vector<int32_t> a, b, c;
  for (int i = 0; i < 50; ++i) {
    std::vector<float> logits(100, 0.5F);  // all alike
    a.push_back(*one.Sample(logits));
    b.push_back(*same.Sample(logits));
    c.push_back(*other.Sample(logits));
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

TEST(SamplerTest, OnlyTheLastTokensArePenalised) {
  Sampler sampler({.temperature = 0, .repeat_penalty = 2});
  sampler.Accept(1);
  std::vector<float> logits = {3, 4};
  EXPECT_EQ(sampler.Sample(logits), 0);
  for (size_t i = 0; i < Sampler::kPenaltyWindow; ++i) sampler.Accept(7);
  logits = {3, 4};
  EXPECT_EQ(sampler.Sample(logits), 1);
}

}  // namespace
}  // namespace mlos::llama
