// SPDX-License-Identifier: Apache-2.0
// RegNet (model_type "regnet"): residual stages of grouped bottlenecks (X), with squeeze and excitation (Y).
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;  // PyTorch's default, no config key

struct Sizes {
  int64_t channels = 3;
  int64_t embedding = 32;
  std::vector<int64_t> widths;
  std::vector<int64_t> depths;
  int64_t group_width = 64;
  bool excites = true;
  bool downsample_first_stage = true;
  std::string activation;
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("layer_type", {"x", "y"}));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.embedding, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {128, 192, 512, 1088}, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {2, 6, 12, 2}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.group_width, config.Int("groups_width", s.group_width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(const std::string type, config.String("layer_type", "y"));
  s.excites = type == "y";
  MLOS_ASSIGN_OR_RETURN(s.downsample_first_stage, config.Bool("downsample_in_first_stage", true));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "relu"));
  if (s.widths.size() != s.depths.size()) {
    return DataLoss("config.json: 'hidden_sizes' has " + std::to_string(s.widths.size()) +
                    " stages, 'depths' " + std::to_string(s.depths.size()));
  }
  return s;
}

class RegNet {
 public:
  RegNet(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "regnet.", "embedder.embedder.convolution.weight") {}
  const ModelNames& names() const { return names_; }

  FeatureMap Build() {
    const FeatureMap pixels = PixelInput(g_, s_.channels, {});
    g_.SetScope("embedder");
    FeatureMap x =
        Unit(pixels, names_.Base("embedder.embedder"), {s_.embedding, {3, 3}, {2, 2}, 1}, s_.activation);
    for (size_t stage = 0; stage < s_.widths.size(); ++stage) {
      const std::string name = "encoder.stages." + std::to_string(stage) + ".layers.";
      for (int64_t i = 0; i < s_.depths[stage]; ++i) {
        const bool halves = i == 0 && (stage > 0 || s_.downsample_first_stage);
        x = Block(x, name + std::to_string(i), s_.widths[stage], halves ? 2 : 1);
      }
    }
    return x;
  }

 private:
  FeatureMap Unit(const FeatureMap& x, const std::string& name, const ConvOptions& options,
                  const std::string& activation) {
    return ConvUnit(g_, x, name + ".convolution", name + ".normalization", options, kEpsilon, activation);
  }

  FeatureMap Block(const FeatureMap& x, const std::string& name, int64_t width, int64_t stride) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const ImageSize step = {stride, stride};
    FeatureMap shortcut = x;
    if (x.channels != width || stride != 1) shortcut = Unit(x, p + "shortcut", {width, {1, 1}, step}, "");
    const int64_t groups = std::max<int64_t>(1, width / s_.group_width);
    FeatureMap y = Unit(x, p + "layer.0", {width}, s_.activation);
    y = Unit(y, p + "layer.1", {width, {3, 3}, step, 1, groups}, s_.activation);
    if (s_.excites) {
      // Halves are rounded to even, as Python does.
      const auto narrow = static_cast<int64_t>(std::nearbyint(static_cast<double>(x.channels) / 4));
      y = SqueezeExcite(g_, y, p + "layer.2.attention.0", p + "layer.2.attention.2", narrow, "relu");
    }
    y = Unit(y, p + (s_.excites ? "layer.3" : "layer.2"), {width}, "");
    const Value sum = g_.Op("Add", {y.value, shortcut.value});
    return {Activation(g_, sum, s_.activation, "hidden_act"), width, y.size};
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("regnet", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  RegNet model(g, sizes);
  const FeatureMap features = model.Build();
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  PooledMapOutputs(g, features, model.names().Of("classifier.1"), context.head, &ignore);
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"RegNetModel", Head::kEncoder},
    {"RegNetForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kRegNet = {"regnet", kClasses, Build};

}  // namespace mlos::convert
