// SPDX-License-Identifier: Apache-2.0
// PoolFormer (model_type "poolformer"): stages of blocks that mix neighbours by averaging.
#include <array>
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
  int64_t pool = 3;
  double ratio = 4;
  std::vector<int64_t> depths, widths, patches, strides, padding;
  bool layer_scale = true;
  std::string activation;
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.pool, config.Int("pool_size", s.pool, 1, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.ratio, config.Number("mlp_ratio", s.ratio, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {2, 2, 6, 2}, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {64, 128, 320, 512}, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.patches, config.Ints("patch_sizes", {7, 3, 3, 3}, 1, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.strides, config.Ints("strides", {4, 2, 2, 2}, 1, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.padding, config.Ints("padding", {2, 1, 1, 1}, 0, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.layer_scale, config.Bool("use_layer_scale", true));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(const int64_t stages, config.Int("num_encoder_blocks", 4, 1, 1000));
  for (const std::vector<int64_t>* list : {&s.depths, &s.widths, &s.patches, &s.strides, &s.padding}) {
    if (static_cast<int64_t>(list->size()) == stages) continue;
    return DataLoss(
        "config.json: 'num_encoder_blocks' is " + std::to_string(stages) +
        ", but 'depths', 'hidden_sizes', 'patch_sizes', 'strides' and 'padding' do not all have as many "
        "numbers");
  }
  if (s.pool % 2 == 0) {
    return Unimplemented("config.json: 'pool_size' is " + std::to_string(s.pool) +
                         "; supported: odd numbers");
  }
  return s;
}

class PoolFormer {
 public:
  PoolFormer(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "poolformer.", "encoder.patch_embeddings.0.projection.weight") {}
  const ModelNames& names() const { return names_; }

  FeatureMap Build() {
    FeatureMap x = PixelInput(g_, s_.channels, {});
    for (size_t stage = 0; stage < s_.widths.size(); ++stage) {
      const std::string name = "encoder.patch_embeddings." + std::to_string(stage);
      g_.SetScope(name);
      const int64_t patch = s_.patches[stage];
      const int64_t stride = s_.strides[stage];
      x = Conv(g_, x, names_.Base(name + ".projection"),
               {s_.widths[stage], {patch, patch}, {stride, stride}, s_.padding[stage], 1, /*bias=*/true});
      for (int64_t i = 0; i < s_.depths[stage]; ++i)
        x = Block(x, "encoder.block." + std::to_string(stage) + "." + std::to_string(i));
    }
    return x;
  }

 private:
  FeatureMap Block(const FeatureMap& x, const std::string& name) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const FeatureMap normed = GroupNorm(g_, x, p + "before_norm", 1, kEpsilon);
    const FeatureMap mean = AveragePool(g_, normed, s_.pool, 1, s_.pool / 2);
    const FeatureMap mixed = Plus(x, g_.Op("Sub", {mean.value, normed.value}), p + "layer_scale_1");
    ConvOptions options;
    options.channels = static_cast<int64_t>(static_cast<double>(x.channels) * s_.ratio);
    options.bias = true;
    FeatureMap y = Conv(g_, GroupNorm(g_, mixed, p + "after_norm", 1, kEpsilon), p + "output.conv1", options);
    y.value = Activation(g_, y.value, s_.activation, "hidden_act");
    options.channels = x.channels;
    return Plus(mixed, Conv(g_, y, p + "output.conv2", options).value, p + "layer_scale_2");
  }

  FeatureMap Plus(const FeatureMap& x, const Value& change, const std::string& scale) {
    const Value scaled = s_.layer_scale ? g_.Op("Mul", {change, PerChannel(g_, scale, x.channels)}) : change;
    return {g_.Op("Add", {x.value, scaled}), x.channels, x.size};
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("poolformer", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  PoolFormer model(g, sizes);
  const FeatureMap features = model.Build();
  std::vector<IgnoreRule> ignore;
  const std::string classifier = model.names().Of("classifier");
  const std::string norm = model.names().Of("norm");
  if (context.head == Head::kEncoder) {
    MapOutput(g, "last_hidden_state", features);
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
    ignore.push_back({norm + ".", "", "norm of the classifier, not part of the task"});
  } else {
    g.SetScope("classifier");
    const Value mean = Flat(g, MeanPool(g, GroupNorm(g, features, norm, 1, kEpsilon)), features.channels);
    LogitsOutput(g, Labels(g, mean, classifier, features.channels), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"PoolFormerModel", Head::kEncoder},
    {"PoolFormerForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kPoolFormer = {"poolformer", kClasses, Build};

}  // namespace mlos::convert
