// SPDX-License-Identifier: Apache-2.0
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlos::llama {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

// Largest value; NaN never wins. Lanes let the compiler use vectors, which a vocabulary of 150,000 makes worth it.
float Largest(std::span<const float> logits) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill(std::begin(lanes), std::end(lanes), kImpossible);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
    }
  }
  float largest = kImpossible;
  for (float lane : lanes) largest = lane > largest ? lane : largest;
  for (; i < logits.size(); ++i) largest = logits[i] > largest ? logits[i] : largest;
  return largest;
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

void Sampler::SelectTopK(std::span<const float> logits) {
  const size_t k = std::min(static_cast<size_t>(params_.top_k), logits.size());
  // A heap whose front is the least likely of the k best so far: one comparison for nearly every token.
  float least = kImpossible;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > least)) continue;
    if (candidates_.size() == k) {
      std::pop_heap(candidates_.begin(), candidates_.end(), MoreLikely);
      candidates_.pop_back();
    }
    candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
    std::push_heap(candidates_.begin(), candidates_.end(), MoreLikely);
    if (candidates_.size() == k) least = candidates_.front().logit;
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), MoreLikely);
}

void Sampler::CutTopP(std::span<const float> logits, float largest) {
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

void Sampler::Select(std::span<const float> logits, float largest) {
  if (params_.top_k > 0) {
    SelectTopK(logits);
  } else {
    // Without top_p a token below min_p can be left out at once; top_p counts every token first.
    const bool early = params_.min_p > 0 && params_.top_p >= 1;
    const float least = early ? largest + std::log(params_.min_p) : kImpossible;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] >= least && logits[i] > kImpossible) {
        candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
      }
    }
  }
  if (params_.top_p < 1) CutTopP(logits, largest);
  if (params_.min_p > 0) CutMinP();
}

void Sampler::SoftenAndNormalise() {
  float largest = kImpossible;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  double total = 0;
  for (Candidate& candidate : candidates_) {
    candidate.probability = std::exp((candidate.logit - largest) / params_.temperature);
    total += candidate.probability;
  }
  for (Candidate& candidate : candidates_) candidate.probability = static_cast<float>(candidate.probability / total);
}

const std::vector<Candidate>& Sampler::Candidates(std::span<float> logits) {
  candidates_.clear();
  if (params_.repeat_penalty != 1) Penalise(logits);
  const float largest = Largest(logits);
  if (!std::isfinite(largest)) return candidates_;
  if (params_.temperature == 0 || params_.top_k == 1) {
    const auto first = std::find(logits.begin(), logits.end(), largest);
    candidates_.push_back({static_cast<int32_t>(first - logits.begin()), largest, 1});
    return candidates_;
  }
  Select(logits, largest);
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
