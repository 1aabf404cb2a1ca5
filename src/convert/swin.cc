// SPDX-License-Identifier: Apache-2.0
// Swin (model_type "swin"): stages of attention inside windows, every second layer with the windows moved by half of one, and
// four neighbours merged into one between stages.
#include <algorithm>
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

constexpr double kPlainEpsilon =
    1e-5;  // of the norms before and between the stages, whatever config.json says
constexpr float kOtherRegion = -100.0F;

struct Sizes {
  int64_t channels = 3;
  ImageSize picture = {224, 224};
  ImageSize patch = {4, 4};
  int64_t width = 96;
  std::vector<int64_t> depths;
  std::vector<int64_t> heads;
  int64_t window = 7;
  double ratio = 4;
  bool projection_bias = true;
  bool absolute_positions = false;
  int64_t encoder_stride = 32;  // pixels a place of the last stage becomes in masked-im
  double epsilon = 1e-5;
  std::string activation = "gelu";
};

Result<Sizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.picture, ReadImageSize(config, "image_size", s.picture));
  MLOS_ASSIGN_OR_RETURN(s.patch, ReadImageSize(config, "patch_size", s.patch));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("embed_dim", s.width, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.depths, config.Ints("depths", {2, 2, 6, 2}, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Ints("num_heads", {3, 6, 12, 24}, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.window, config.Int("window_size", s.window, 1, 1 << 12));
  MLOS_ASSIGN_OR_RETURN(s.ratio, config.Number("mlp_ratio", s.ratio, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.projection_bias, config.Bool("qkv_bias", true));
  MLOS_ASSIGN_OR_RETURN(s.absolute_positions, config.Bool("use_absolute_embeddings", false));
  MLOS_ASSIGN_OR_RETURN(s.encoder_stride, config.Int("encoder_stride", s.encoder_stride, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", s.activation));
  if (s.depths.size() != s.heads.size() || s.depths.size() > 16) {
    return DataLoss("config.json: 'depths' has " + std::to_string(s.depths.size()) + " stages, 'num_heads' " +
                    std::to_string(s.heads.size()));
  }
  for (size_t stage = 0; stage < s.heads.size(); ++stage) {
    if ((s.width << stage) % s.heads[stage] != 0) {
      return DataLoss("config.json: stage " + std::to_string(stage) + " is " +
                      std::to_string(s.width << stage) + " wide, not a multiple of its 'num_heads' " +
                      std::to_string(s.heads[stage]));
    }
  }
  return s;
}

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

class Swin {
 public:
  Swin(GraphBuilder& g, const Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "swin.", "embeddings.patch_embeddings.projection.weight") {}
  const ModelNames& names() const { return names_; }
  int64_t width() const { return width_; }
  int64_t places() const { return grid_.height * grid_.width; }

  // [batch, places, width] of the last stage. With `hidden_patches` there is an input that says which patches a token replaces.
  Value Build(bool hidden_patches) {
    Value x = Embeddings(hidden_patches);
    for (size_t stage = 0; stage < s_.depths.size(); ++stage) {
      const std::string name = "encoder.layers." + std::to_string(stage) + ".";
      for (int64_t i = 0; i < s_.depths[stage]; ++i)
        x = Layer(x, name + "blocks." + std::to_string(i), s_.heads[stage], i % 2 == 1);
      if (stage + 1 < s_.depths.size()) x = Merge(x, name + "downsample");
    }
    g_.SetScope("layernorm");
    x = LayerNorm(g_, x, names_.Base("layernorm"), width_, s_.epsilon);
    return g_.Op("Reshape", {x, g_.Ints({-1, places(), width_})});
  }

 private:
  // All x are rows [batch * grid.height * grid.width, width].
  Value Embeddings(bool hidden_patches) {
    const FeatureMap pixels = PixelInput(g_, s_.channels, s_.picture);
    g_.SetScope("embeddings");
    const std::string p = names_.Base("embeddings.");
    width_ = s_.width;
    ConvOptions options;
    options.channels = width_;
    options.kernel = options.stride = s_.patch;
    options.bias = true;
    options.sides = Padding{0, 0, RoundUp(s_.picture.height, s_.patch.height) - s_.picture.height,
                            RoundUp(s_.picture.width, s_.patch.width) - s_.picture.width};
    const FeatureMap grid = Conv(g_, pixels, p + "patch_embeddings.projection", options);
    grid_ = grid.size;
    Value x = LayerNorm(g_, MapToTokens(g_, grid), p + "norm", width_, kPlainEpsilon);
    if (hidden_patches) x = HidePatches(g_, x, p + "mask_token", places(), width_);
    if (s_.absolute_positions)
      x = g_.Op("Add", {x, g_.Weight(p + "position_embeddings", {1, places(), width_})});
    return ToRows(g_, x, width_);
  }

  Value Layer(const Value& x, const std::string& name, int64_t heads, bool may_move) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    const Value normed = LayerNorm(g_, x, p + "layernorm_before", width_, s_.epsilon);
    const Value attended = g_.Op("Add", {x, Windows(normed, p + "attention.", heads, may_move)});
    const Value inner =
        FeedForward(g_, LayerNorm(g_, attended, p + "layernorm_after", width_, s_.epsilon),
                    p + "intermediate.dense", p + "output.dense", width_,
                    static_cast<int64_t>(s_.ratio * static_cast<double>(width_)), s_.activation);
    return g_.Op("Add", {inner, attended});
  }

  Value Windows(const Value& x, const std::string& p, int64_t heads, bool may_move) {
    const int64_t w = s_.window;
    const int64_t smallest = std::min(grid_.height, grid_.width);
    if (smallest < w) {
      g_.Fail(Unimplemented("config.json: 'window_size' " + std::to_string(w) + " is larger than a stage's " +
                            std::to_string(grid_.height) + " x " + std::to_string(grid_.width) +
                            " places of 'image_size' " + std::to_string(s_.picture.height) + " x " +
                            std::to_string(s_.picture.width)));
      return x;
    }
    const int64_t shift = may_move && smallest > w ? w / 2 : 0;
    const ImageSize padded = {RoundUp(grid_.height, w), RoundUp(grid_.width, w)};
    Value map = g_.Op("Reshape", {x, g_.Ints({-1, grid_.height, grid_.width, width_})});
    map = PadAfter(map, {padded.height - grid_.height, padded.width - grid_.width});
    map = Roll(map, {shift, shift});
    const std::vector<int64_t> swap = {0, 1, 3, 2, 4, 5};
    const Value cut =
        g_.Op("Reshape", {map, g_.Ints({-1, padded.height / w, w, padded.width / w, w, width_})});
    const Value rows = ToRows(g_, g_.Op("Transpose", {cut}, {{"perm", swap}}), width_);
    const Value mixed = Attend(rows, p, heads, padded, shift);
    const Value windows =
        g_.Op("Reshape", {mixed, g_.Ints({-1, padded.height / w, padded.width / w, w, w, width_})});
    map = g_.Op("Reshape", {g_.Op("Transpose", {windows}, {{"perm", swap}}),
                            g_.Ints({-1, padded.height, padded.width, width_})});
    map = Roll(map, {padded.height - shift, padded.width - shift});
    if (padded.height > grid_.height) map = SliceAxis(g_, map, 1, 0, grid_.height);
    if (padded.width > grid_.width) map = SliceAxis(g_, map, 2, 0, grid_.width);
    return ToRows(g_, map, width_);
  }

  // Attention of the rows of every window among themselves.
  Value Attend(const Value& x, const std::string& p, int64_t heads, ImageSize padded, int64_t shift) {
    const int64_t area = s_.window * s_.window;
    const int64_t windows = padded.height * padded.width / area;
    const int64_t head_width = width_ / heads;
    const auto project = [&](const char* part, std::vector<int64_t> order) {
      const std::string name = p + "self." + part;
      const Value y =
          LinearFrom(g_, x, name + ".weight", s_.projection_bias ? name + ".bias" : "", width_, width_);
      const Value split = g_.Op("Reshape", {y, g_.Ints({-1, windows, area, heads, head_width})});
      return g_.Op("Transpose", {split}, {{"perm", std::move(order)}});
    };
    const Value query = project("query", {0, 1, 3, 2, 4});
    const Value products = g_.Op("MatMul", {query, project("key", {0, 1, 3, 4, 2})});
    const Value scaled = g_.Op("Mul", {products, g_.Float(1.0F / std::sqrt(static_cast<float>(head_width)))});
    const Value table = g_.Weight(p + "self.relative_position_bias_table",
                                  {(2 * s_.window - 1) * (2 * s_.window - 1), heads});
    if (places_.name.empty()) places_ = RelativePlaces(g_, {s_.window, s_.window});
    Value bias =
        g_.Op("Transpose", {g_.Op("Gather", {table, places_})}, {{"perm", std::vector<int64_t>{2, 0, 1}}});
    if (shift > 0) bias = g_.Op("Add", {Regions(padded, shift), bias});
    const Value weights = g_.Op("Softmax", {g_.Op("Add", {scaled, bias})}, {{"axis", int64_t{-1}}});
    const Value mixed = g_.Op("MatMul", {weights, project("value", {0, 1, 3, 2, 4})});
    const Value together = g_.Op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 1, 3, 2, 4}}});
    return Dense(g_, ToRows(g_, together, width_), p + "output.dense", width_, width_);
  }

  // Moved windows hold places that are no neighbours in the picture: these do not see each other. [windows, 1, area, area].
  Value Regions(ImageSize padded, int64_t shift) {
    const int64_t w = s_.window;
    const auto bands = [&](int64_t size, int64_t weight) {
      std::vector<int64_t> band(static_cast<size_t>(size));
      for (int64_t i = 0; i < size; ++i)
        band[static_cast<size_t>(i)] = weight * ((i >= size - w ? 1 : 0) + (i >= size - shift ? 1 : 0));
      return band;
    };
    const Value rows = g_.Op("Unsqueeze", {g_.Ints(bands(padded.height, 3)), g_.Ints({1})});
    const Value map = g_.Op("Add", {rows, g_.Ints(bands(padded.width, 1))});
    const Value cut = g_.Op("Reshape", {map, g_.Ints({padded.height / w, w, padded.width / w, w})});
    const Value windows = g_.Op(
        "Reshape",
        {g_.Op("Transpose", {cut}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), g_.Ints({-1, 1, w * w})});
    const Value same = g_.Op(
        "Equal", {g_.Op("Unsqueeze", {windows, g_.Ints({3})}), g_.Op("Unsqueeze", {windows, g_.Ints({2})})});
    return g_.Op("Where", {same, g_.Float(0.0F), g_.Float(kOtherRegion)});
  }

  Value Merge(const Value& x, const std::string& name) {
    g_.SetScope(name);
    const std::string p = names_.Base(name) + ".";
    Value map = g_.Op("Reshape", {x, g_.Ints({-1, grid_.height, grid_.width, width_})});
    map = PadAfter(map, {grid_.height % 2, grid_.width % 2});
    std::vector<Value> corners;
    for (const int64_t column : {0, 1}) {
      for (const int64_t row : {0, 1})
        corners.push_back(SliceAxis(g_, SliceAxis(g_, map, 1, row, kEnd, 2), 2, column, kEnd, 2));
    }
    const Value wide = ToRows(g_, g_.Op("Concat", corners, {{"axis", int64_t{-1}}}), 4 * width_);
    const Value normed = LayerNorm(g_, wide, p + "norm", 4 * width_, kPlainEpsilon);
    const Value y = LinearFrom(g_, normed, p + "reduction.weight", "", 4 * width_, 2 * width_);
    grid_ = {(grid_.height + 1) / 2, (grid_.width + 1) / 2};
    width_ *= 2;
    return y;
  }

  // Zeros below and to the right of [batch, height, width, channels].
  Value PadAfter(const Value& map, ImageSize more) {
    if (more.height == 0 && more.width == 0) return map;
    return g_.Op("Pad", {map, g_.Ints({0, 0, 0, 0, 0, more.height, more.width, 0})});
  }
  // The first rows and columns go to the end.
  Value Roll(const Value& map, ImageSize by) {
    Value rolled = map;
    const auto along = [&](int64_t axis, int64_t count) {
      rolled =
          g_.Op("Concat", {SliceAxis(g_, rolled, axis, count, kEnd), SliceAxis(g_, rolled, axis, 0, count)},
                {{"axis", axis}});
    };
    if (by.height % RoundUp(grid_.height, s_.window) != 0) along(1, by.height);
    if (by.width % RoundUp(grid_.width, s_.window) != 0) along(2, by.width);
    return rolled;
  }

  GraphBuilder& g_;
  const Sizes& s_;
  const ModelNames names_;
  ImageSize grid_;
  int64_t width_ = 0;
  Value places_;  // [area, area], rows of a bias table
};

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_RETURN_IF_ERROR(
      RequireHead("swin", context, {Head::kEncoder, Head::kImageClassification, Head::kMaskedImage}));
  MLOS_ASSIGN_OR_RETURN(const Sizes sizes, ReadSizes(context.config));
  Swin model(g, sizes);
  const Value tokens = model.Build(context.head == Head::kMaskedImage);
  const std::string classifier = model.names().Of("classifier");
  std::vector<IgnoreRule> ignore = {
      {"", "relative_position_index", "counted in the graph"},
      {"", "attn_mask", "counted in the graph"},
      {model.names().Base("embeddings.mask_token"), "", "only training hides patches"}};
  if (context.head == Head::kMaskedImage) {
    const Reconstruction picture = {sizes.picture, sizes.channels, sizes.encoder_stride};
    MLOS_RETURN_IF_ERROR(CheckReconstruction(picture, model.places()));
    ReconstructionOutput(g, tokens, model.names().Of("decoder.0"), model.width(), picture);
    return BuildResult{{}, std::move(ignore), 0};
  }
  const Value pooled = MeanOfTokens(g, tokens);
  if (context.head == Head::kEncoder) {
    g.Output("last_hidden_state", tokens, DType::kFp32, {kBatchAxis, model.places(), model.width()});
    g.Output("pooler_output", pooled, DType::kFp32, {kBatchAxis, model.width()});
    ignore.push_back({classifier + ".", "", "classifier, not part of the task"});
    ignore.push_back({model.names().Of("decoder."), "", "head, not part of the task"});
  } else {
    g.SetScope("classifier");
    LogitsOutput(g, Labels(g, pooled, classifier, model.width()), classifier);
  }
  return BuildResult{{}, std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 3> kClasses = {{
    {"SwinModel", Head::kEncoder},
    {"SwinForImageClassification", Head::kImageClassification},
    {"SwinForMaskedImageModeling", Head::kMaskedImage},
}};

}  // namespace

const Architecture kSwin = {"swin", kClasses, Build};

}  // namespace mlos::convert
