// SPDX-License-Identifier: Apache-2.0
// DINOv2 (model_type "dinov2"): ViT with layer scales, for pictures of any size: the learned positions are a square grid that is
// stretched over the picture's patches.
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/image_transformer.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct Sizes {
  int64_t width = 768;
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t inner = 0;
  int64_t channels = 3;
  ImageSize patch = {14, 14};
  double epsilon = 1e-6;
  std::string activation = "gelu";
  bool projection_bias = true;
  bool gated = false;  // SwiGLU instead of two layers with an activation
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("hidden_size", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("num_hidden_layers", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Int("num_attention_heads", s.heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.patch, ReadImageSize(config, "patch_size", s.patch));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", s.activation));
  MLOS_ASSIGN_OR_RETURN(s.projection_bias, config.Bool("qkv_bias", s.projection_bias));
  MLOS_ASSIGN_OR_RETURN(s.gated, config.Bool("use_swiglu_ffn", s.gated));
  MLOS_ASSIGN_OR_RETURN(const int64_t ratio, config.Int("mlp_ratio", 4, 1, 1000));
  s.inner = s.width * ratio;
  // Two thirds, rounded up to a multiple of 8.
  if (s.gated) s.inner = (s.inner * 2 / 3 + 7) / 8 * 8;
  if (s.width % s.heads != 0) {
    return DataLoss("config.json: 'hidden_size' " + std::to_string(s.width) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(s.heads));
  }
  return s;
}

class Dinov2 {
 public:
  Dinov2(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "dinov2.", "embeddings.cls_token") {}
  const ModelNames& names() const { return names_; }

  // [batch, 1 + patches, width]
  Value Build() {
    const Value embedded = Embeddings();
    layout_ = {g_.Op("Shape", {embedded}, {{"end", int64_t{2}}}), s_.width};
    Value x = ToRows(g_, embedded, s_.width);
    for (int64_t i = 0; i < s_.layers; ++i) x = Layer(x, "encoder.layer." + std::to_string(i));
    g_.SetScope("layernorm");
    x = LayerNorm(g_, x, names_.Base("layernorm"), s_.width, s_.epsilon);
    return FromRows(g_, layout_, x, s_.width);
  }

 private:
  Value Embeddings() {
    const FeatureMap pixels = PixelInput(g_, s_.channels, {});
    g_.SetScope("embeddings");
    const std::string p = names_.Base("embeddings.");
    const FeatureMap grid = Conv(g_, pixels, p + "patch_embeddings.projection",
                                 {s_.width, s_.patch, s_.patch, 0, 1, /*bias=*/true});
    const Value tokens =
        BehindToken(g_, g_.Weight(p + "cls_token", {1, 1, s_.width}), MapToTokens(g_, grid), s_.width);
    return g_.Op("Add", {tokens, Positions(p + "position_embeddings", grid)});
  }

  // Those of the token stay, those of the square grid are scaled to the picture's.
  Value Positions(const std::string& name, const FeatureMap& grid) {
    const Shape shape = g_.ShapeOf(name);
    if (shape.size() != 3) return g_.Weight(name, {1, -1, s_.width});
    const int64_t count = shape[1] - 1;
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(count))));
    if (count < 1 || side * side != count) {
      g_.Fail(
          Unimplemented("tensor '" + name + "' holds the positions of " + std::to_string(count) +
                        " patches, which are no square; supported: squares ('image_size' of config.json)"));
      return {};
    }
    const Value table = g_.Weight(name, {1, shape[1], s_.width});
    const Value square =
        g_.Op("Reshape", {SliceAxis(g_, table, 1, 1, kEnd), g_.Ints({1, side, side, s_.width})});
    const FeatureMap stretched = Cubic(
        {g_.Op("Transpose", {square}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}}), s_.width, {side, side}},
        grid);
    return g_.Op("Concat", {SliceAxis(g_, table, 1, 0, 1), MapToTokens(g_, stretched)},
                 {{"axis", int64_t{1}}});
  }

  FeatureMap Cubic(const FeatureMap& x, const FeatureMap& like) {
    const Value sizes =
        g_.Op("Concat", {g_.Ints({1, x.channels}), g_.Op("Shape", {like.value}, {{"start", int64_t{2}}})},
              {{"axis", int64_t{0}}});
    const Value scaled = g_.Op(
        "Resize", {x.value, Value{}, Value{}, sizes},
        {{"mode", "cubic"}, {"cubic_coeff_a", -0.75F}, {"coordinate_transformation_mode", "half_pixel"}});
    return {scaled, x.channels, like.size};
  }

  Value Layer(const Value& x, const std::string& name) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const std::string a = p + "attention.attention.";
    const bool bias = s_.projection_bias;
    const AttentionNames names = {a + "query", a + "key", a + "value", p + "attention.output.dense",
                                  bias,        bias,      bias};
    Value y =
        SelfAttention(g_, layout_, s_.heads, LayerNorm(g_, x, p + "norm1", s_.width, s_.epsilon), names, {});
    const Value attended =
        g_.Op("Add", {g_.Op("Mul", {y, g_.Weight(p + "layer_scale1.lambda1", {s_.width})}), x});
    const Value normed = LayerNorm(g_, attended, p + "norm2", s_.width, s_.epsilon);
    y = s_.gated ? Gated(normed, p + "mlp.")
                 : FeedForward(g_, normed, p + "mlp.fc1", p + "mlp.fc2", s_.width, s_.inner, s_.activation);
    return g_.Op("Add", {g_.Op("Mul", {y, g_.Weight(p + "layer_scale2.lambda1", {s_.width})}), attended});
  }

  Value Gated(const Value& x, const std::string& p) {
    const Value both = Dense(g_, x, p + "weights_in", s_.width, 2 * s_.inner);
    const Value gate = Activation(g_, SliceAxis(g_, both, 1, 0, s_.inner), "silu", "hidden_act");
    const Value inner = g_.Op("Mul", {gate, SliceAxis(g_, both, 1, s_.inner, kEnd)});
    return Dense(g_, inner, p + "weights_out", s_.inner, s_.width);
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
  Layout layout_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("dinov2", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  Dinov2 model(g, sizes);
  const Value tokens = model.Build();
  const std::string classifier = model.names().Of("classifier");
  std::vector<IgnoreRule> ignore = {
      {model.names().Base("embeddings.mask_token"), "", "only training hides patches"}};
  const Value first = TakeToken(g, tokens, 0);
  if (context.head == Head::kEncoder) {
    g.Output("last_hidden_state", tokens, DType::kFp32, {kBatchAxis, kSequenceAxis, sizes.width});
    g.Output("pooler_output", first, DType::kFp32, {kBatchAxis, sizes.width});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
  } else {
    g.SetScope("classifier");
    const Value mean = MeanOfTokens(g, SliceAxis(g, tokens, 1, 1, kEnd));
    const Value both = g.Op("Concat", {first, mean}, {{"axis", int64_t{1}}});
    LogitsOutput(g, Labels(g, both, classifier, 2 * sizes.width), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 2> kClasses = {{
    {"Dinov2Model", Head::kEncoder},
    {"Dinov2ForImageClassification", Head::kImageClassification},
}};

}  // namespace

const Architecture kDinov2 = {"dinov2", kClasses, Build};

}  // namespace mlos::convert
