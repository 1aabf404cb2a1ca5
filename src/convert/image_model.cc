// SPDX-License-Identifier: Apache-2.0
#include "convert/image_model.h"

#include <vector>

#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {

Result<ImageSize> ReadImageSize(const Config& config, std::string_view key, ImageSize fallback) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<int64_t> sides,
                        config.Ints(key, {fallback.height, fallback.width}, 1, 1 << 16));
  if (sides.size() > 2) {
    return Unimplemented("config.json: '" + std::string(key) + "' has " + std::to_string(sides.size()) +
                         " numbers; supported: one, or height and width");
  }
  return ImageSize{sides.front(), sides.back()};
}

ModelNames::ModelNames(const GraphBuilder& g, const std::string& base, const std::string& probe)
    : base_(base) {
  for (const char* wrapper : {"", "module.", "model."}) {
    for (const std::string& prefix : {base, std::string()}) {
      if (!g.Has(wrapper + prefix + probe)) continue;
      wrapper_ = wrapper;
      base_ = prefix;
      return;
    }
  }
}

namespace {

int64_t LabelCount(GraphBuilder& g, const std::string& name) {
  const Shape shape = g.ShapeOf(name + ".weight");
  return shape.empty() ? -1 : shape[0];
}

}  // namespace

Value Labels(GraphBuilder& g, const Value& pooled, const std::string& name, int64_t width) {
  return Dense(g, pooled, name, width, LabelCount(g, name));
}

void LogitsOutput(GraphBuilder& g, const Value& logits, const std::string& name) {
  g.Output("logits", logits, DType::kFp32, {kBatchAxis, LabelCount(g, name)});
}

Status RequireHead(std::string_view architecture, const BuildContext& context,
                   std::initializer_list<Head> known) {
  if (context.encoder_only) {
    return Unimplemented("modules.json puts pooling behind " + std::string(architecture) +
                         ", which gives no sentences; supported: text encoders");
  }
  std::string tasks;
  for (const Head head : known) {
    if (context.head == head) return OkStatus();
    tasks += (tasks.empty() ? "" : ", ") + std::string(TaskName(head));
  }
  return Unimplemented("task '" + std::string(TaskName(context.head)) + "' is not supported for " +
                       std::string(architecture) + "; supported: " + tasks);
}

Status RequireImageHead(std::string_view architecture, const BuildContext& context) {
  return RequireHead(architecture, context, {Head::kEncoder, Head::kImageClassification});
}

Value SelfAttention(GraphBuilder& g, const Layout& layout, int64_t heads, const Value& x,
                    const AttentionNames& names, const Value& score_bias) {
  const int64_t width = layout.width;
  const auto project = [&](const std::string& name, bool bias) {
    return LinearFrom(g, x, name + ".weight", bias ? name + ".bias" : "", width, width);
  };
  const Value query = project(names.query, names.query_bias);
  const Value key = project(names.key, names.key_bias);
  const Value value = project(names.value, names.value_bias);
  return Dense(g, Attention(g, layout, heads, query, key, value, score_bias), names.out, width, width);
}

Value FeedForward(GraphBuilder& g, const Value& x, const std::string& first, const std::string& second,
                  int64_t width, int64_t inner, const std::string& activation) {
  const Value wide = Activation(g, Dense(g, x, first, width, inner), activation, "hidden_act");
  return Dense(g, wide, second, inner, width);
}

Value BehindToken(GraphBuilder& g, const Value& first, const Value& tokens, int64_t width) {
  const Value batch = g.Op("Shape", {tokens}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  const Value one_each = g.Op("Concat", {batch, g.Ints({1, width})}, {{"axis", int64_t{0}}});
  return g.Op("Concat", {g.Op("Expand", {first, one_each}), tokens}, {{"axis", int64_t{1}}});
}

Value SliceAxis(GraphBuilder& g, const Value& x, int64_t axis, int64_t from, int64_t to, int64_t step) {
  return g.Op("Slice", {x, g.Ints({from}), g.Ints({to}), g.Ints({axis}), g.Ints({step})});
}

Value HidePatches(GraphBuilder& g, const Value& patches, const std::string& token, int64_t count,
                  int64_t width) {
  const Value hidden = g.Input("bool_masked_pos", DType::kBool, {kBatchAxis, count});
  return g.Op("Where", {g.Op("Unsqueeze", {hidden, g.Ints({2})}), g.Weight(token, {1, 1, width}), patches});
}

Status CheckReconstruction(const Reconstruction& r, int64_t count) {
  const ImageSize tokens = {r.picture.height / r.stride, r.picture.width / r.stride};
  const bool whole = tokens.height * r.stride == r.picture.height && r.picture.height == r.picture.width;
  if (whole && tokens.height * tokens.width == count) return OkStatus();
  return Unimplemented(
      "config.json: 'encoder_stride' is " + std::to_string(r.stride) + ", 'image_size' " +
      std::to_string(r.picture.height) + " x " + std::to_string(r.picture.width) + " and there are " +
      std::to_string(count) +
      " tokens; supported for masked-im: a square of tokens, each a square of 'encoder_stride' "
      "pixels, that cover the picture");
}

void ReconstructionOutput(GraphBuilder& g, const Value& tokens, const std::string& decoder, int64_t width,
                          const Reconstruction& r) {
  g.SetScope(decoder);
  const int64_t side = r.picture.height / r.stride;
  const int64_t colours = r.channels * r.stride * r.stride;
  const Value columns = g.Op("Transpose", {tokens}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  const Value map = g.Op("Reshape", {columns, g.Ints({-1, width, side, side})});
  const Value spread = g.Op("Conv", {map, g.Weight(decoder + ".weight", {colours, width, 1, 1}),
                                     g.Weight(decoder + ".bias", {colours})});
  const Value picture = g.Op("DepthToSpace", {spread}, {{"blocksize", r.stride}, {"mode", "CRD"}});
  g.Output("reconstruction", picture, DType::kFp32,
           {kBatchAxis, r.channels, r.picture.height, r.picture.width});
}

Value MeanOfTokens(GraphBuilder& g, const Value& tokens) {
  return g.Op("ReduceMean", {tokens, g.Ints({1})}, {{"keepdims", int64_t{0}}});
}

Value RelativePlaces(GraphBuilder& g, ImageSize window) {
  const Value places = g.Op("Range", {g.Int(0), g.Int(window.height * window.width), g.Int(1)});
  // [places, places]: coordinate of the query less that of the key, from 0.
  const auto distance = [&](const char* op, int64_t size) {
    const Value at = g.Op(op, {places, g.Int(window.width)});
    const Value apart = g.Op("Sub", {g.Op("Unsqueeze", {at, g.Ints({1})}), at});
    return g.Op("Add", {apart, g.Int(size - 1)});
  };
  const Value rows = g.Op("Mul", {distance("Div", window.height), g.Int(2 * window.width - 1)});
  return g.Op("Add", {rows, distance("Mod", window.width)});
}

}  // namespace mlos::convert
