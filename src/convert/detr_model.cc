// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "convert/detr.h"
#include "convert/image_model.h"
#include "convert/nn.h"
#include "convert/text_model.h"
#include "convert/torchvision.h"

namespace mlos::convert {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr float kTemperature = 10000.0F;
constexpr float kLastPlace = 6.2831853071795864F;  // positions run up to 2 pi
constexpr float kPositionEpsilon = 1e-6F;
constexpr int64_t kLearnedPlaces = 50;

// Which maps of `stages` stages config.json asks for.
Result<std::vector<int64_t>> KeptMaps(const Config& backbone, int64_t stages) {
  std::vector<int64_t> kept;
  if (backbone.Has("out_features")) {
    MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, backbone.Strings("out_features"));
    for (const std::string& name : names) {
      int64_t stage = name == "stem" ? 0 : -1;
      for (int64_t i = 1; i <= stages; ++i) {
        if (name == "stage" + std::to_string(i)) stage = i;
      }
      if (stage < 0)
        return DataLoss("config.json: 'backbone_config' has no stage '" + name + "' ('out_features')");
      kept.push_back(stage);
    }
  } else {
    MLOS_ASSIGN_OR_RETURN(kept, backbone.Ints("out_indices", {stages}, 0, stages));
  }
  if (kept.empty() || kept.back() != stages) {
    return Unimplemented(
        "config.json: 'backbone_config' keeps other maps than the last one ('out_features', 'out_indices'); "
        "supported: those that end with stage " +
        std::to_string(stages));
  }
  return kept;
}

Status ReadBackbone(const Config& config, DetrSizes* s) {
  MLOS_RETURN_IF_ERROR(config.RequireBool("dilation", false));
  MLOS_ASSIGN_OR_RETURN(const Config backbone, config.Object("backbone_config"));
  MLOS_ASSIGN_OR_RETURN(const std::string type, backbone.String("model_type", "timm_backbone"));
  if (type == "resnet") {
    MLOS_ASSIGN_OR_RETURN(s->backbone, ReadResNetSizes(backbone));
    MLOS_ASSIGN_OR_RETURN(s->kept, KeptMaps(backbone, static_cast<int64_t>(s->backbone.widths.size())));
    return OkStatus();
  }
  if (type != "timm_backbone") {
    return Unimplemented("config.json: 'backbone_config' says 'model_type' \"" + type +
                         "\"; supported: resnet, timm_backbone");
  }
  // timm's ResNets that are torchvision's; others (resnet50d, resnest ...) are built differently under the same tensor names.
  const Config& named = backbone.Has("backbone") ? backbone : config;
  MLOS_RETURN_IF_ERROR(
      named.RequireOneOf("backbone", {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}));
  return OkStatus();
}

class Detr {
 public:
  Detr(GraphBuilder& g, const DetrSizes& sizes, std::string prefix)
      : g_(g), s_(sizes), prefix_(std::move(prefix)) {}

  DetrOutput Build() {
    const FeatureMap pixels = PixelInput(g_, s_.channels, {});
    const Value mask = g_.Input("pixel_mask", DType::kInt64, {kBatchAxis, "height", "width"});
    g_.SetScope("backbone");
    out_.maps = Backbone(pixels);
    out_.batch = g_.Op("Shape", {pixels.value}, {{"end", int64_t{1}}});
    const FeatureMap& last = out_.maps.back();
    g_.SetScope("encoder");
    ConvOptions to_width = {s_.width};
    to_width.bias = true;
    out_.projected = Conv(g_, last, prefix_ + "input_projection", to_width);
    const Value small_mask = TakeNearest(g_, mask, last.value, {1, 2}, {2, 3});
    out_.hidden_bias = MaskToBias(g_, g_.Op("Reshape", {small_mask, g_.Ints({0, -1})}));
    places_ = s_.learned_positions ? LearnedPositions(last) : SinePositions(small_mask);
    Encode();
    Decode();
    return std::move(out_);
  }

 private:
  std::vector<FeatureMap> Backbone(const FeatureMap& pixels) {
    // transformers 4 and the hub's files have the longer name.
    const std::string name = prefix_ + "backbone.";
    for (const std::string& p : {name + "conv_encoder.model.", name + "model."}) {
      if (g_.Has(p + "conv1.weight")) {
        std::vector<FeatureMap> stages = TorchvisionResNet(g_, pixels, p);
        stages.erase(stages.begin());
        return stages;
      }
      if (g_.Has(p + "embedder.embedder.convolution.weight") && !s_.kept.empty()) {
        const std::vector<FeatureMap> stages = ResNetStages(g_, s_.backbone, p, pixels);
        std::vector<FeatureMap> kept;
        for (const int64_t stage : s_.kept) kept.push_back(stages[static_cast<size_t>(stage)]);
        return kept;
      }
    }
    g_.Fail(Unimplemented(
        "the checkpoint has no backbone that config.json's 'backbone_config' describes; supported: "
        "ResNet, named as transformers or timm name it"));
    return {pixels};
  }

  // Rows [batch * places, width] from [batch, height, width / 2] each for rows and columns of the map.
  Value SinePositions(const Value& mask) {
    const Value seen = g_.Op("Cast", {mask}, {{"to", onnx::DataType(DType::kFp32)}});
    const int64_t half = s_.width / 4;  // sines, and as many cosines
    const Value steps = g_.Op("Cast", {g_.Op("Range", {g_.Int(0), g_.Int(2 * half), g_.Int(2)})},
                              {{"to", onnx::DataType(DType::kFp32)}});
    const Value periods =
        g_.Op("Pow", {g_.Float(kTemperature), g_.Op("Div", {steps, g_.Float(static_cast<float>(2 * half))})});
    const auto waves = [&](int64_t axis) {
      const Value count = g_.Op("CumSum", {seen, g_.Int(axis)});
      const Value last = g_.Op("Add", {SliceAxis(g_, count, axis, -1, kEnd), g_.Float(kPositionEpsilon)});
      const Value scaled = g_.Op("Mul", {g_.Op("Div", {count, last}), g_.Float(kLastPlace)});
      const Value angles = g_.Op("Div", {g_.Op("Unsqueeze", {scaled, g_.Ints({3})}), periods});
      const Value four = g_.Ints({4});
      const Value both = g_.Op("Concat",
                               {g_.Op("Unsqueeze", {g_.Op("Sin", {angles}), four}),
                                g_.Op("Unsqueeze", {g_.Op("Cos", {angles}), four})},
                               {{"axis", int64_t{4}}});
      return g_.Op("Reshape", {both, g_.Ints({0, 0, 0, 2 * half})});
    };
    const Value rows = waves(1);
    return ToRows(g_, g_.Op("Concat", {rows, waves(2)}, {{"axis", int64_t{3}}}), s_.width);
  }

  Value LearnedPositions(const FeatureMap& map) {
    const std::string older = prefix_ + "backbone.position_embedding.";
    const std::string p = g_.Has(older + "row_embeddings.weight") ? older : prefix_ + "position_embedding.";
    const int64_t half = s_.width / 2;
    const auto along = [&](const char* table, int64_t axis) {
      const Value count = SizeOf(g_, map.value, axis);
      return Embedding(g_, p + table, Counted(g_, g_.Int(0), count), kLearnedPlaces, half);
    };
    const Value size = g_.Op("Shape", {map.value}, {{"start", int64_t{2}}});
    const Value shape = g_.Op("Concat", {out_.batch, size, g_.Ints({half})}, {{"axis", int64_t{0}}});
    const Value columns = g_.Op("Expand", {along("column_embeddings.weight", 3), shape});
    const Value rows =
        g_.Op("Expand", {g_.Op("Unsqueeze", {along("row_embeddings.weight", 2), g_.Ints({1})}), shape});
    return ToRows(g_, g_.Op("Concat", {columns, rows}, {{"axis", int64_t{3}}}), s_.width);
  }

  void Encode() {
    Value x = ToRows(g_, MapToTokens(g_, out_.projected), s_.width);
    for (int64_t i = 0; i < s_.encoder_layers; ++i) {
      const std::string p = prefix_ + "encoder.layers." + std::to_string(i) + ".";
      g_.SetScope(p);
      const Value placed = g_.Op("Add", {x, places_});
      x = Norm(
          g_.Op("Add", {x, Attend(placed, placed, x, p + "self_attn.", s_.encoder_heads, out_.hidden_bias)}),
          p + "self_attn_layer_norm");
      x = Inner(x, p, s_.encoder_inner);
    }
    out_.memory = x;
  }

  void Decode() {
    g_.SetScope("decoder");
    const Value shape =
        g_.Op("Concat", {out_.batch, g_.Ints({s_.queries, s_.width})}, {{"axis", int64_t{0}}});
    const Value table = g_.Weight(prefix_ + "query_position_embeddings.weight", {s_.queries, s_.width});
    const Value objects = ToRows(g_, g_.Op("Expand", {table, shape}), s_.width);
    Value x = ToRows(g_, g_.Op("Expand", {g_.Float(0.0F), shape}), s_.width);
    const Value keys = g_.Op("Add", {out_.memory, places_});
    for (int64_t i = 0; i < s_.decoder_layers; ++i) {
      const std::string p = prefix_ + "decoder.layers." + std::to_string(i) + ".";
      g_.SetScope(p);
      Value placed = g_.Op("Add", {x, objects});
      x = Norm(g_.Op("Add", {x, Attend(placed, placed, x, p + "self_attn.", s_.decoder_heads, {})}),
               p + "self_attn_layer_norm");
      placed = g_.Op("Add", {x, objects});
      x = Norm(g_.Op("Add", {x, Attend(placed, keys, out_.memory, p + "encoder_attn.", s_.decoder_heads,
                                       out_.hidden_bias)}),
               p + "encoder_attn_layer_norm");
      x = Inner(x, p, s_.decoder_inner);
      if (s_.auxiliary_loss) x = Norm(x, prefix_ + "decoder.layernorm");
    }
    g_.SetScope("decoder.layernorm");
    out_.objects = Norm(x, prefix_ + "decoder.layernorm");
  }

  Value Attend(const Value& query, const Value& key, const Value& value, const std::string& p, int64_t count,
               const Value& bias) {
    const HeadShape heads = {count, s_.width / count};
    const auto project = [&](const Value& x, const char* part) {
      return SplitHeads(g_, Dense(g_, x, p + part, s_.width, s_.width), out_.batch, heads);
    };
    const Value q = project(query, "q_proj");
    const KeyValue kv = {project(key, "k_proj"), project(value, "v_proj")};
    const double scale = 1.0 / std::sqrt(static_cast<double>(heads.width));
    return Dense(g_, AttendHeads(g_, q, kv, bias, heads, scale), p + "out_proj", s_.width, s_.width);
  }

  Value Inner(const Value& x, const std::string& p, int64_t inner) {
    const Value wide =
        Activation(g_, Dense(g_, x, p + "fc1", s_.width, inner), s_.activation, "activation_function");
    return Norm(g_.Op("Add", {x, Dense(g_, wide, p + "fc2", inner, s_.width)}), p + "final_layer_norm");
  }
  Value Norm(const Value& x, const std::string& name) { return LayerNorm(g_, x, name, s_.width, kEpsilon); }

  GraphBuilder& g_;
  const DetrSizes& s_;
  const std::string prefix_;
  DetrOutput out_;
  Value places_;  // rows of the map's positions
};

}  // namespace

Result<DetrSizes> ReadDetrSizes(const Config& config) {
  for (const char* key : {"quantization_config", "auto_map"}) MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("position_embedding_type", {"sine", "learned"}));
  DetrSizes s;
  MLOS_ASSIGN_OR_RETURN(s.auxiliary_loss, config.Bool("auxiliary_loss", false));
  MLOS_ASSIGN_OR_RETURN(s.channels, config.Int("num_channels", s.channels, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.queries, config.Int("num_queries", s.queries, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("d_model", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.encoder_layers, config.Int("encoder_layers", s.encoder_layers, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.encoder_heads, config.Int("encoder_attention_heads", s.encoder_heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.encoder_inner, config.Int("encoder_ffn_dim", s.encoder_inner, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.decoder_layers, config.Int("decoder_layers", s.decoder_layers, 0, 1000));
  MLOS_ASSIGN_OR_RETURN(s.decoder_heads, config.Int("decoder_attention_heads", s.decoder_heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.decoder_inner, config.Int("decoder_ffn_dim", s.decoder_inner, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("activation_function", s.activation));
  MLOS_ASSIGN_OR_RETURN(const std::string positions, config.String("position_embedding_type", "sine"));
  s.learned_positions = positions == "learned";
  MLOS_RETURN_IF_ERROR(ReadBackbone(config, &s));
  if (s.width % 4 != 0 || s.width % s.encoder_heads != 0 || s.width % s.decoder_heads != 0) {
    return DataLoss("config.json: 'd_model' " + std::to_string(s.width) +
                    " is not a multiple of 4 and of both numbers of attention heads");
  }
  return s;
}

DetrOutput BuildDetr(GraphBuilder& g, const DetrSizes& sizes, const std::string& prefix) {
  return Detr(g, sizes, prefix).Build();
}

}  // namespace mlos::convert
