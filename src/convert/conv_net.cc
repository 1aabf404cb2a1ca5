// SPDX-License-Identifier: Apache-2.0
#include "convert/conv_net.h"

#include <vector>

#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

std::vector<Dim> MapDims(const FeatureMap& x, const char* height, const char* width) {
  if (x.size.height == 0) return {kBatchAxis, x.channels, height, width};
  return {kBatchAxis, x.channels, x.size.height, x.size.width};
}

// Size after a window with these sizes has gone over the map.
ImageSize SizeAfter(GraphBuilder& g, ImageSize size, ImageSize kernel, ImageSize stride, const Padding& pads,
                    const std::string& name) {
  if (size.height == 0) return size;
  const int64_t height = size.height + pads.top + pads.bottom - kernel.height;
  const int64_t width = size.width + pads.left + pads.right - kernel.width;
  if (height < 0 || width < 0) {
    g.Fail(Unimplemented("the picture is too small: " + std::to_string(size.height) + " x " +
                         std::to_string(size.width) + " is left of it before '" + name + "'"));
    return {1, 1};
  }
  return {height / stride.height + 1, width / stride.width + 1};
}

std::vector<Attribute> WindowAttributes(ImageSize kernel, ImageSize stride, const Padding& pads) {
  return {{"kernel_shape", std::vector<int64_t>{kernel.height, kernel.width}},
          {"strides", std::vector<int64_t>{stride.height, stride.width}},
          {"pads", std::vector<int64_t>{pads.top, pads.left, pads.bottom, pads.right}}};
}

Padding Everywhere(int64_t padding) { return {padding, padding, padding, padding}; }

// What comes after the channels of a map's shape.
Value SpatialShape(GraphBuilder& g, const FeatureMap& x) {
  return g.Op("Shape", {x.value}, {{"start", int64_t{2}}});
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
  const Padding pads = options.sides.value_or(Everywhere(options.padding));
  std::vector<Attribute> attributes = WindowAttributes(options.kernel, options.stride, pads);
  if (options.same) attributes.back() = {"auto_pad", "SAME_UPPER"};
  attributes.push_back({"group", options.groups});
  attributes.push_back({"dilations", std::vector<int64_t>{options.dilation, options.dilation}});
  const ImageSize spread = {(options.kernel.height - 1) * options.dilation + 1,
                            (options.kernel.width - 1) * options.dilation + 1};
  const ImageSize size = options.same
                             ? ImageSize{(x.size.height + options.stride.height - 1) / options.stride.height,
                                         (x.size.width + options.stride.width - 1) / options.stride.width}
                             : SizeAfter(g, x.size, spread, options.stride, pads, name);
  return {g.Op("Conv", inputs, std::move(attributes)), options.channels, size};
}

FeatureMap MaxPool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride, int64_t padding) {
  const ImageSize window = {kernel, kernel};
  const ImageSize step = {stride, stride};
  const Padding pads = Everywhere(padding);
  return {g.Op("MaxPool", {x.value}, WindowAttributes(window, step, pads)), x.channels,
          SizeAfter(g, x.size, window, step, pads, "MaxPool")};
}

FeatureMap BatchNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, double epsilon) {
  std::vector<Value> inputs = {x.value};
  for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
    inputs.push_back(g.Weight(name + part, {x.channels}));
  return {g.Op("BatchNormalization", inputs, {{"epsilon", static_cast<float>(epsilon)}}), x.channels, x.size};
}

FeatureMap ConvUnit(GraphBuilder& g, const FeatureMap& x, const std::string& conv, const std::string& norm,
                    const ConvOptions& options, double epsilon, const std::string& activation) {
  FeatureMap y = BatchNorm(g, Conv(g, x, conv, options), norm, epsilon);
  if (!activation.empty()) y.value = Activation(g, y.value, activation, "hidden_act");
  return y;
}

FeatureMap GroupNorm(GraphBuilder& g, const FeatureMap& x, const std::string& name, int64_t groups,
                     double epsilon) {
  const Value rows = g.Op("Reshape", {x.value, g.Ints({0, groups, -1})});
  const auto all = [&](float value) { return g.Op("Expand", {g.Float(value), g.Ints({groups})}); };
  const Value normed =
      g.Op("InstanceNormalization", {rows, all(1), all(0)}, {{"epsilon", static_cast<float>(epsilon)}});
  const Value map = g.Op("Reshape", {normed, g.Op("Shape", {x.value})});
  const Value scaled = g.Op("Mul", {map, PerChannel(g, name + ".weight", x.channels)});
  return {g.Op("Add", {scaled, PerChannel(g, name + ".bias", x.channels)}), x.channels, x.size};
}

FeatureMap AveragePool(GraphBuilder& g, const FeatureMap& x, int64_t kernel, int64_t stride,
                       int64_t padding) {
  const ImageSize window = {kernel, kernel};
  const ImageSize step = {stride, stride};
  const Padding pads = Everywhere(padding);
  return {g.Op("AveragePool", {x.value}, WindowAttributes(window, step, pads)), x.channels,
          SizeAfter(g, x.size, window, step, pads, "AveragePool")};
}

Value MeanPool(GraphBuilder& g, const FeatureMap& x) { return g.Op("GlobalAveragePool", {x.value}); }

Value Flat(GraphBuilder& g, const Value& pooled, int64_t channels) {
  return g.Op("Reshape", {pooled, g.Ints({-1, channels})});
}

Value MapToTokens(GraphBuilder& g, const FeatureMap& x) {
  const Value columns = g.Op("Reshape", {x.value, g.Ints({0, x.channels, -1})});
  return g.Op("Transpose", {columns}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
}

FeatureMap TokensToMap(GraphBuilder& g, const Value& tokens, int64_t channels, const FeatureMap& like) {
  const Value shape =
      g.Op("Concat", {g.Ints({-1}), SpatialShape(g, like), g.Ints({channels})}, {{"axis", int64_t{0}}});
  const Value last = g.Op("Reshape", {tokens, shape});
  return {g.Op("Transpose", {last}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}}), channels, like.size};
}

FeatureMap Upsample(GraphBuilder& g, const FeatureMap& x, const FeatureMap& like) {
  const Value front = g.Op("Shape", {x.value}, {{"end", int64_t{2}}});
  const Value sizes = g.Op("Concat", {front, SpatialShape(g, like)}, {{"axis", int64_t{0}}});
  const Value scaled = g.Op("Resize", {x.value, Value{}, Value{}, sizes},
                            {{"mode", "linear"}, {"coordinate_transformation_mode", "half_pixel"}});
  return {scaled, x.channels, like.size};
}

Value TakeNearest(GraphBuilder& g, const Value& x, const Value& like, const std::vector<int64_t>& axes,
                  const std::vector<int64_t>& like_axes) {
  const std::vector<Attribute> to_float = {{"to", onnx::DataType(DType::kFp32)}};
  const auto size = [&](const Value& value, int64_t axis) {
    return g.Op("Squeeze", {g.Op("Shape", {value}, {{"start", axis}, {"end", axis + 1}})});
  };
  Value taken = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Value have = size(x, axes[i]);
    const Value want = size(like, like_axes[i]);
    const Value ratio = g.Op("Div", {g.Op("Cast", {have}, to_float), g.Op("Cast", {want}, to_float)});
    const Value places = g.Op("Cast", {g.Op("Range", {g.Int(0), want, g.Int(1)})}, to_float);
    const Value from = g.Op("Cast", {g.Op("Floor", {g.Op("Mul", {places, ratio})})},
                            {{"to", onnx::DataType(DType::kInt64)}});
    taken = g.Op("Gather", {taken, g.Op("Min", {from, g.Op("Sub", {have, g.Int(1)})})}, {{"axis", axes[i]}});
  }
  return taken;
}

Value PerChannel(GraphBuilder& g, const std::string& name, int64_t channels) {
  return g.Op("Unsqueeze", {g.Weight(name, {channels}), g.Ints({1, 2})});
}

FeatureMap SqueezeExcite(GraphBuilder& g, const FeatureMap& x, const std::string& first,
                         const std::string& second, int64_t narrow, const std::string& activation) {
  ConvOptions options;
  options.channels = narrow;
  options.bias = true;
  FeatureMap mean = Conv(g, {MeanPool(g, x), x.channels, {1, 1}}, first, options);
  mean.value = Activation(g, mean.value, activation, "hidden_act");
  options.channels = x.channels;
  const Value weight = g.Op("Sigmoid", {Conv(g, mean, second, options).value});
  return {g.Op("Mul", {x.value, weight}), x.channels, x.size};
}

void MapOutput(GraphBuilder& g, const std::string& name, const FeatureMap& x) {
  g.Output(name, x.value, DType::kFp32, MapDims(x, "feature_height", "feature_width"));
}

void PooledMapOutputs(GraphBuilder& g, const FeatureMap& features, const std::string& classifier, Head head,
                      std::vector<IgnoreRule>* ignore) {
  g.SetScope("pooler");
  const Value pooled = MeanPool(g, features);
  if (head != Head::kEncoder) {
    LogitsOutput(g, Labels(g, Flat(g, pooled, features.channels), classifier, features.channels), classifier);
    return;
  }
  MapOutput(g, "last_hidden_state", features);
  g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, features.channels, 1, 1});
  ignore->push_back({classifier + ".", "", "classifier, not part of the task"});
}

}  // namespace mlos::convert
