// SPDX-License-Identifier: Apache-2.0
// ResNet (model_type "resnet"): residual stages of basic or bottleneck blocks.
#include "convert/resnet.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;  // PyTorch's default, no config key
constexpr int64_t kReduction = 4;  // of channels inside a bottleneck
constexpr char kProbe[] = "embedder.embedder.convolution.weight";

}  // namespace

Result<ResNetSizes> ReadResNetSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("layer_type", {"basic", "bottleneck"}));
  ResNetSizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.embedding, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {256, 512, 1024, 2048}, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {3, 4, 6, 3}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(const std::string type, config.String("layer_type", "bottleneck"));
  s.bottleneck = type == "bottleneck";
  MLOS_ASSIGN_OR_RETURN(s.downsample_first_stage, config.Bool("downsample_in_first_stage", false));
  MLOS_ASSIGN_OR_RETURN(s.downsample_first_conv, config.Bool("downsample_in_bottleneck", false));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "relu"));
  if (s.widths.size() != s.depths.size()) {
    return DataLoss("config.json: 'hidden_sizes' has " + std::to_string(s.widths.size()) +
                    " stages, 'depths' " + std::to_string(s.depths.size()));
  }
  return s;
}

namespace {

class ResNet {
 public:
  ResNet(GraphBuilder& g, const ResNetSizes& sizes, std::string prefix)
      : g_(g), s_(sizes), prefix_(std::move(prefix)) {}

  std::vector<FeatureMap> Build(const FeatureMap& pixels) {
    g_.SetScope(prefix_ + "embedder");
    FeatureMap x =
        Unit(pixels, prefix_ + "embedder.embedder", {s_.embedding, {7, 7}, {2, 2}, 3}, s_.activation);
    x = MaxPool(g_, x, 3, 2, 1);
    std::vector<FeatureMap> stages = {x};
    for (size_t stage = 0; stage < s_.widths.size(); ++stage) {
      const std::string name = "encoder.stages." + std::to_string(stage) + ".layers.";
      for (int64_t i = 0; i < s_.depths[stage]; ++i) {
        const bool halves = i == 0 && (stage > 0 || s_.downsample_first_stage);
        x = Block(x, name + std::to_string(i), s_.widths[stage], halves ? 2 : 1);
      }
      stages.push_back(x);
    }
    return stages;
  }

 private:
  // Convolution, norm and, when named, an activation.
  FeatureMap Unit(const FeatureMap& x, const std::string& name, const ConvOptions& options,
                  const std::string& activation) {
    const FeatureMap raw = Conv(g_, x, name + ".convolution", options);
    FeatureMap y = BatchNorm(g_, raw, name + ".normalization", kEpsilon);
    if (!activation.empty()) y.value = Activation(g_, y.value, activation, "hidden_act");
    return y;
  }

  FeatureMap Block(const FeatureMap& x, const std::string& name, int64_t width, int64_t stride) {
    g_.SetScope(prefix_ + name);
    const std::string p = prefix_ + name + ".";
    const ImageSize step = {stride, stride};
    FeatureMap shortcut = x;
    if (x.channels != width || stride != 1) shortcut = Unit(x, p + "shortcut", {width, {1, 1}, step}, "");
    FeatureMap y;
    // Inside a block it is ReLU, whatever 'hidden_act' says.
    if (s_.bottleneck) {
      const int64_t narrow = width / kReduction;
      const ImageSize first = s_.downsample_first_conv ? step : ImageSize{1, 1};
      const ImageSize second = s_.downsample_first_conv ? ImageSize{1, 1} : step;
      y = Unit(x, p + "layer.0", {narrow, {1, 1}, first}, "relu");
      y = Unit(y, p + "layer.1", {narrow, {3, 3}, second, 1}, "relu");
      y = Unit(y, p + "layer.2", {width, {1, 1}}, "");
    } else {
      y = Unit(x, p + "layer.0", {width, {3, 3}, step, 1}, "relu");
      y = Unit(y, p + "layer.1", {width, {3, 3}, {1, 1}, 1}, "");
    }
    const Value sum = g_.Op("Add", {y.value, shortcut.value});
    return {Activation(g_, sum, s_.activation, "hidden_act"), y.channels, y.size};
  }

  GraphBuilder& g_;
  const ResNetSizes& s_;
  const std::string prefix_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("resnet", context));
  MLOS_ASSIGN_OR_RETURN(const ResNetSizes sizes, ReadResNetSizes(context.config));
  const ModelNames names(g, "resnet.", kProbe);
  const FeatureMap pixels = PixelInput(g, sizes.channels, {});
  const FeatureMap features = ResNetStages(g, sizes, names.Base(""), pixels).back();
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  PooledMapOutputs(g, features, names.Of("classifier.1"), context.head, &ignore);
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"ResNetModel", Head::kEncoder},
    {"ResNetForImageClassification", Head::kImageClassification},
}};

}  // namespace

std::vector<FeatureMap> ResNetStages(GraphBuilder& g, const ResNetSizes& sizes, const std::string& prefix,
                                     const FeatureMap& pixels) {
  return ResNet(g, sizes, prefix).Build(pixels);
}

const Architecture kResNet = {"resnet", kClasses, Build};

}  // namespace mlos::convert
