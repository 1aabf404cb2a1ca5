// SPDX-License-Identifier: Apache-2.0
// MobileNetV2 (model_type "mobilenet_v2"): inverted residual blocks, padded as TensorFlow pads.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kHeadEpsilon = 1e-5;
constexpr int64_t kHeadWidth = 256;
constexpr std::array<int64_t, 17> kChannels = {16, 24, 24, 32, 32,  32,  64,  64, 64,
                                               64, 96, 96, 96, 160, 160, 160, 320};
constexpr std::array<int64_t, 16> kStrides = {2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1};

struct Sizes {
  int64_t channels = 3;
  double multiplier = 1;
  int64_t divisor = 8;
  int64_t smallest = 8;
  double expansion = 6;
  int64_t output_stride = 32;
  bool first_is_expansion = true;
  bool fine_grained = true;
  bool tf_padding = true;
  double epsilon = 1e-3;
  std::string activation;

  int64_t Divisible(int64_t value) const {
    const auto half = static_cast<double>(divisor) / 2;
    int64_t rounded =
        std::max(smallest, static_cast<int64_t>(static_cast<double>(value) + half) / divisor * divisor);
    // Not more than a tenth is lost to rounding.
    if (static_cast<double>(rounded) < 0.9 * static_cast<double>(value)) rounded += divisor;
    return rounded;
  }
  // nearbyint rounds halves to even, as Python does.
  int64_t Scaled(int64_t width) const {
    return Divisible(static_cast<int64_t>(std::nearbyint(static_cast<double>(width) * multiplier)));
  }
  int64_t Expanded(int64_t width) const {
    return Divisible(static_cast<int64_t>(std::nearbyint(static_cast<double>(width) * expansion)));
  }
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.multiplier, config.Number("depth_multiplier", s.multiplier, 1e-3, 1000));
  MLOS_ASSIGN_OR_RETURN(s.divisor, config.Int("depth_divisible_by", s.divisor, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.smallest, config.Int("min_depth", s.smallest, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.expansion, config.Number("expand_ratio", s.expansion, 1e-3, 1000));
  MLOS_ASSIGN_OR_RETURN(s.output_stride, config.Int("output_stride", s.output_stride, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.first_is_expansion, config.Bool("first_layer_is_expansion", true));
  MLOS_ASSIGN_OR_RETURN(s.fine_grained, config.Bool("finegrained_output", true));
  MLOS_ASSIGN_OR_RETURN(s.tf_padding, config.Bool("tf_padding", true));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "relu6"));
  return s;
}

class MobileNetV2 {
 public:
  MobileNetV2(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "mobilenet_v2.", "conv_stem.first_conv.convolution.weight") {}
  const ModelNames& names() const { return names_; }

  // What the last block gives.
  FeatureMap Blocks() {
    FeatureMap x = Stem(PixelInput(g_, s_.channels, {}));
    int64_t stride = 2;
    int64_t dilation = 1;
    for (size_t i = 0; i < kStrides.size(); ++i) {
      // Once the map is as small as it may get, the steps become gaps in the kernels of the blocks that follow.
      const bool spread = stride == s_.output_stride;
      x = Block(x, "layer." + std::to_string(i), s_.Scaled(kChannels[i + 1]), spread ? 1 : kStrides[i],
                spread ? dilation : 1);
      (spread ? dilation : stride) *= kStrides[i];
    }
    return x;
  }

  FeatureMap Last(const FeatureMap& x) {
    g_.SetScope("conv_1x1");
    const int64_t width = s_.fine_grained && s_.multiplier < 1 ? 1280 : s_.Scaled(1280);
    return Unit(x, names_.Base("conv_1x1"), {width}, s_.epsilon, s_.activation);
  }

  // DeepLabV3+: scores of the labels for every place of the last block's map.
  FeatureMap Segment(const FeatureMap& x, int64_t labels) {
    g_.SetScope("segmentation_head");
    const std::string p = names_.Of("segmentation_head.");
    const FeatureMap mean = {MeanPool(g_, x), x.channels, {1, 1}};
    const FeatureMap whole = Unit(mean, p + "conv_pool", {kHeadWidth}, kHeadEpsilon, "relu");
    const FeatureMap parts = Unit(x, p + "conv_aspp", {kHeadWidth}, kHeadEpsilon, "relu");
    const Value everywhere = g_.Op("Expand", {whole.value, g_.Op("Shape", {parts.value})});
    const FeatureMap both = {g_.Op("Concat", {everywhere, parts.value}, {{"axis", int64_t{1}}}),
                             2 * kHeadWidth, x.size};
    ConvOptions classifier = {labels};
    classifier.bias = true;
    return Conv(g_, Unit(both, p + "conv_projection", {kHeadWidth}, kHeadEpsilon, "relu"),
                p + "classifier.convolution", classifier);
  }

 private:
  FeatureMap Unit(const FeatureMap& x, const std::string& name, ConvOptions options, double epsilon,
                  const std::string& activation) {
    const int64_t around = (options.kernel.height - 1) / 2 * options.dilation;
    options.padding = around;
    options.same = s_.tf_padding && options.stride.height > 1;
    return ConvUnit(g_, x, name + ".convolution", name + ".normalization", options, epsilon, activation);
  }
  FeatureMap Depthwise(const FeatureMap& x, const std::string& name, int64_t stride, int64_t dilation) {
    ConvOptions options = {x.channels, {3, 3}, {stride, stride}, 0, x.channels};
    options.dilation = dilation;
    return Unit(x, name, options, s_.epsilon, s_.activation);
  }

  FeatureMap Stem(const FeatureMap& pixels) {
    g_.SetScope("conv_stem");
    const std::string p = names_.Base("conv_stem.");
    const int64_t width = s_.Scaled(32);
    FeatureMap x = Unit(pixels, p + "first_conv", {width, {3, 3}, {2, 2}}, s_.epsilon, s_.activation);
    if (!s_.first_is_expansion) x = Unit(x, p + "expand_1x1", {width}, s_.epsilon, s_.activation);
    x = Depthwise(x, p + "conv_3x3", 1, 1);
    return Unit(x, p + "reduce_1x1", {s_.Scaled(kChannels[0])}, s_.epsilon, "");
  }

  FeatureMap Block(const FeatureMap& x, const std::string& name, int64_t width, int64_t stride,
                   int64_t dilation) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    FeatureMap y = Unit(x, p + "expand_1x1", {s_.Expanded(x.channels)}, s_.epsilon, s_.activation);
    y = Depthwise(y, p + "conv_3x3", stride, dilation);
    y = Unit(y, p + "reduce_1x1", {width}, s_.epsilon, "");
    if (stride == 1 && x.channels == width) y.value = g_.Op("Add", {x.value, y.value});
    return y;
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireHead(
      "mobilenet_v2", context, {Head::kEncoder, Head::kImageClassification, Head::kSemanticSegmentation}));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  MobileNetV2 model(g, sizes);
  const ModelNames& names = model.names();
  const FeatureMap blocks = model.Blocks();
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  if (context.head == Head::kSemanticSegmentation) {
    const Shape shape = g.ShapeOf(names.Of("segmentation_head.classifier.convolution.weight"));
    MapOutput(g, "logits", model.Segment(blocks, shape.empty() ? -1 : shape[0]));
    ignore.push_back({names.Base("conv_1x1."), "", "not part of the task"});
    return BuildResult{{}, std::move(ignore), 0};
  }
  const FeatureMap features = model.Last(blocks);
  const Value pooled = Flat(g, MeanPool(g, features), features.channels);
  const std::string classifier = names.Of("classifier");
  if (context.head == Head::kEncoder) {
    MapOutput(g, "last_hidden_state", features);
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, features.channels});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
    ignore.push_back({names.Of("segmentation_head."), "", "head, not part of the task"});
  } else {
    LogitsOutput(g, Labels(g, pooled, classifier, features.channels), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"MobileNetV2Model", Head::kEncoder},
    {"MobileNetV2ForImageClassification", Head::kImageClassification},
    {"MobileNetV2ForSemanticSegmentation", Head::kSemanticSegmentation},
}};

}  // namespace

const Architecture kMobileNetV2 = {"mobilenet_v2", kClasses, Build};

}  // namespace mlos::convert
