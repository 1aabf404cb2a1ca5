// SPDX-License-Identifier: Apache-2.0
// Rotary positions of a decoder, as transformers 4 ("rope_theta", "rope_scaling") and 5 ("rope_parameters") write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/config.h"

namespace mlos::convert {

struct Rope {
  double theta = 10000;
  std::string type = "default";  // "default", "linear", "llama3", "yarn", "longrope"
  double factor = 1;
  double partial = 1;  // of a head's dimensions, how many are turned
  std::optional<int64_t> original_context;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  std::optional<double> attention_factor;
  std::vector<double> long_factor, short_factor;  // longrope
};

// `layer_type`: "full_attention" or "sliding_attention" where rope_parameters has one object for each, which others ignore.
// kUnimplemented for a type or key that is not known. `default_theta` where the config names none.
Result<Rope> ReadRope(const Config& config, std::string_view layer_type, double default_theta);

// What "llama3" divides each of the head_dim / 2 frequencies by.
std::vector<float> Llama3Factors(const Rope& rope, int64_t head_dim);

// What attention scores are scaled by when the context was stretched (longrope: Phi-3).
double LongRopeAttentionFactor(const Rope& rope, int64_t context, int64_t original_context);

}  // namespace mlos::convert
