// SPDX-License-Identifier: Apache-2.0
// Convolutional networks: feature maps [batch, channels, height, width] whose height and width are known or free.
#pragma once

#include <cstdint>
#include <string>

#include "convert/graph.h"
#include "convert/image_model.h"

namespace mlos::convert {

struct FeatureMap {
  Value value;
  int64_t channels = 0;
  ImageSize size;  // 0 x 0 = free
};

// Declares pixel_values.
FeatureMap PixelInput(GraphBuilder& g, int64_t channels, ImageSize size);

struct ConvOptions {
  int64_t channels = 0;  // of the result
  ImageSize kernel = {1, 1};
  ImageSize stride = {1, 1};
  int64_t padding = 0;  // on every side
  int64_t groups = 1;
  bool bias = false;
};
// `name`.weight and `name`.bias. A picture too small for the kernel is an error that sticks.
FeatureMap Conv(GraphBuilder& g, const FeatureMap& x, const std::string& name, const ConvOptions& options);

FeatureMap MaxPool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride, int64_t padding);

// `name`.weight, .bias, .running_mean and .running_var, as in inference.
FeatureMap BatchNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, double epsilon);

// Mean over height and width: [batch, channels, 1, 1].
Value MeanPool(GraphBuilder& g, const FeatureMap& x);

// [batch, channels, ...] with one position -> [batch, channels].
Value Flat(GraphBuilder& g, const Value& pooled, int64_t channels);

void MapOutput(GraphBuilder& g, const std::string& name, const FeatureMap& x);

}  // namespace mlos::convert
