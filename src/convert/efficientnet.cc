// SPDX-License-Identifier: Apache-2.0
// EfficientNet (model_type "efficientnet"): inverted residual blocks with squeeze and excitation, width and depth scaled.
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

struct Sizes {
  int64_t channels = 3;
  double width = 2.0;
  double depth = 3.1;
  int64_t divisor = 8;
  std::vector<int64_t> kernels, inputs, outputs, strides, repeats, expansions;
  std::vector<int64_t> centred;  // blocks that are padded alike on all sides
  double squeeze = 0.25;
  double epsilon = 1e-3;
  int64_t last = 2560;
  bool max_pool = false;
  std::string activation;

  int64_t Filters(int64_t count) const {
    const double wanted = static_cast<double>(count) * width;
    int64_t rounded = std::max(
        divisor, static_cast<int64_t>(wanted + static_cast<double>(divisor) / 2) / divisor * divisor);
    // Not more than a tenth is lost to rounding.
    if (static_cast<double>(rounded) < 0.9 * wanted) rounded += divisor;
    return rounded;
  }
  int64_t Repeats(int64_t count) const {
    return static_cast<int64_t>(std::ceil(depth * static_cast<double>(count)));
  }
};

Status CheckStages(const Sizes& s) {
  const size_t stages = s.inputs.size();
  for (const auto& [key, list] :
       {std::pair<const char*, const std::vector<int64_t>&>{"out_channels", s.outputs},
        {"kernel_sizes", s.kernels},
        {"strides", s.strides},
        {"num_block_repeats", s.repeats},
        {"expand_ratios", s.expansions}}) {
    if (list.size() == stages) continue;
    return DataLoss("config.json: 'in_channels' has " + std::to_string(stages) + " stages, '" + key + "' " +
                    std::to_string(list.size()));
  }
  return OkStatus();
}

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("pooling_type", {"mean", "max"}));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Number("width_coefficient", s.width, 1e-3, 1000));
  MLOS_ASSIGN_OR_RETURN(s.depth, config.Number("depth_coefficient", s.depth, 1e-3, 1000));
  MLOS_ASSIGN_OR_RETURN(s.divisor, config.Int("depth_divisor", s.divisor, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.kernels, config.Ints("kernel_sizes", {3, 3, 5, 3, 5, 5, 3}, 2, 63));
  MLOS_ASSIGN_OR_RETURN(s.inputs, config.Ints("in_channels", {32, 16, 24, 40, 80, 112, 192}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.outputs, config.Ints("out_channels", {16, 24, 40, 80, 112, 192, 320}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.strides, config.Ints("strides", {1, 2, 2, 2, 1, 2, 1}, 1, 2));
  MLOS_ASSIGN_OR_RETURN(s.repeats, config.Ints("num_block_repeats", {1, 2, 2, 3, 3, 4, 1}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.expansions, config.Ints("expand_ratios", {1, 6, 6, 6, 6, 6, 6}, 1, 1000));
  if (!config.RequireEmpty("depthwise_padding").ok()) {
    MLOS_ASSIGN_OR_RETURN(s.centred, config.Ints("depthwise_padding", {}, 0, 1 << 20));
  }
  MLOS_ASSIGN_OR_RETURN(s.squeeze, config.Number("squeeze_expansion_ratio", s.squeeze, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("batch_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.last, config.Int("hidden_dim", s.last, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "swish"));
  MLOS_ASSIGN_OR_RETURN(const std::string pooling, config.String("pooling_type", "mean"));
  s.max_pool = pooling == "max";
  MLOS_RETURN_IF_ERROR(CheckStages(s));
  if (s.Filters(1280) != s.last) {
    return DataLoss("config.json: 'hidden_dim' is " + std::to_string(s.last) +
                    ", 'width_coefficient' gives " + std::to_string(s.Filters(1280)));
  }
  return s;
}

class EfficientNet {
 public:
  EfficientNet(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "efficientnet.", "embeddings.convolution.weight") {}
  const ModelNames& names() const { return names_; }

  FeatureMap Build() {
    const FeatureMap pixels = PixelInput(g_, s_.channels, {});
    g_.SetScope("embeddings");
    const std::string p = names_.Base("embeddings.");
    ConvOptions first = {s_.Filters(32), {3, 3}, {2, 2}};
    first.sides = Padding{0, 0, 1, 1};
    FeatureMap x = Unit(pixels, p + "convolution", p + "batchnorm", first, s_.activation);
    int64_t number = 0;
    for (size_t stage = 0; stage < s_.inputs.size(); ++stage) {
      for (int64_t i = 0; i < s_.Repeats(s_.repeats[stage]); ++i) x = Block(x, stage, i == 0, number++);
    }
    g_.SetScope("top");
    return Unit(x, names_.Base("encoder.top_conv"), names_.Base("encoder.top_bn"), {s_.last}, s_.activation);
  }

  // [batch, channels]
  Value Pool(const FeatureMap& x) {
    return Flat(g_, s_.max_pool ? g_.Op("GlobalMaxPool", {x.value}) : MeanPool(g_, x), x.channels);
  }

 private:
  FeatureMap Unit(const FeatureMap& x, const std::string& conv, const std::string& norm,
                  const ConvOptions& options, const std::string& activation) {
    return ConvUnit(g_, x, conv, norm, options, s_.epsilon, activation);
  }

  FeatureMap Block(const FeatureMap& x, size_t stage, bool is_first, int64_t number) {
    const std::string name = "encoder.blocks." + std::to_string(number);
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const int64_t expansion = s_.expansions[stage];
    FeatureMap y = x;
    if (expansion != 1) {
      y = Unit(y, p + "expansion.expand_conv", p + "expansion.expand_bn", {x.channels * expansion},
               s_.activation);
    }
    const int64_t stride = is_first ? s_.strides[stage] : 1;
    y = Unit(y, p + "depthwise_conv.depthwise_conv", p + "depthwise_conv.depthwise_norm",
             Depthwise(y.channels, s_.kernels[stage], stride, number), s_.activation);
    const auto narrow = static_cast<int64_t>(static_cast<double>(x.channels) * s_.squeeze);
    y = SqueezeExcite(g_, y, p + "squeeze_excite.reduce", p + "squeeze_excite.expand",
                      std::max<int64_t>(1, narrow), s_.activation);
    y = Unit(y, p + "projection.project_conv", p + "projection.project_bn", {s_.Filters(s_.outputs[stage])},
             "");
    if (!is_first) y.value = g_.Op("Add", {y.value, x.value});
    return y;
  }

  ConvOptions Depthwise(int64_t channels, int64_t kernel, int64_t stride, int64_t number) const {
    ConvOptions options = {channels, {kernel, kernel}, {stride, stride}, 0, channels};
    const int64_t before = (kernel - 1) / 2;
    const int64_t after = kernel - 1 - before;
    const int64_t half = kernel / 2;
    const bool centred = std::find(s_.centred.begin(), s_.centred.end(), number) != s_.centred.end();
    if (stride == 1) {
      options.sides = Padding{before, before, after, after};
    } else {
      options.sides = centred ? Padding{half, half, half, half} : Padding{half - 1, half - 1, half, half};
    }
    return options;
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("efficientnet", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  EfficientNet model(g, sizes);
  const FeatureMap features = model.Build();
  g.SetScope("pooler");
  const Value pooled = model.Pool(features);
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  const std::string classifier = model.names().Of("classifier");
  if (context.head == Head::kEncoder) {
    MapOutput(g, "last_hidden_state", features);
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, features.channels});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
  } else {
    LogitsOutput(g, Labels(g, pooled, classifier, features.channels), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"EfficientNetModel", Head::kEncoder},
    {"EfficientNetForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kEfficientNet = {"efficientnet", kClasses, Build};

}  // namespace mlos::convert
