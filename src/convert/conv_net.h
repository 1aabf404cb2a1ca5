// SPDX-License-Identifier: Apache-2.0
// Convolutional networks: feature maps [batch, channels, height, width] whose height and width are known or free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

struct Padding {
  int64_t top = 0;
  int64_t left = 0;
  int64_t bottom = 0;
  int64_t right = 0;
};

struct ConvOptions {
  int64_t channels = 0;  // of the result
  ImageSize kernel = {1, 1};
  ImageSize stride = {1, 1};
  int64_t padding = 0;  // on every side
  int64_t groups = 1;
  bool bias = false;
  int64_t dilation = 1;
  std::optional<Padding> sides;  // instead of `padding`
  bool same = false;             // as TensorFlow's SAME instead of both: result = size / stride, rounded up
};
// `name`.weight and `name`.bias. A picture too small for the kernel is an error that sticks.
FeatureMap Conv(GraphBuilder& g, const FeatureMap& x, const std::string& name, const ConvOptions& options);

FeatureMap MaxPool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride, int64_t padding);

// `name`.weight, .bias, .running_mean and .running_var, as in inference.
FeatureMap BatchNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, double epsilon);

// Convolution `conv`, norm `norm` and, when named, an activation.
FeatureMap ConvUnit(GraphBuilder& g, const FeatureMap& x, const std::string& conv, const std::string& norm,
                    const ConvOptions& options, double epsilon, const std::string& activation);

// Over `groups` groups of channels, `name`.weight and `name`.bias.
FeatureMap GroupNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, int64_t groups,
                     double epsilon);

// Without what lies outside the picture.
FeatureMap AveragePool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride, int64_t padding);

// Mean over height and width: [batch, channels, 1, 1].
Value MeanPool(GraphBuilder& g, const FeatureMap& x);

// [batch, channels, ...] with one position -> [batch, channels].
Value Flat(GraphBuilder& g, const Value& pooled, int64_t channels);

// [batch, channels, height, width] <-> [batch, height * width, channels], or rows of `channels`; `like` has the height and
// width.
Value MapToTokens(GraphBuilder& g, const FeatureMap& x);
FeatureMap TokensToMap(GraphBuilder& g, const Value& tokens, int64_t channels, const FeatureMap& like);

// Scaled to the height and width of `like`, bilinear (pixels are areas).
FeatureMap Upsample(GraphBuilder& g, const FeatureMap& x, const FeatureMap& like);

// The same, every place taking the value of the nearest one that is not after it. `axes` of x, the sizes being those of `like`;
// any rank and type.
Value TakeNearest(GraphBuilder& g, const Value& x, const Value& like, const std::vector<int64_t>& axes,
                  const std::vector<int64_t>& like_axes);

// The tensor [channels] as [channels, 1, 1], for products and sums with a map.
Value PerChannel(GraphBuilder& g, const std::string& name, int64_t channels);

// Squeeze and excitation: x * sigmoid(second(act(first(mean)))) with convolutions 1 x 1 that have biases.
FeatureMap SqueezeExcite(GraphBuilder& g, const FeatureMap& x, const std::string& first,
                         const std::string& second, int64_t narrow, const std::string& activation);

void MapOutput(GraphBuilder& g, const std::string& name, const FeatureMap& x);

// What networks answer whose last map is pooled by its mean: for Head::kEncoder the map and the means, and `ignore` gains the linear layer
// `classifier`; otherwise the scores of that layer.
void PooledMapOutputs(GraphBuilder& g, const FeatureMap& features, const std::string& classifier, Head head,
                      std::vector<IgnoreRule>* ignore);

}  // namespace mlos::convert
