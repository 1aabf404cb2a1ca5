// SPDX-License-Identifier: Apache-2.0
// LeViT (model_type "levit"): convolutions, then three stages of attention with batch norms and learned biases per distance; the
// queries between stages are every second place.
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

constexpr double kEpsilon = 1e-5;  // PyTorch's default, no config key
// Of the attention between stages, whatever config.json says.
constexpr int64_t kBetweenRatio = 4;
constexpr int64_t kBetweenMlp = 2;
constexpr int64_t kBetweenStride = 2;
constexpr size_t kStages = 3;

struct Sizes {
  int64_t channels = 3;
  int64_t picture = 224;
  int64_t kernel = 3, stride = 2, padding = 1;
  int64_t side = 14;  // places of a row after the convolutions
  std::vector<int64_t> widths, heads, depths, keys, mlp, ratios;
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.picture, config.Int("image_size", s.picture, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.kernel, config.Int("kernel_size", s.kernel, 1, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.stride, config.Int("stride", s.stride, 1, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(s.padding, config.Int("padding", s.padding, 0, 1 << 10));
  MLOS_ASSIGN_OR_RETURN(const int64_t patch, config.Int("patch_size", 16, 1, 1 << 16));
  s.side = s.picture / patch;
  MLOS_ASSIGN_OR_RETURN(s.widths, config.Ints("hidden_sizes", {128, 256, 384}, 8, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Ints("num_attention_heads", {4, 8, 12}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {4, 4, 4}, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.keys, config.Ints("key_dim", {16, 16, 16}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.mlp, config.Ints("mlp_ratio", {2, 2, 2}, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.ratios, config.Ints("attention_ratio", {2, 2, 2}, 1, 1000));
  for (const std::vector<int64_t>* list : {&s.widths, &s.heads, &s.depths, &s.keys, &s.mlp, &s.ratios}) {
    if (list->size() == kStages) continue;
    return Unimplemented(
        "config.json: 'hidden_sizes', 'num_attention_heads', 'depths', 'key_dim', 'mlp_ratio' and "
        "'attention_ratio' "
        "need three numbers each; one has " +
        std::to_string(list->size()));
  }
  if (s.side < 1) return DataLoss("config.json: 'patch_size' is larger than 'image_size'");
  return s;
}

// One attention's numbers.
struct Look {
  HeadShape keys;  // of queries and keys
  HeadShape values;
  int64_t width = 0;   // of what comes in
  int64_t wanted = 0;  // of what comes out
  int64_t side = 0;    // places of a row that are looked at
  int64_t stride = 1;  // every how many-th of them looks
  int64_t Looking() const { return (side - 1) / stride + 1; }
};

class Levit {
 public:
  Levit(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "levit.", "patch_embeddings.embedding_layer_1.convolution.weight") {}
  const ModelNames& names() const { return names_; }
  int64_t places() const { return side_ * side_; }

  // [batch, places, width of the last stage]
  Value Build() {
    Value x = Embeddings();
    for (size_t stage = 0; stage < kStages; ++stage) x = Stage(x, stage);
    return g_.Op("Reshape", {x, g_.Ints({-1, places(), s_.widths.back()})});
  }

 private:
  // All x are rows [batch * side * side, width].
  Value Embeddings() {
    FeatureMap x = PixelInput(g_, s_.channels, {s_.picture, s_.picture});
    g_.SetScope("patch_embeddings");
    for (int64_t i = 1; i <= 4; ++i) {
      const std::string p = names_.Base("patch_embeddings.embedding_layer_" + std::to_string(i) + ".");
      ConvOptions options = {
          s_.widths[0] >> (4 - i), {s_.kernel, s_.kernel}, {s_.stride, s_.stride}, s_.padding};
      x = BatchNorm(g_, Conv(g_, x, p + "convolution", options), p + "batch_norm", kEpsilon);
      if (i < 4) x.value = g_.Op("HardSwish", {x.value});
    }
    side_ = s_.side;
    if (x.size.height != side_ || x.size.width != side_) {
      g_.Fail(Unimplemented("config.json: the convolutions make " + std::to_string(x.size.height) + " x " +
                            std::to_string(x.size.width) + " places of 'image_size' " +
                            std::to_string(s_.picture) + ", 'patch_size' says " + std::to_string(side_) +
                            " x " + std::to_string(side_)));
    }
    return ToRows(g_, MapToTokens(g_, x), s_.widths[0]);
  }

  Value Stage(Value x, size_t stage) {
    const std::string name = "encoder.stages." + std::to_string(stage) + ".layers.";
    int64_t number = 0;
    const auto next = [&] { return names_.Base(name + std::to_string(number++)) + "."; };
    const int64_t width = s_.widths[stage];
    for (int64_t i = 0; i < s_.depths[stage]; ++i) {
      g_.SetScope(name + std::to_string(number));
      const int64_t heads = s_.heads[stage];
      const Look look = {
          {heads, s_.keys[stage]}, {heads, s_.keys[stage] * s_.ratios[stage]}, width, width, side_};
      x = g_.Op("Add", {x, Attend(x, next() + "module.", look)});
      if (s_.mlp[stage] > 0) x = Mlp(x, next() + "module.", width, width * s_.mlp[stage]);
    }
    if (stage + 1 == kStages) return x;
    g_.SetScope(name + std::to_string(number));
    const int64_t key = s_.keys[0];
    const int64_t heads = width / key;
    const int64_t wider = s_.widths[stage + 1];
    const Look look = {{heads, key}, {heads, key * kBetweenRatio}, width, wider, side_, kBetweenStride};
    x = Attend(x, next(), look);
    side_ = look.Looking();
    return Mlp(x, next() + "module.", wider, wider * kBetweenMlp);
  }

  Value Mlp(const Value& x, const std::string& p, int64_t width, int64_t inner) {
    const Value up = g_.Op("HardSwish", {Normed(x, p + "linear_up", width, inner)});
    return g_.Op("Add", {x, Normed(up, p + "linear_down", inner, width)});
  }

  // Linear layer without bias and the batch norm behind it, over rows.
  Value Normed(const Value& x, const std::string& name, int64_t in, int64_t out) {
    const Value rows = LinearFrom(g_, x, name + ".linear.weight", "", in, out);
    return BatchNorm(g_, {rows, out, {}}, name + ".batch_norm", kEpsilon).value;
  }

  Value Attend(const Value& x, const std::string& p, const Look& look) {
    const int64_t d = look.keys.width;
    const int64_t heads = look.keys.count;
    const int64_t seen = look.side * look.side;
    const int64_t looking = look.Looking() * look.Looking();
    const bool thins = look.stride > 1;
    const int64_t before = thins ? 0 : d;  // of a head's numbers, before its key
    const Value all = Normed(x, p + (thins ? "keys_values" : "queries_keys_values"), look.width,
                             heads * (before + d + look.values.width));
    const Value split = g_.Op("Reshape", {all, g_.Ints({-1, seen, heads, before + d + look.values.width})});
    const auto part = [&](const Value& from, int64_t first, int64_t last, std::vector<int64_t> order) {
      const Value slice = first == 0 && last == kEnd ? from : SliceAxis(g_, from, 3, first, last);
      return g_.Op("Transpose", {slice}, {{"perm", std::move(order)}});
    };
    const Value query =
        thins ? part(g_.Op("Reshape", {Normed(Thinned(x, look), p + "queries", look.width, heads * d),
                                       g_.Ints({-1, looking, heads, d})}),
                     0, kEnd, {0, 2, 1, 3})
              : part(split, 0, d, {0, 2, 1, 3});
    const Value products = g_.Op("MatMul", {query, part(split, before, before + d, {0, 2, 3, 1})});
    const Value scaled = g_.Op("Mul", {products, g_.Float(1.0F / std::sqrt(static_cast<float>(d)))});
    const Value biases = g_.Weight(p + "attention_biases", {heads, seen});
    const Value bias = g_.Op("Gather", {biases, Distances(look)}, {{"axis", int64_t{1}}});
    const Value weights = g_.Op("Softmax", {g_.Op("Add", {scaled, bias})}, {{"axis", int64_t{-1}}});
    const Value mixed = g_.Op("MatMul", {weights, part(split, before + d, kEnd, {0, 2, 1, 3})});
    const Value together = g_.Op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    const Value rows = g_.Op("HardSwish", {ToRows(g_, together, look.values.total())});
    return Normed(rows, p + "projection", look.values.total(), look.wanted);
  }

  Value Thinned(const Value& x, const Look& look) {
    const Value map = g_.Op("Reshape", {x, g_.Ints({-1, look.side, look.side, look.width})});
    const Value rows = SliceAxis(g_, map, 1, 0, kEnd, look.stride);
    return ToRows(g_, SliceAxis(g_, rows, 2, 0, kEnd, look.stride), look.width);
  }

  // [looking, seen]: distance in rows * side + distance in columns.
  Value Distances(const Look& look) {
    const auto places = [&](int64_t side) {
      return g_.Op("Range", {g_.Int(0), g_.Int(side * side), g_.Int(1)});
    };
    const auto distance = [&](const char* op) {
      const Value at = g_.Op(op, {places(look.Looking()), g_.Int(look.Looking())});
      const Value from = g_.Op("Unsqueeze", {g_.Op("Mul", {at, g_.Int(look.stride)}), g_.Ints({1})});
      return g_.Op("Abs", {g_.Op("Sub", {from, g_.Op(op, {places(look.side), g_.Int(look.side)})})});
    };
    return g_.Op("Add", {g_.Op("Mul", {distance("Div"), g_.Int(look.side)}), distance("Mod")});
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
  int64_t side_ = 0;
};

// Batch norm and linear layer `name`.
Value Classify(GraphBuilder& g, const Value& pooled, const std::string& name, int64_t width) {
  const FeatureMap normed = BatchNorm(g, {pooled, width, {}}, name + ".batch_norm", kEpsilon);
  return Labels(g, normed.value, name + ".linear", width);
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(RequireImageHead("levit", context));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  Levit model(g, sizes);
  const Value tokens = model.Build();
  const Value pooled = MeanOfTokens(g, tokens);
  const int64_t width = sizes.widths.back();
  std::vector<IgnoreRule> ignore = {{"", ".num_batches_tracked", "only training counts batches"},
                                    {"", ".attention_bias_idxs", "counted in the graph"}};
  const std::string classifier = model.names().Of("classifier");
  const std::string teacher = model.names().Of("classifier_distill");
  if (context.head == Head::kEncoder) {
    g.Output("last_hidden_state", tokens, DType::kFp32, {kBatchAxis, model.places(), width});
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, width});
    for (const std::string& name : {classifier, teacher})
      ignore.push_back({name + ".", "", "classifier, not part of the task"});
    return BuildResult{{}, std::move(ignore), 0};
  }
  g.SetScope("classifier");
  Value logits = Classify(g, pooled, classifier, width);
  // Trained with a teacher it has two, and answers their mean.
  if (g.Has(teacher + ".linear.weight")) {
    const Value sum = g.Op("Add", {logits, Classify(g, pooled, teacher, width)});
    logits = g.Op("Mul", {sum, g.Float(0.5F)});
  }
  LogitsOutput(g, logits, classifier + ".linear");
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"LevitModel", Head::kEncoder},
    {"LevitForImageClassification", Head::kImageClassification},
    {"LevitForImageClassificationWithTeacher", Head::kImageClassification},
}};

}  // namespace

const Architecture kLevit = {"levit", kClasses, Build};

}  // namespace mlos::convert
