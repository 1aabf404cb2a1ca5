// SPDX-License-Identifier: Apache-2.0
#include "convert/clip_towers.h"

#include <limits>
#include <vector>

#include "convert/conv_net.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

Result<ClipSizes> ReadTower(const Config& config, ClipSizes s) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("hidden_size", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("num_hidden_layers", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Int("num_attention_heads", s.heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.intermediate, config.Int("intermediate_size", s.intermediate, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", s.activation));
  if (s.width % s.heads != 0) {
    return DataLoss("config.json: 'hidden_size' " + std::to_string(s.width) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(s.heads));
  }
  return s;
}

Value Layers(GraphBuilder& g, const ClipSizes& s, const Layout& layout, Value x, const std::string& base,
             const Value& score_bias) {
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string name = base + "encoder.layers." + std::to_string(i);
    g.SetScope(name);
    const std::string p = name + ".";
    const std::string a = p + "self_attn.";
    const AttentionNames names = {a + "q_proj", a + "k_proj", a + "v_proj", a + "out_proj"};
    const Value normed = LayerNorm(g, x, p + "layer_norm1", s.width, s.epsilon);
    x = g.Op("Add", {x, SelfAttention(g, layout, s.heads, normed, names, score_bias)});
    const Value inner = FeedForward(g, LayerNorm(g, x, p + "layer_norm2", s.width, s.epsilon), p + "mlp.fc1",
                                    p + "mlp.fc2", s.width, s.intermediate, s.activation);
    x = g.Op("Add", {x, inner});
  }
  return x;
}

// Every token sees itself and those before it, as far as the mask allows: [batch, 1, sequence, sequence].
Value CausalBias(GraphBuilder& g, const Value& mask, const Value& positions) {
  const Value allowed = g.Op("Cast", {mask}, {{"to", onnx::DataType(DType::kBool)}});
  const Value before = g.Op("LessOrEqual", {positions, g.Op("Unsqueeze", {positions, g.Ints({1})})});
  const Value seen = g.Op("And", {g.Op("Unsqueeze", {allowed, g.Ints({1, 2})}), before});
  return g.Op("Where", {seen, g.Float(0.0F), g.Float(std::numeric_limits<float>::lowest())});
}

// Where a text ends: [batch, 1].
Value EndOfText(GraphBuilder& g, const Value& ids, int64_t end_token) {
  // Files from before the end token was written down right say 2, and mean the largest id.
  const bool is_largest = end_token == 2;
  const Value marks = is_largest ? ids : g.Op("Equal", {ids, g.Int(end_token)});
  const Value comparable = g.Op("Cast", {marks}, {{"to", onnx::DataType(DType::kInt32)}});
  return g.Op("ArgMax", {comparable}, {{"axis", int64_t{-1}}, {"keepdims", int64_t{1}}});
}

}  // namespace

Result<ClipSizes> ReadClipText(const Config& config) {
  ClipSizes defaults;
  defaults.width = 512;
  defaults.heads = 8;
  defaults.intermediate = 2048;
  MLOS_ASSIGN_OR_RETURN(ClipSizes s, ReadTower(config, defaults));
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("max_position_embeddings", s.positions, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.end_token, config.Int("eos_token_id", s.end_token, 0, 1 << 24));
  return s;
}

Result<ClipSizes> ReadClipVision(const Config& config) {
  ClipSizes defaults;
  defaults.width = 768;
  defaults.heads = 12;
  defaults.intermediate = 3072;
  MLOS_ASSIGN_OR_RETURN(ClipSizes s, ReadTower(config, defaults));
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.picture, config.Int("image_size", s.picture, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.patch, config.Int("patch_size", s.patch, 1, 1 << 16));
  if (s.patch > s.picture) return DataLoss("config.json: 'patch_size' is larger than 'image_size'");
  return s;
}

ClipOutput BuildClipText(GraphBuilder& g, const ClipSizes& s, const std::string& base, const char* batch) {
  const Value ids = g.Input("input_ids", DType::kInt64, {batch, kSequenceAxis});
  const Value mask = g.Input("attention_mask", DType::kInt64, {batch, kSequenceAxis});
  g.SetScope(base + "embeddings");
  const Layout layout = LayoutOf(g, ids, s.width);
  const Value length = g.Op("Gather", {layout.batch_and_sequence, g.Int(1)});
  const Value positions = g.Op("Range", {g.Int(0), length, g.Int(1)});
  const std::string e = base + "embeddings.";
  const Value words = Embedding(g, e + "token_embedding.weight", ids, s.vocabulary, s.width);
  const Value places = Embedding(g, e + "position_embedding.weight", positions, s.positions, s.width);
  const Value embedded = ToRows(g, g.Op("Add", {words, places}), s.width);
  const Value x = Layers(g, s, layout, embedded, base, CausalBias(g, mask, positions));
  g.SetScope(base + "final_layer_norm");
  const Value rows = LayerNorm(g, x, base + "final_layer_norm", s.width, s.epsilon);
  ClipOutput output;
  output.width = s.width;
  output.tokens = FromRows(g, layout, rows, s.width);
  output.pooled =
      g.Op("GatherND", {output.tokens, EndOfText(g, ids, s.end_token)}, {{"batch_dims", int64_t{1}}});
  return output;
}

ClipOutput BuildClipVision(GraphBuilder& g, const ClipSizes& s, const std::string& base, const char* batch,
                           bool norm_pooled) {
  const Value input = g.Input("pixel_values", DType::kFp32, {batch, s.channels, s.picture, s.picture});
  g.SetScope(base + "embeddings");
  const std::string e = base + "embeddings.";
  const FeatureMap pixels = {input, s.channels, {s.picture, s.picture}};
  const FeatureMap grid =
      Conv(g, pixels, e + "patch_embedding", {s.width, {s.patch, s.patch}, {s.patch, s.patch}});
  const Value tokens =
      BehindToken(g, g.Weight(e + "class_embedding", {s.width}), MapToTokens(g, grid), s.width);
  ClipOutput output;
  output.width = s.width;
  output.tokens_size = grid.size.height * grid.size.width + 1;
  const Value placed =
      g.Op("Add", {tokens, g.Weight(e + "position_embedding.weight", {output.tokens_size, s.width})});
  const Layout layout = {g.Op("Shape", {placed}, {{"end", int64_t{2}}}), s.width};
  // The name is spelled like this in every checkpoint.
  Value x = LayerNorm(g, ToRows(g, placed, s.width), base + "pre_layrnorm", s.width, s.epsilon);
  x = Layers(g, s, layout, x, base, {});
  output.tokens = FromRows(g, layout, x, s.width);
  if (norm_pooled) {
    g.SetScope(base + "post_layernorm");
    output.pooled = LayerNorm(g, TakeToken(g, output.tokens, 0), base + "post_layernorm", s.width, s.epsilon);
  }
  return output;
}

}  // namespace mlos::convert
