// SPDX-License-Identifier: Apache-2.0
// BEiT (model_type "beit"): transformer over patches whose attention knows how far apart two patches are.
#include <array>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/conv_net.h"
#include "convert/image_transformer.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct Sizes {
  ImageTransformerSizes vit;
  int64_t vocabulary = 8192;
  bool absolute_positions = false;
  bool relative_bias = false;         // of every layer its own
  bool shared_relative_bias = false;  // one for all layers
  bool layer_scale = true;
  bool mean_pooling = true;
};

Result<Sizes> ReadSizes(const Config& config) {
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.vit, ReadImageTransformerSizes(config));
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.absolute_positions, config.Bool("use_absolute_position_embeddings", false));
  MLOS_ASSIGN_OR_RETURN(s.relative_bias, config.Bool("use_relative_position_bias", false));
  MLOS_ASSIGN_OR_RETURN(s.shared_relative_bias, config.Bool("use_shared_relative_position_bias", false));
  MLOS_ASSIGN_OR_RETURN(const double scale, config.Number("layer_scale_init_value", 0.1, -1e6, 1e6));
  MLOS_ASSIGN_OR_RETURN(s.mean_pooling, config.Bool("use_mean_pooling", true));
  s.layer_scale = scale > 0;
  const ImageSize image = s.vit.image;
  const ImageSize patch = s.vit.patch;
  if ((s.relative_bias || s.shared_relative_bias) &&
      image.height / patch.height != image.width / patch.width) {
    return Unimplemented("config.json: 'image_size' and 'patch_size' give a grid of " +
                         std::to_string(image.height / patch.height) + " x " +
                         std::to_string(image.width / patch.width) +
                         " patches; supported with relative positions: as many rows as columns");
  }
  return s;
}

class Beit {
 public:
  Beit(GraphBuilder& g, const Sizes& sizes) : g_(g), s_(sizes), names_(g, "beit.", "embeddings.cls_token") {}
  const ModelNames& names() const { return names_; }

  // Rows [batch * (1 + patches), width]; with `hidden_patches` there is an input that says which patches a token replaces.
  Value Build(bool hidden_patches) {
    const ImageTransformerSizes& v = s_.vit;
    const Value embedded = Embeddings(hidden_patches);
    layout_ = {g_.Op("Shape", {embedded}, {{"end", int64_t{2}}}), v.width};
    Value shared;
    if (s_.shared_relative_bias) shared = Bias(names_.Base("encoder.relative_position_bias"));
    Value x = ToRows(g_, embedded, v.width);
    for (int64_t i = 0; i < v.layers; ++i) x = Layer(x, "encoder.layer." + std::to_string(i), shared);
    if (s_.mean_pooling) return x;
    g_.SetScope("layernorm");
    return LayerNorm(g_, x, names_.Base("layernorm"), v.width, v.epsilon);
  }
  Value Tokens(const Value& rows) { return FromRows(g_, layout_, rows, s_.vit.width); }

  // [batch, width]
  Value Pool(const Value& tokens) {
    g_.SetScope("pooler");
    if (!s_.mean_pooling) return TakeToken(g_, tokens, 0);
    const Value mean = MeanOfTokens(g_, SliceAxis(g_, tokens, 1, 1, kEnd));
    return LayerNorm(g_, mean, names_.Base("pooler.layernorm"), s_.vit.width, s_.vit.epsilon);
  }

 private:
  Value Embeddings(bool hidden_patches) {
    const ImageTransformerSizes& v = s_.vit;
    const FeatureMap pixels = PixelInput(g_, v.channels, v.image);
    g_.SetScope("embeddings");
    const std::string p = names_.Base("embeddings.");
    const FeatureMap grid =
        Conv(g_, pixels, p + "patch_embeddings.projection", {v.width, v.patch, v.patch, 0, 1, /*bias=*/true});
    Value patches = MapToTokens(g_, grid);
    if (hidden_patches) patches = HidePatches(g_, patches, p + "mask_token", v.Patches(), v.width);
    const Value tokens = BehindToken(g_, g_.Weight(p + "cls_token", {1, 1, v.width}), patches, v.width);
    if (!s_.absolute_positions) return tokens;
    return g_.Op("Add", {tokens, g_.Weight(p + "position_embeddings", {1, v.Patches() + 1, v.width})});
  }

  // The table's last three rows are for the class token: to patches, from patches, to itself.
  Value Bias(const std::string& name) {
    const ImageSize grid = {s_.vit.image.height / s_.vit.patch.height,
                            s_.vit.image.width / s_.vit.patch.width};
    const int64_t distances = (2 * grid.height - 1) * (2 * grid.width - 1);
    if (places_.name.empty()) {
      const int64_t patches = grid.height * grid.width;
      const auto all = [&](int64_t value, std::vector<int64_t> shape) {
        return g_.Op("Expand", {g_.Int(value), g_.Ints(shape)});
      };
      const std::vector<Attribute> columns = {{"axis", int64_t{1}}};
      const Value below =
          g_.Op("Concat", {all(distances + 1, {patches, 1}), RelativePlaces(g_, grid)}, columns);
      const Value first =
          g_.Op("Concat", {all(distances + 2, {1, 1}), all(distances, {1, patches})}, columns);
      places_ = g_.Op("Concat", {first, below}, {{"axis", int64_t{0}}});
    }
    const Value table = g_.Weight(name + ".relative_position_bias_table", {distances + 3, s_.vit.heads});
    return g_.Op("Transpose", {g_.Op("Gather", {table, places_})}, {{"perm", std::vector<int64_t>{2, 0, 1}}});
  }

  Value Layer(const Value& x, const std::string& name, const Value& shared) {
    g_.SetScope(name);
    const ImageTransformerSizes& v = s_.vit;
    const std::string p = names_.Base(name) + ".";
    const std::string a = p + "attention.attention.";
    AttentionNames names = {a + "query", a + "key", a + "value", p + "attention.output.dense"};
    names.key_bias = false;
    Value bias = shared;
    if (s_.relative_bias) {
      const Value own = Bias(a + "relative_position_bias");
      bias = shared.name.empty() ? own : g_.Op("Add", {own, shared});
    }
    const Value normed = LayerNorm(g_, x, p + "layernorm_before", v.width, v.epsilon);
    const Value attended =
        g_.Op("Add", {Scaled(SelfAttention(g_, layout_, v.heads, normed, names, bias), p + "lambda_1"), x});
    const Value inner =
        FeedForward(g_, LayerNorm(g_, attended, p + "layernorm_after", v.width, v.epsilon),
                    p + "intermediate.dense", p + "output.dense", v.width, v.intermediate, v.activation);
    return g_.Op("Add", {Scaled(inner, p + "lambda_2"), attended});
  }

  Value Scaled(const Value& x, const std::string& name) {
    return s_.layer_scale ? g_.Op("Mul", {x, g_.Weight(name, {s_.vit.width})}) : x;
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
  Layout layout_;
  Value places_;  // [1 + patches, 1 + patches], rows of a bias table
};

// Which visual token every patch is: [batch, patches, vocabulary].
void VisualTokens(GraphBuilder& g, Beit& model, const Value& rows, const Sizes& sizes) {
  g.SetScope("lm_head");
  const int64_t width = sizes.vit.width;
  const Value normed = LayerNorm(g, rows, model.names().Of("layernorm"), width, sizes.vit.epsilon);
  const Value patches = SliceAxis(g, model.Tokens(normed), 1, 1, kEnd);
  const Value scores =
      Dense(g, ToRows(g, patches, width), model.names().Of("lm_head"), width, sizes.vocabulary);
  const Value logits = g.Op("Reshape", {scores, g.Ints({-1, sizes.vit.Patches(), sizes.vocabulary})});
  g.Output("logits", logits, DType::kFp32, {kBatchAxis, sizes.vit.Patches(), sizes.vocabulary});
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(
      RequireHead("beit", context, {Head::kEncoder, Head::kImageClassification, Head::kMaskedImage}));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  Beit model(g, sizes);
  const ModelNames& names = model.names();
  const int64_t width = sizes.vit.width;
  const bool hides = context.head == Head::kMaskedImage;
  const Value rows = model.Build(hides);
  std::vector<IgnoreRule> ignore = {{"", "relative_position_index", "counted in the graph"},
                                    {names.Base("embeddings.mask_token"), "", "only training hides patches"}};
  if (hides) {
    VisualTokens(g, model, rows, sizes);
    ignore.push_back({names.Base("pooler."), "", "not part of the task"});
    return BuildResult{{}, std::move(ignore), 0};
  }
  const Value tokens = model.Tokens(rows);
  const bool pools = !sizes.mean_pooling || g.Has(names.Base("pooler.layernorm.weight"));
  if (context.head == Head::kImageClassification) {
    const std::string classifier = names.Of("classifier");
    const Value pooled = model.Pool(tokens);
    g.SetScope("classifier");
    LogitsOutput(g, Labels(g, pooled, classifier, width), classifier);
  } else {
    g.Output("last_hidden_state", tokens, DType::kFp32, {kBatchAxis, sizes.vit.Patches() + 1, width});
    if (pools) g.Output("pooler_output", model.Pool(tokens), DType::kFp32, {kBatchAxis, width});
    ignore.push_back({names.Of("classifier."), "", "classifier, not part of the task"});
    ignore.push_back({names.Of("lm_head."), "", "head, not part of the task"});
    if (names.Of("layernorm") != names.Base("layernorm"))
      ignore.push_back({names.Of("layernorm."), "", "norm of a head that is not part of the task"});
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"BeitModel", Head::kEncoder},
    {"BeitForImageClassification", Head::kImageClassification},
    {"BeitForMaskedImageModeling", Head::kMaskedImage},
}};

}  // namespace

const Architecture kBeit = {"beit", kClasses, Build};

}  // namespace mlos::convert
