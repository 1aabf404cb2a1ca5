// SPDX-License-Identifier: Apache-2.0
// CLIP's two transformers: one over the tokens of a text, one over the patches of a picture. Pre-norm layers named alike.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "convert/config.h"
#include "convert/image_model.h"

namespace mlos::convert {

struct ClipSizes {
  int64_t width = 0;
  int64_t layers = 12;
  int64_t heads = 0;
  int64_t intermediate = 0;
  double epsilon = 1e-5;
  std::string activation = "quick_gelu";
  // Of the text.
  int64_t vocabulary = 49408;
  int64_t positions = 77;
  int64_t end_token = 49407;
  // Of the picture, which is a square.
  int64_t channels = 3;
  int64_t picture = 224;
  int64_t patch = 32;
};

// `config` is config.json of a tower alone, or the part of a joint one.
Result<ClipSizes> ReadClipText(const Config& config);
Result<ClipSizes> ReadClipVision(const Config& config);

struct ClipOutput {
  Value tokens;              // last_hidden_state [batch, tokens, width]
  Value pooled;              // pooler_output [batch, width]
  int64_t tokens_size = -1;  // -1 = free
  int64_t width = 0;
};

// Declares input_ids and attention_mask [batch, sequence_length]; `base` is the prefix of the tower's tensors ("text_model.").
ClipOutput BuildClipText(GraphBuilder& g, const ClipSizes& sizes, const std::string& base, const char* batch);
// Declares pixel_values. The pooled token is normed only when `norm_pooled` (a classifier does without).
ClipOutput BuildClipVision(GraphBuilder& g, const ClipSizes& sizes, const std::string& base,
                           const char* batch, bool norm_pooled);

}  // namespace mlos::convert
