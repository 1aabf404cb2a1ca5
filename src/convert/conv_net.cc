// SPDX-License-Identifier: Apache-2.0
#include "convert/conv_net.h"

#include <vector>

#include "convert/text_model.h"

namespace mlos::convert {
namespace {

std::vector<Dim> MapDims(const FeatureMap& x, const char* height, const char* width) {
  if (x.size.height == 0) return {kBatchAxis, x.channels, height, width};
  return {kBatchAxis, x.channels, x.size.height, x.size.width};
}

// Size after a window with these sizes has gone over the map.
ImageSize SizeAfter(GraphBuilder& g, ImageSize size, ImageSize kernel, ImageSize stride, int64_t padding,
                    const std::string& name) {
  if (size.height == 0) return size;
  const int64_t height = size.height + 2 * padding - kernel.height;
  const int64_t width = size.width + 2 * padding - kernel.width;
  if (height < 0 || width < 0) {
    g.Fail(Unimplemented("the picture is too small: " + std::to_string(size.height) + " x " +
                         std::to_string(size.width) + " is left of it before '" + name + "'"));
    return {1, 1};
  }
  return {height / stride.height + 1, width / stride.width + 1};
}

std::vector<Attribute> WindowAttributes(ImageSize kernel, ImageSize stride, int64_t padding) {
  return {{"kernel_shape", std::vector<int64_t>{kernel.height, kernel.width}},
          {"strides", std::vector<int64_t>{stride.height, stride.width}},
          {"pads", std::vector<int64_t>(4, padding)}};
}

}  // namespace

FeatureMap PixelInput(GraphBuilder& g, int64_t channels, ImageSize size) {
  FeatureMap pixels = {{}, channels, size};
  pixels.value = g.Input("pixel_values", DType::kFp32, MapDims(pixels, "height", "width"));
  return pixels;
}

FeatureMap Conv(GraphBuilder& g, const FeatureMap& x, const std::string& name, const ConvOptions& options) {
  if (x.channels % options.groups != 0) {
    g.Fail(DataLoss("'" + name + "' has " + std::to_string(options.groups) + " groups for " +
                    std::to_string(x.channels) + " channels"));
    return x;
  }
  std::vector<Value> inputs = {x.value,
                               g.Weight(name + ".weight", {options.channels, x.channels / options.groups,
                                                           options.kernel.height, options.kernel.width})};
  if (options.bias) inputs.push_back(g.Weight(name + ".bias", {options.channels}));
  std::vector<Attribute> attributes = WindowAttributes(options.kernel, options.stride, options.padding);
  attributes.push_back({"group", options.groups});
  const ImageSize size = SizeAfter(g, x.size, options.kernel, options.stride, options.padding, name);
  return {g.Op("Conv", inputs, std::move(attributes)), options.channels, size};
}

FeatureMap MaxPool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride, int64_t padding) {
  const ImageSize window = {kernel, kernel};
  const ImageSize step = {stride, stride};
  return {g.Op("MaxPool", {x.value}, WindowAttributes(window, step, padding)), x.channels,
          SizeAfter(g, x.size, window, step, padding, "MaxPool")};
}

FeatureMap BatchNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, double epsilon) {
  std::vector<Value> inputs = {x.value};
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    inputs.push_back(g.Weight(name + part, {x.channels}));
  return {g.Op("BatchNormalization", inputs, {{"epsilon", static_cast<float>(epsilon)}}), x.channels, x.size};
}

Value MeanPool(GraphBuilder& g, const FeatureMap& x) { return g.Op("GlobalAveragePool", {x.value}); }

Value Flat(GraphBuilder& g, const Value& pooled, int64_t channels) {
  return g.Op("Reshape", {pooled, g.Ints({-1, channels})});
}

void MapOutput(GraphBuilder& g, const std::string& name, const FeatureMap& x) {
  g.Output(name, x.value, DType::kFp32, MapDims(x, "feature_height", "feature_width"));
}

}  // namespace mlos::convert
