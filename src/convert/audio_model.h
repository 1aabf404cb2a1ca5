// SPDX-License-Identifier: Apache-2.0
// What audio models share: convolutions over time, outputs a frame, heads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convert/graph.h"

namespace mlos::convert {

inline constexpr char kFramesAxis[] = "frames";

struct TimeConv {
  int64_t in = 1;
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;  // on both ends
  int64_t groups = 1;
};
// x [batch, in, time] by `weight` [out, in / groups, kernel] and `bias` (may have no name).
Value ConvolveTime(GraphBuilder& g, const Value& x, const Value& weight, const Value& bias,
                   const TimeConv& conv);
// The same with `name`.weight and, when `biased`, `name`.bias.
Value ConvolveTime(GraphBuilder& g, const Value& x, const std::string& name, bool biased,
                   const TimeConv& conv);

// [batch, a, b] -> [batch, b, a].
Value SwapTime(GraphBuilder& g, const Value& x);

// softmax(`name`) [layers.size()] as weights of the layers' answers, which are all of one shape.
Value WeightedSum(GraphBuilder& g, const std::string& name, const std::vector<Value>& layers);

// Labels of the whole recording from frames [batch, frames, width]: projector, mean over time, classifier. Output `logits`.
void RecordingLabels(GraphBuilder& g, const Value& frames, const std::string& projector,
                     const std::string& classifier, int64_t width, int64_t projected);

}  // namespace mlos::convert
