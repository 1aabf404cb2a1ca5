// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace mlos::llama {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

// A vocabulary can have 150,000 tokens, and every token drawn looks at all of them: four at a time, on any CPU, and in
// blocks, most of which one comparison then settles.
using Lanes = float __attribute__((vector_size(16)));
constexpr size_t kLanes = sizeof(Lanes) / sizeof(float);
constexpr size_t kBlock = 32;

// x where it is larger, else m; NaN in x never wins.
Lanes Larger(Lanes x, Lanes m) { return x > m ? x : m; }

// Largest of kBlock values; kImpossible when all are NaN.
float LargestOfBlock(const float* values) {
  Lanes largest = {kImpossible, kImpossible, kImpossible, kImpossible};
  for (size_t i = 0; i < kBlock; i += kLanes) {
    Lanes lanes;
    std::memcpy(&lanes, values + i, sizeof lanes);
    largest = Larger(lanes, largest);
  }
  float result = kImpossible;
  for (size_t lane = 0; lane < kLanes; ++lane) result = largest[lane] > result ? largest[lane] : result;
  return result;
}

// The first of the largest values; logits.size() when none is above kImpossible.
size_t IndexOfLargest(std::span<const float> logits) {
  float largest = kImpossible;
  size_t block = logits.size();
  size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    const float of_block = LargestOfBlock(&logits[i]);
    if (of_block > largest) {
      largest = of_block;
      block = i;
    }
  }
  for (; i < logits.size(); ++i) {
    if (logits[i] > largest) {
      largest = logits[i];
      block = i;
    }
  }
  while (block < logits.size() && logits[block] != largest) ++block;
  return block;
}

bool MoreLikely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

void Sampler::Accept(int32_t token) { window_[accepted_++ % kPenaltyWindow] = token; }

void Sampler::Penalise(std::span<float> logits) const {
  const size_t count = std::min(accepted_, kPenaltyWindow);
  for (size_t i = 0; i < count; ++i) {
    const int32_t token = window_[i];
    const bool seen_before = std::find(window_.begin(), window_.begin() + i, token) != window_.begin() + i;
    if (seen_before || token < 0 || static_cast<size_t>(token) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit <= 0 ? logit * params_.repeat_penalty : logit / params_.repeat_penalty;
  }
}

void Sampler::Offer(size_t index, float logit, size_t k) {
  if (candidates_.size() == k) {
    if (!(logit > candidates_.front().logit)) return;
    std::pop_heap(candidates_.begin(), candidates_.end(), MoreLikely);
    candidates_.pop_back();
  } else if (!(logit > kImpossible)) {
    return;
  }
  candidates_.push_back({static_cast<int32_t>(index), logit, 0});
  std::push_heap(candidates_.begin(), candidates_.end(), MoreLikely);
}

void Sampler::SelectTopK(std::span<const float> logits) {
  // A heap whose front is the least likely of the k best so far; a block with nothing above it is passed over.
  const size_t k = std::min(static_cast<size_t>(params_.top_k), logits.size());
  size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    const float least = candidates_.size() == k ? candidates_.front().logit : kImpossible;
    if (!(LargestOfBlock(&logits[i]) > least)) continue;
    for (size_t j = i; j < i + kBlock; ++j) Offer(j, logits[j], k);
  }
  for (; i < logits.size(); ++i) Offer(i, logits[i], k);
  std::sort_heap(candidates_.begin(), candidates_.end(), MoreLikely);
}

void Sampler::CutTopP(std::span<const float> logits) {
  float largest = kImpossible;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  // With top_k the probabilities are those among the k; otherwise among the whole vocabulary.
  double total = 0;
  if (params_.top_k > 0) {
    for (const Candidate& candidate : candidates_) total += std::exp(candidate.logit - largest);
  } else {
    for (float logit : logits) {
      if (logit > kImpossible) total += std::exp(logit - largest);
    }
  }
  const double wanted = params_.top_p * total;
  double sum = 0;
  size_t sorted = params_.top_k > 0 ? candidates_.size() : 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted) {
      // Sorting all of a vocabulary is dear and the cut usually falls early: sort in growing stretches.
      const size_t next = std::min(candidates_.size(), sorted == 0 ? size_t{256} : sorted * 4);
      std::partial_sort(candidates_.begin() + static_cast<ptrdiff_t>(sorted),
                        candidates_.begin() + static_cast<ptrdiff_t>(next), candidates_.end(), MoreLikely);
      sorted = next;
    }
    sum += std::exp(candidates_[i].logit - largest);
    if (sum >= wanted) {
      candidates_.resize(i + 1);
      return;
    }
  }
}

void Sampler::CutMinP() {
  float largest = kImpossible;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  const float least = largest + std::log(params_.min_p);
  std::erase_if(candidates_, [least](const Candidate& candidate) { return candidate.logit < least; });
}

void Sampler::SelectAll(std::span<const float> logits, float largest) {
  // Without top_p a token below min_p can be left out at once; top_p counts every token first.
  const bool early = params_.min_p > 0 && params_.top_p >= 1;
  const float least = early ? largest + std::log(params_.min_p) : kImpossible;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= least && logits[i] > kImpossible)
      candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
  }
}

void Sampler::SoftenAndNormalise() {
  float largest = kImpossible;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp((candidate.logit - largest) / params_.temperature);
    total += candidate.probability;
  }
  for (Candidate& candidate : candidates_)
    candidate.probability = static_cast<float>(candidate.probability / total);
}

const std::vector<Candidate>& Sampler::Candidates(std::span<float> logits) {
  candidates_.clear();
  if (params_.repeat_penalty != 1) Penalise(logits);
  const bool greedy = params_.temperature == 0 || params_.top_k == 1;
  if (greedy || params_.top_k == 0) {
    const size_t first = IndexOfLargest(logits);
    if (first == logits.size() || !std::isfinite(logits[first])) return candidates_;
    if (greedy) {
      candidates_.push_back({static_cast<int32_t>(first), logits[first], 1});
      return candidates_;
    }
    SelectAll(logits, logits[first]);
  } else {
    SelectTopK(logits);
    if (candidates_.empty() || !std::isfinite(candidates_.front().logit)) {
      candidates_.clear();
      return candidates_;
    }
  }
  if (params_.top_p < 1) CutTopP(logits);
  if (params_.min_p > 0) CutMinP();
  SoftenAndNormalise();
  return candidates_;
}

std::optional<int32_t> Sampler::Sample(std::span<float> logits) {
  const std::vector<Candidate>& candidates = Candidates(logits);
  if (candidates.empty()) return std::nullopt;
  if (candidates.size() == 1) return candidates.front().token;
  // 53 random bits in [0, 1): the standard distributions differ from library to library, this does not.
  const double drawn = static_cast<double>(random_() >> 11) * 0x1.0p-53;
  double sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.probability;
    if (drawn < sum) return candidate.token;
  }
  return candidates.back().token;
}

}  // namespace mlos::llama
