// SPDX-License-Identifier: Apache-2.0
// ResNet as transformers names its tensors, for models that have one inside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/config.h"
#include "convert/conv_net.h"

namespace mlos::convert {

struct ResNetSizes {
  int64_t channels = 3;
  int64_t embedding = 64;
  std::vector<int64_t> widths;
  std::vector<int64_t> depths;
  bool bottleneck = true;
  bool downsample_first_stage = false;
  bool downsample_first_conv = false;
  std::string activation;
};
Result<ResNetSizes> ReadResNetSizes(const Config& config);

// What the stem and every stage give; names of tensors begin with `prefix`.
std::vector<FeatureMap> ResNetStages(GraphBuilder& g, const ResNetSizes& sizes, const std::string& prefix,
                                     const FeatureMap& pixels);

}  // namespace mlos::convert
