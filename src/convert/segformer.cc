// SPDX-License-Identifier: Apache-2.0
// SegFormer (model_type "segformer"): four stages of attention over a map, whose keys come from a smaller map; labels of the
// picture or of its places.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/attention_heads.h"
#include "convert/conv_net.h"
#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;  // of all norms, whatever config.json says

struct Sizes {
  int64_t channels = 3;
  std::vector<int64_t> depths, reductions, widths, patches, strides, heads;
  std::vector<int64_t> ratios;
  int64_t decoder = 256;
  std::string activation;
};

Status CheckStages(const Sizes& s, int64_t stages) {
  for (const auto& [key, list] : {std::pair<const char*, const std::vector<int64_t>&>{"depths", s.depths},
                                  {"sr_ratios", s.reductions},
                                  {"hidden_sizes", s.widths},
                                  {"patch_sizes", s.patches},
                                  {"strides", s.strides},
                                  {"num_attention_heads", s.heads},
                                  {"mlp_ratios", s.ratios}}) {
    if (static_cast<int64_t>(list.size()) == stages) continue;
    return DataLoss("config.json: 'num_encoder_blocks' is " + std::to_string(stages) + ", '" + key +
                    "' has " + std::to_string(list.size()) + " numbers");
  }
  for (size_t stage = 0; stage < s.widths.size(); ++stage) {
    if (s.widths[stage] % s.heads[stage] == 0) continue;
    return DataLoss("config.json: 'hidden_sizes' " + std::to_string(s.widths[stage]) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(s.heads[stage]));
  }
  return OkStatus();
}

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_RETURN_IF_ERROR(config.RequireBool("reshape_last_stage", true));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {2, 2, 2, 2}, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.reductions, config.Ints("sr_ratios", {8, 4, 2, 1}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {32, 64, 160, 256}, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.patches, config.Ints("patch_sizes", {7, 3, 3, 3}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.strides, config.Ints("strides", {4, 2, 2, 2}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Ints("num_attention_heads", {1, 2, 5, 8}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.ratios, config.Ints("mlp_ratios", {4, 4, 4, 4}, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.decoder, config.Int("decoder_hidden_size", s.decoder, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(const int64_t stages, config.Int("num_encoder_blocks", 4, 1, 1000));
  MLOS_RETURN_IF_ERROR(CheckStages(s, stages));
  return s;
}

class Segformer {
 public:
  Segformer(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "segformer.", "encoder.patch_embeddings.0.proj.weight") {}
  const ModelNames& names() const { return names_; }

  // What every stage gives, the largest map first.
  std::vector<FeatureMap> Build() {
    std::vector<FeatureMap> maps;
    FeatureMap x = PixelInput(g_, s_.channels, {});
    for (size_t stage = 0; stage < s_.widths.size(); ++stage) {
      x = Stage(x, stage);
      maps.push_back(x);
    }
    return maps;
  }

  // Scores of the labels for every place of the first stage's map.
  FeatureMap Decode(const std::vector<FeatureMap>& maps, int64_t labels) {
    g_.SetScope("decode_head");
    const std::string p = names_.Of("decode_head.");
    std::vector<Value> scaled;
    for (size_t i = 0; i < maps.size(); ++i) {
      const Value rows = ToRows(g_, MapToTokens(g_, maps[i]), maps[i].channels);
      const Value even =
          Dense(g_, rows, p + "linear_c." + std::to_string(i) + ".proj", maps[i].channels, s_.decoder);
      const FeatureMap map = TokensToMap(g_, even, s_.decoder, maps[i]);
      scaled.insert(scaled.begin(), i == 0 ? map.value : Upsample(g_, map, maps[0]).value);
    }
    const auto stages = static_cast<int64_t>(maps.size());
    const FeatureMap all = {g_.Op("Concat", scaled, {{"axis", int64_t{1}}}), stages * s_.decoder, {}};
    const FeatureMap fused =
        ConvUnit(g_, all, p + "linear_fuse", p + "batch_norm", {s_.decoder}, kEpsilon, "relu");
    ConvOptions classifier = {labels};
    classifier.bias = true;
    return Conv(g_, fused, p + "classifier", classifier);
  }

 private:
  FeatureMap Stage(const FeatureMap& x, size_t stage) {
    const std::string number = std::to_string(stage);
    g_.SetScope("encoder.patch_embeddings." + number);
    const std::string p = names_.Base("encoder.patch_embeddings." + number + ".");
    const int64_t width = s_.widths[stage];
    const int64_t patch = s_.patches[stage];
    const FeatureMap map =
        Conv(g_, x, p + "proj",
             {width, {patch, patch}, {s_.strides[stage], s_.strides[stage]}, patch / 2, 1, /*bias=*/true});
    Value rows = ToRows(g_, LayerNorm(g_, MapToTokens(g_, map), p + "layer_norm", width, kEpsilon), width);
    for (int64_t i = 0; i < s_.depths[stage]; ++i)
      rows = Layer(rows, "encoder.block." + number + "." + std::to_string(i), map, stage);
    g_.SetScope("encoder.layer_norm." + number);
    rows = LayerNorm(g_, rows, names_.Base("encoder.layer_norm." + number), width, kEpsilon);
    return TokensToMap(g_, rows, width, map);
  }

  Value Layer(const Value& x, const std::string& name, const FeatureMap& like, size_t stage) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const int64_t width = s_.widths[stage];
    const int64_t inner = width * s_.ratios[stage];
    const Value normed = LayerNorm(g_, x, p + "layer_norm_1", width, kEpsilon);
    const Value attended = g_.Op("Add", {Attend(normed, p + "attention.", like, stage), x});
    const Value second = LayerNorm(g_, attended, p + "layer_norm_2", width, kEpsilon);
    const Value wide = Dense(g_, second, p + "mlp.dense1", width, inner);
    const FeatureMap mixed = Conv(g_, TokensToMap(g_, wide, inner, like), p + "mlp.dwconv.dwconv",
                                  {inner, {3, 3}, {1, 1}, 1, inner, /*bias=*/true});
    const Value active = Activation(g_, mixed.value, s_.activation, "hidden_act");
    const Value rows = ToRows(g_, MapToTokens(g_, {active, inner, {}}), inner);
    return g_.Op("Add", {Dense(g_, rows, p + "mlp.dense2", inner, width), attended});
  }

  Value Attend(const Value& x, const std::string& p, const FeatureMap& like, size_t stage) {
    const int64_t width = s_.widths[stage];
    const HeadShape heads = {s_.heads[stage], width / s_.heads[stage]};
    const Value batch = g_.Op("Shape", {like.value}, {{"end", int64_t{1}}});
    Value seen = x;
    if (const int64_t by = s_.reductions[stage]; by > 1) {
      const FeatureMap small = Conv(g_, TokensToMap(g_, x, width, like), p + "self.sr",
                                    {width, {by, by}, {by, by}, 0, 1, /*bias=*/true});
      seen = ToRows(g_, LayerNorm(g_, MapToTokens(g_, small), p + "self.layer_norm", width, kEpsilon), width);
    }
    const auto project = [&](const Value& rows, const char* part) {
      return SplitHeads(g_, Dense(g_, rows, p + "self." + part, width, width), batch, heads);
    };
    const Value query = project(x, "query");
    const KeyValue kv = {project(seen, "key"), project(seen, "value")};
    const double scale = 1.0 / std::sqrt(static_cast<double>(heads.width));
    return Dense(g_, AttendHeads(g_, query, kv, {}, heads, scale), p + "output.dense", width, width);
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireHead(
      "segformer", context, {Head::kEncoder, Head::kImageClassification, Head::kSemanticSegmentation}));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  Segformer model(g, sizes);
  const std::vector<FeatureMap> maps = model.Build();
  const FeatureMap& last = maps.back();
  const std::string classifier = model.names().Of("classifier");
  const std::string decoder = model.names().Of("decode_head.");
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"}};
  switch (context.head) {
    case Head::kSemanticSegmentation: {
      const Shape shape = g.ShapeOf(decoder + "classifier.weight");
      MapOutput(g, "logits", model.Decode(maps, shape.empty() ? -1 : shape[0]));
      return BuildResult{{}, std::move(ignore), 0};
    }
    case Head::kImageClassification:
      LogitsOutput(g, Labels(g, Flat(g, MeanPool(g, last), last.channels), classifier, last.channels),
                   classifier);
      return BuildResult{{}, std::move(ignore), 0};
    default:
      MapOutput(g, "last_hidden_state", last);
      ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
      ignore.push_back({decoder, "", "head, not part of the task"});
      return BuildResult{{}, std::move(ignore), 0};
  }
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"SegformerModel", Head::kEncoder},
    {"SegformerForImageClassification", Head::kImageClassification},
    {"SegformerForSemanticSegmentation", Head::kSemanticSegmentation},
}};

}  // namespace

const Architecture kSegformer = {"segformer", kClasses, Build};

}  // namespace mlos::convert
