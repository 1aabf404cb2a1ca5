// SPDX-License-Identifier: Apache-2.0
// Chooses the next token from the logits of one position. No engine in here.
//
// Order, as llama.cpp's own chain has it: repeat penalty, top_k, top_p, min_p, temperature, draw. top_p and min_p thus see
// the model's own probabilities, not those sharpened or flattened by the temperature.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace mlos::llama {

struct SamplingParams {
  float temperature = 0.8F;     // 0 = the most likely token
  float top_p = 1.0F;           // 1 = off
  float min_p = 0.0F;           // 0 = off
  float repeat_penalty = 1.0F;  // 1 = off
  int32_t top_k = 0;            // 0 = off
  uint64_t seed = 0;            // 0 is a seed like any other here
};

struct Candidate {
  int32_t token;
  float logit;
  float probability;  // of this candidate among those left; set by Candidates()
};

class Sampler {
 public:
  static constexpr size_t kPenaltyWindow = 64;

  explicit Sampler(const SamplingParams& params) : params_(params), random_(params.seed) {}

  // Tokens of the prompt and those drawn, oldest first: the last kPenaltyWindow of them are penalised.
  void Accept(int32_t token);

  // The next token, or nothing when no logit is finite. Changes `logits` (the repeat penalty is applied in place); NaN
  // counts as impossible. Of equally likely tokens greedy takes the first.
  std::optional<int32_t> Sample(std::span<float> logits);

  // What Sample would draw from, most likely first, after every filter and the temperature. Empty when no logit is
  // finite; one candidate for greedy. For tests too.
  const std::vector<Candidate>& Candidates(std::span<float> logits);

 private:
  void Penalise(std::span<float> logits) const;
  void SelectAll(std::span<const float> logits, float largest);
  void SelectTopK(std::span<const float> logits);
  void Offer(size_t index, float logit, size_t k);  // to the heap of the k best
  void CutTopP(std::span<const float> logits);
  void CutMinP();
  void SoftenAndNormalise();

  SamplingParams params_;
  std::mt19937_64 random_;
  std::array<int32_t, kPenaltyWindow> window_{};
  size_t accepted_ = 0;
  std::vector<Candidate> candidates_;
};

}  // namespace mlos::llama
