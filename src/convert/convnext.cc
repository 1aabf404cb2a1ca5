// SPDX-License-Identifier: Apache-2.0
// ConvNeXt (model_type "convnext"): stages of depthwise convolutions and pointwise layers, norms over the channels.
#include <array>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kInnerEpsilon = 1e-6;  // of all norms but the last, whatever config.json says
constexpr int64_t kKernel = 7;
constexpr int64_t kExpansion = 4;

struct Sizes {
  int64_t channels = 3;
  ImageSize picture;  // 0 x 0 = any
  ImageSize patch;
  std::vector<int64_t> widths;
  std::vector<int64_t> depths;
  bool layer_scale = true;
  double epsilon = 1e-12;
  std::string activation;
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  if (config.Has("image_size")) {
    MLOS_ASSIGN_OR_RETURN(s.picture, ReadImageSize(config, "image_size", {}));
  }
  MLOS_ASSIGN_OR_RETURN(s.patch, ReadImageSize(config, "patch_size", {4, 4}));
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {96, 192, 384, 768}, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {3, 3, 9, 3}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(const double scale, config.Number("layer_scale_init_value", 1e-6, 0, 1e6));
  s.layer_scale = scale > 0;
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(const int64_t stages, config.Int("num_stages", 4, 1, 1000));
  if (static_cast<int64_t>(s.widths.size()) != stages || s.depths.size() != s.widths.size()) {
    return DataLoss("config.json: 'num_stages' is " + std::to_string(stages) + ", 'hidden_sizes' has " +
                    std::to_string(s.widths.size()) + ", 'depths' " + std::to_string(s.depths.size()));
  }
  return s;
}

class ConvNext {
 public:
  ConvNext(GraphBuilder& g, const Sizes& sizes) : g_(g), s_(sizes), names_(g, "convnext.", kProbe) {}
  const ModelNames& names() const { return names_; }

  FeatureMap Build() {
    const FeatureMap pixels = PixelInput(g_, s_.channels, s_.picture);
    g_.SetScope("embeddings");
    const std::string embeddings = names_.Base("embeddings.");
    FeatureMap x = Conv(g_, pixels, embeddings + "patch_embeddings",
                        {s_.widths[0], s_.patch, s_.patch, 0, 1, /*bias=*/true});
    x = ChannelNorm(x, embeddings + "layernorm");
    for (size_t stage = 0; stage < s_.widths.size(); ++stage) {
      const std::string name = "encoder.stages." + std::to_string(stage) + ".";
      if (stage > 0) {
        g_.SetScope(name + "downsampling_layer");
        const std::string p = names_.Base(name + "downsampling_layer.");
        x = Conv(g_, ChannelNorm(x, p + "0"), p + "1",
                 {s_.widths[stage], {2, 2}, {2, 2}, 0, 1, /*bias=*/true});
      }
      for (int64_t i = 0; i < s_.depths[stage]; ++i) x = Block(x, name + "layers." + std::to_string(i));
    }
    return x;
  }

 private:
  static constexpr char kProbe[] = "embeddings.patch_embeddings.weight";

  Value ChannelsLast(const Value& x) {
    return g_.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  }
  Value ChannelsFirst(const Value& x) {
    return g_.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
  }
  FeatureMap ChannelNorm(const FeatureMap& x, const std::string& name) {
    const Value normed = LayerNorm(g_, ChannelsLast(x.value), name, x.channels, kInnerEpsilon);
    return {ChannelsFirst(normed), x.channels, x.size};
  }

  FeatureMap Block(const FeatureMap& x, const std::string& name) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const int64_t width = x.channels;
    const FeatureMap wide =
        Conv(g_, x, p + "dwconv", {width, {kKernel, kKernel}, {1, 1}, kKernel / 2, width, /*bias=*/true});
    const Value last = ChannelsLast(wide.value);
    Value y = ToRows(g_, LayerNorm(g_, last, p + "layernorm", width, kInnerEpsilon), width);
    y = Activation(g_, Dense(g_, y, p + "pwconv1", width, kExpansion * width), s_.activation, "hidden_act");
    y = Dense(g_, y, p + "pwconv2", kExpansion * width, width);
    if (s_.layer_scale) y = g_.Op("Mul", {y, g_.Weight(p + "layer_scale_parameter", {width})});
    const Value back = g_.Op("Reshape", {y, g_.Op("Shape", {last})});
    return {g_.Op("Add", {x.value, ChannelsFirst(back)}), width, x.size};
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("convnext", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  ConvNext model(g, sizes);
  const FeatureMap features = model.Build();
  const int64_t width = features.channels;
  g.SetScope("layernorm");
  const Value mean = Flat(g, MeanPool(g, features), width);
  const Value pooled = LayerNorm(g, mean, model.names().Base("layernorm"), width, sizes.epsilon);
  std::vector<IgnoreRule> ignore;
  const std::string classifier = model.names().Of("classifier");
  if (context.head == Head::kEncoder) {
    MapOutput(g, "last_hidden_state", features);
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, width});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
  } else {
    LogitsOutput(g, Labels(g, pooled, classifier, width), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"ConvNextModel", Head::kEncoder},
    {"ConvNextForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kConvNext = {"convnext", kClasses, Build};

}  // namespace mlos::convert
