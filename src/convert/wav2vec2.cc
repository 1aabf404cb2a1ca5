// SPDX-License-Identifier: Apache-2.0
// Wav2Vec2 (model_type "wav2vec2") and HuBERT ("hubert"): convolutions over the recording's samples, a convolution for the positions, a
// transformer encoder.
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "convert/architectures.h"
#include "convert/attention_layers.h"
#include "convert/audio_model.h"
#include "convert/image_model.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kConvEpsilon = 1e-5;

struct AudioSizes {
  int64_t vocabulary = 32, layers = 12, projected = 256;
  std::vector<int64_t> channels, kernels, strides;
  bool conv_bias = false, conv_layer_norm = false;  // else one group norm, in the first layer
  std::string conv_activation = "gelu";
  bool projection_norm = true;
  int64_t position_kernel = 128, position_groups = 16;
  bool weighted = false;
  LayerSizes layer;
};

Status ReadConvolutions(const Config& config, AudioSizes* s) {
  constexpr int64_t kMax = 1 << 16;
  MLOS_ASSIGN_OR_RETURN(s->channels, config.Ints("conv_dim", std::vector<int64_t>(7, 512), 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s->kernels, config.Ints("conv_kernel", {10, 3, 3, 3, 3, 2, 2}, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s->strides, config.Ints("conv_stride", {5, 2, 2, 2, 2, 2, 2}, 1, kMax));
  if (s->channels.size() != s->kernels.size() || s->channels.size() != s->strides.size()) {
    return DataLoss("config.json: 'conv_dim', 'conv_kernel' and 'conv_stride' have " +
                    std::to_string(s->channels.size()) + ", " + std::to_string(s->kernels.size()) + " and " +
                    std::to_string(s->strides.size()) + " numbers, not equally many");
  }
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("feat_extract_norm", {"group", "layer"}));
  MLOS_ASSIGN_OR_RETURN(const std::string norm, config.String("feat_extract_norm", "group"));
  s->conv_layer_norm = norm == "layer";
  MLOS_ASSIGN_OR_RETURN(s->conv_bias, config.Bool("conv_bias", false));
  MLOS_ASSIGN_OR_RETURN(s->conv_activation, config.String("feat_extract_activation", "gelu"));
  MLOS_ASSIGN_OR_RETURN(s->position_kernel, config.Int("num_conv_pos_embeddings", 128, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s->position_groups, config.Int("num_conv_pos_embedding_groups", 16, 1, kMax));
  return OkStatus();
}

Result<AudioSizes> ReadSizes(const Config& config) {
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map", "adapter_attn_dim"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  for (const char* key : {"add_adapter", "conv_pos_batch_norm"})
    MLOS_RETURN_IF_ERROR(config.RequireBool(key, false));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  AudioSizes s;
  MLOS_RETURN_IF_ERROR(ReadConvolutions(config, &s));
  LayerSizes& l = s.layer;
  l.activation_key = "hidden_act";
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(l.width, config.Int("hidden_size", 768, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("num_hidden_layers", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(l.heads, config.Int("num_attention_heads", 12, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(l.inner, config.Int("intermediate_size", 3072, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(l.activation, config.String("hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(l.epsilon, config.Number("layer_norm_eps", 1e-5, 0, 1));
  MLOS_ASSIGN_OR_RETURN(l.pre_norm, config.Bool("do_stable_layer_norm", false));
  MLOS_ASSIGN_OR_RETURN(s.projection_norm, config.Bool("feat_proj_layer_norm", true));
  MLOS_ASSIGN_OR_RETURN(s.projected, config.Int("classifier_proj_size", s.projected, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.weighted, config.Bool("use_weighted_layer_sum", false));
  if (s.weighted && l.pre_norm) {
    return Unimplemented(
        "config.json: 'use_weighted_layer_sum' is true together with 'do_stable_layer_norm', where "
        "transformers "
        "4 and 5 weigh different numbers (the last layer with and without the last norm); supported: one of "
        "them");
  }
  if (l.width % l.heads != 0 || l.width % s.position_groups != 0) {
    return DataLoss("config.json: 'hidden_size' " + std::to_string(l.width) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(l.heads) +
                    " and of 'num_conv_pos_embedding_groups' " + std::to_string(s.position_groups));
  }
  return s;
}

class AudioEncoder {
 public:
  AudioEncoder(GraphBuilder& g, const AudioSizes& sizes, const std::string& base)
      : g_(g), s_(sizes), names_(g, base, "feature_extractor.conv_layers.0.conv.weight") {}

  const ModelNames& names() const { return names_; }
  const AudioSizes& sizes() const { return s_; }
  int64_t width() const { return s_.layer.width; }

  // Declares input_values; frames [batch, frames, width].
  Value Encode() {
    const Value samples = g_.Input("input_values", DType::kFp32, {kBatchAxis, kSequenceAxis});
    Value x = g_.Op("Unsqueeze", {samples, g_.Ints({1})});
    for (size_t i = 0; i < s_.channels.size(); ++i) x = FeatureLayer(x, i);
    x = Projected(SwapTime(g_, x));
    layout_ = {g_.Op("Slice", {g_.Op("Shape", {x}), g_.Ints({0}), g_.Ints({2})}), width()};
    x = Transform(ToRows(g_, g_.Op("Add", {x, Positions(x)}), width()));
    return Frames(x);
  }

  // Every layer's answer and what went into the first, by the weights the checkpoint has; or the last answer alone.
  Value HeadFrames() {
    const Value last = Encode();
    if (!s_.weighted) return last;
    g_.SetScope("layer_weights");
    return Frames(WeightedSum(g_, names_.Of("layer_weights"), states_));
  }

 private:
  Value Frames(const Value& rows) { return FromRows(g_, layout_, rows, width()); }

  Value FeatureLayer(const Value& x, size_t index) {
    const std::string p = names_.Base("feature_extractor.conv_layers." + std::to_string(index) + ".");
    g_.SetScope(p);
    const int64_t out = s_.channels[index];
    const int64_t in = index == 0 ? 1 : s_.channels[index - 1];
    Value y =
        ConvolveTime(g_, x, p + "conv", s_.conv_bias, {in, out, s_.kernels[index], s_.strides[index], 0, 1});
    if (s_.conv_layer_norm) {
      y = SwapTime(g_, LayerNorm(g_, SwapTime(g_, y), p + "layer_norm", out, kConvEpsilon));
    } else if (index == 0) {
      // As many groups as channels.
      y = g_.Op("InstanceNormalization",
                {y, g_.Weight(p + "layer_norm.weight", {out}), g_.Weight(p + "layer_norm.bias", {out})},
                {{"epsilon", static_cast<float>(kConvEpsilon)}});
    }
    return Activation(g_, y, s_.conv_activation, "feat_extract_activation");
  }

  // [batch, frames, channels] -> [batch, frames, width].
  Value Projected(const Value& x) {
    const std::string p = names_.Base("feature_projection.");
    g_.SetScope(p);
    const int64_t channels = s_.channels.back();
    const Value normed =
        s_.projection_norm ? LayerNorm(g_, x, p + "layer_norm", channels, s_.layer.epsilon) : x;
    const Layout layout = {g_.Op("Slice", {g_.Op("Shape", {x}), g_.Ints({0}), g_.Ints({2})}), width()};
    const Value rows = Dense(g_, ToRows(g_, normed, channels), p + "projection", channels, width());
    return FromRows(g_, layout, rows, width());
  }

  // Weight of the positions' convolution: kept as it is, or as direction and length (PyTorch's weight_norm over the last dimension),
  // under the names of either of its versions.
  Value PositionWeight(const std::string& conv) {
    const int64_t in = width() / s_.position_groups;
    const Shape shape = {width(), in, s_.position_kernel};
    if (g_.Has(conv + ".weight")) return g_.Weight(conv + ".weight", shape);
    const bool old = g_.Has(conv + ".weight_v") || g_.Has(conv + ".weight_g");
    const std::string pair = conv + (old ? ".weight_" : ".parametrizations.weight.original");
    const Value length = g_.Weight(pair + (old ? "g" : "0"), {1, 1, s_.position_kernel});
    const Value direction = g_.Weight(pair + (old ? "v" : "1"), shape);
    const Value norm = g_.Op("ReduceL2", {direction, g_.Ints({0, 1})});
    return g_.Op("Mul", {direction, g_.Op("Div", {length, norm})});
  }

  Value Positions(const Value& x) {
    const std::string conv = names_.Base("encoder.pos_conv_embed.conv");
    g_.SetScope(conv);
    const int64_t padding = s_.position_kernel / 2;
    Value y = ConvolveTime(g_, SwapTime(g_, x), PositionWeight(conv), g_.Weight(conv + ".bias", {width()}),
                           {width(), width(), s_.position_kernel, 1, padding, s_.position_groups});
    // An even kernel gives one frame too many.
    if (s_.position_kernel % 2 == 0) y = g_.Op("Slice", {y, g_.Ints({0}), g_.Ints({-1}), g_.Ints({2})});
    return SwapTime(g_, Activation(g_, y, s_.conv_activation, "feat_extract_activation"));
  }

  Value Transform(Value x) {
    const std::string p = names_.Base("encoder.");
    const auto norm = [&](const Value& rows) {
      g_.SetScope(p + "layer_norm");
      return LayerNorm(g_, rows, p + "layer_norm", width(), s_.layer.epsilon);
    };
    if (!s_.layer.pre_norm) x = norm(x);
    const Value batch = g_.Op("Gather", {layout_.batch_and_sequence, g_.Ints({0})}, {{"axis", int64_t{0}}});
    AttentionLayers layers(g_, s_.layer,
                           {.attention = "attention",
                            .attention_norm = "layer_norm",
                            .up = "feed_forward.intermediate_dense",
                            .down = "feed_forward.output_dense",
                            .final_norm = "final_layer_norm"});
    for (int64_t i = 0; i < s_.layers; ++i) {
      states_.push_back(x);
      x = layers.Encoder(x, p + "layers." + std::to_string(i) + ".", batch, {});
    }
    if (s_.layer.pre_norm) x = norm(x);
    states_.push_back(x);
    return x;
  }

  GraphBuilder& g_;
  const AudioSizes s_;
  const ModelNames names_;
  Layout layout_;
  std::vector<Value> states_;  // rows
};

// Scores of each frame by linear layer `name`.
void FrameScores(GraphBuilder& g, const Value& frames, const std::string& name, int64_t width,
                 int64_t count) {
  g.SetScope(name);
  const Layout layout = {g.Op("Slice", {g.Op("Shape", {frames}), g.Ints({0}), g.Ints({2})}), width};
  const Value scores = Dense(g, ToRows(g, frames, width), name, width, count);
  g.Output("logits", FromRows(g, layout, scores, count), DType::kFp32, {kBatchAxis, kFramesAxis, count});
}

Status Answer(GraphBuilder& g, AudioEncoder& model, Head head, const std::string& architecture) {
  const ModelNames& names = model.names();
  switch (head) {
    case Head::kEncoder:
      g.Output("last_hidden_state", model.Encode(), DType::kFp32, {kBatchAxis, kFramesAxis, model.width()});
      return OkStatus();
    case Head::kSpeechRecognition:
      FrameScores(g, model.Encode(), names.Of("lm_head"), model.width(), model.sizes().vocabulary);
      return OkStatus();
    case Head::kAudioClassification:
      RecordingLabels(g, model.HeadFrames(), names.Of("projector"), names.Of("classifier"), model.width(),
                      model.sizes().projected);
      return OkStatus();
    case Head::kAudioFrames: {
      const Value frames = model.HeadFrames();
      const Shape shape = g.ShapeOf(names.Of("classifier.weight"));
      FrameScores(g, frames, names.Of("classifier"), model.width(), shape.empty() ? -1 : shape.front());
      return OkStatus();
    }
    default:
      return Unimplemented("task '" + std::string(TaskName(head)) + "' is not supported for " + architecture);
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context, const std::string& architecture) {
  if (context.encoder_only)
    return Unimplemented("pooling of sentence-transformers is not supported for " + architecture);
  MLOS_ASSIGN_OR_RETURN(const AudioSizes sizes, ReadSizes(context.config));
  AudioEncoder model(g, sizes, architecture + ".");
  MLOS_RETURN_IF_ERROR(Answer(g, model, context.head, architecture));
  const ModelNames& names = model.names();
  std::vector<IgnoreRule> rules = {
      IgnoreTensor(names.Base("masked_spec_embed"), "for training"),
      {names.Of("quantizer."), "", "for training"},
      {names.Of("project_"), "", "for training"},
  };
  if (context.head == Head::kEncoder) {
    for (const char* head : {"lm_head.", "projector.", "classifier."})
      rules.push_back({names.Of(head), "", "not part of the task"});
    rules.push_back(IgnoreTensor(names.Of("layer_weights"), "not part of the task"));
  }
  return BuildResult{{}, std::move(rules), 0};
}

Result<BuildResult> BuildWav2Vec2(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, "wav2vec2");
}
Result<BuildResult> BuildHubert(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, "hubert");
}

constexpr std::array<Architecture::ClassHead, 5> kClasses = {{
    {"Wav2Vec2Model", Head::kEncoder},
    {"Wav2Vec2ForPreTraining", Head::kEncoder},
    {"Wav2Vec2ForCTC", Head::kSpeechRecognition},
    {"Wav2Vec2ForSequenceClassification", Head::kAudioClassification},
    {"Wav2Vec2ForAudioFrameClassification", Head::kAudioFrames},
}};

constexpr std::array<Architecture::ClassHead, 3> kHubertClasses = {{
    {"HubertModel", Head::kEncoder},
    {"HubertForCTC", Head::kSpeechRecognition},
    {"HubertForSequenceClassification", Head::kAudioClassification},
}};

}  // namespace

const Architecture kWav2Vec2 = {"wav2vec2", kClasses, BuildWav2Vec2};
const Architecture kHubert = {"hubert", kHubertClasses, BuildHubert};

}  // namespace mlos::convert
