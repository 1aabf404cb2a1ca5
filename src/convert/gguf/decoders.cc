// SPDX-License-Identifier: Apache-2.0
// Llama, Mistral, Qwen2, Qwen3, Phi-3, Gemma 1 to 3: what config.json says, in llama.cpp's keys.
#include <algorithm>
#include <array>
#include <cmath>

#include "convert/gguf/decoder.h"
#include "convert/gguf/decoder_builder.h"

namespace mlos::convert {
namespace {

constexpr int64_t kMaxContext = 1 << 30;

Status RequireNoExtras(const Config& config) {
  for (const char* key : {"quantization_config", "num_local_experts", "num_experts", "layer_head_dims"}) {
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  }
  return OkStatus();
}

// Attention of every layer sees only the last tokens. llama.cpp has no such window for these architectures, so the context
// ends where it would begin to matter.
void LimitContext(int64_t window, DecoderSizes* sizes, DecoderBuilder* b) {
  if (window == 0 || window >= sizes->context) return;
  b->Note("context ends at " + std::to_string(window) + " of " + std::to_string(sizes->context) +
          " tokens: llama.cpp has no sliding window for this architecture");
  sizes->context = window;
}

Status AddRope(const Rope& rope, const DecoderSizes& s, DecoderBuilder* b) {
  GgufMetadata& m = b->metadata();
  m.SetU32(b->Key("rope.dimension_count"), static_cast<uint32_t>(s.head_dim));
  m.SetF32(b->Key("rope.freq_base"), static_cast<float>(rope.theta));
  if (rope.partial != 1) return Unimplemented("config.json: 'partial_rotary_factor' other than 1");
  if (rope.type == "longrope") return Unimplemented("config.json: rope type 'longrope' of this architecture");
  if (rope.type == "llama3") b->AddValues("rope_freqs.weight", Llama3Factors(rope, s.head_dim));
  if (rope.type != "linear" && rope.type != "yarn") return OkStatus();
  m.SetString(b->Key("rope.scaling.type"), rope.type);
  m.SetF32(b->Key("rope.scaling.factor"), static_cast<float>(rope.factor));
  if (rope.type == "linear") return OkStatus();
  m.SetU32(b->Key("rope.scaling.original_context_length"),
           static_cast<uint32_t>(rope.original_context.value_or(s.context)));
  m.SetF32(b->Key("rope.scaling.yarn_beta_fast"), static_cast<float>(rope.beta_fast));
  m.SetF32(b->Key("rope.scaling.yarn_beta_slow"), static_cast<float>(rope.beta_slow));
  return OkStatus();
}

Result<DecoderPlan> PlanLlama(const Config& config, const Checkpoint& checkpoint) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("hidden_act", {"silu", "swish"}));
  MLOS_ASSIGN_OR_RETURN(DecoderSizes s, ReadDecoderSizes(config, {}));
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 10000));
  LayerLayout layout{.rope_pairs = true};
  MLOS_ASSIGN_OR_RETURN(layout.qkv_bias, config.Bool("attention_bias", false));
  MLOS_ASSIGN_OR_RETURN(layout.mlp_bias, config.Bool("mlp_bias", false));
  layout.output_bias = layout.qkv_bias;
  MLOS_ASSIGN_OR_RETURN(const int64_t window, config.Int("sliding_window", 0, 0, kMaxContext));
  DecoderBuilder b("llama", config, checkpoint);
  LimitContext(window, &s, &b);
  b.AddSizes(s);
  MLOS_RETURN_IF_ERROR(AddRope(rope, s, &b));
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, layout));
  return std::move(b).Finish();
}

Result<DecoderPlan> PlanQwen(const Config& config, const Checkpoint& checkpoint, const char* name,
                             bool third) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("hidden_act", {"silu", "swish"}));
  MLOS_RETURN_IF_ERROR(config.RequireBool("attention_bias", false));
  MLOS_ASSIGN_OR_RETURN(DecoderSizes s, ReadDecoderSizes(config, {.head_dim = third ? 128 : 0}));
  if (!third && s.head_dim * s.heads != s.width) {
    return Unimplemented("config.json: 'head_dim' other than hidden_size / num_attention_heads");
  }
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 10000));
  MLOS_ASSIGN_OR_RETURN(const bool has_window, config.Bool("use_sliding_window", false));
  MLOS_ASSIGN_OR_RETURN(const int64_t window, config.Int("sliding_window", 4096, 0, kMaxContext));
  DecoderBuilder b(name, config, checkpoint);
  if (has_window) LimitContext(window, &s, &b);
  b.AddSizes(s);
  MLOS_RETURN_IF_ERROR(AddRope(rope, s, &b));
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, {.qkv_bias = !third, .qk_norm = third}));
  return std::move(b).Finish();
}

Result<DecoderPlan> PlanQwen2(const Config& config, const Checkpoint& checkpoint) {
  return PlanQwen(config, checkpoint, "qwen2", false);
}
Result<DecoderPlan> PlanQwen3(const Config& config, const Checkpoint& checkpoint) {
  return PlanQwen(config, checkpoint, "qwen3", true);
}

Status AddPhi3Rope(const Rope& rope, const DecoderSizes& s, DecoderBuilder* b) {
  GgufMetadata& m = b->metadata();
  const auto dims = static_cast<int64_t>(static_cast<double>(s.head_dim) * rope.partial);
  const int64_t original = rope.original_context.value_or(s.context);
  m.SetU32(b->Key("rope.dimension_count"), static_cast<uint32_t>(dims));
  m.SetF32(b->Key("rope.freq_base"), static_cast<float>(rope.theta));
  m.SetU32(b->Key("rope.scaling.original_context_length"), static_cast<uint32_t>(original));
  if (rope.type == "default") return OkStatus();
  if (rope.type != "longrope") return Unimplemented("config.json: rope type '" + rope.type + "' of Phi-3");
  const auto floats = [](const std::vector<double>& values) {
    return std::vector<float>(values.begin(), values.end());
  };
  if (rope.long_factor.size() != static_cast<size_t>(dims / 2) ||
      rope.short_factor.size() != rope.long_factor.size()) {
    return DataLoss("config.json: 'long_factor' and 'short_factor' want " + std::to_string(dims / 2) +
                    " numbers each");
  }
  m.SetF32(b->Key("rope.scaling.attn_factor"),
           static_cast<float>(LongRopeAttentionFactor(rope, s.context, original)));
  b->Note("a context of more than " + std::to_string(original) +
          " tokens uses the long factors from its first token on; transformers, once a text is that long");
  b->AddValues("rope_factors_long.weight", floats(rope.long_factor));
  b->AddValues("rope_factors_short.weight", floats(rope.short_factor));
  return OkStatus();
}

Result<DecoderPlan> PlanPhi3(const Config& config, const Checkpoint& checkpoint) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("hidden_act", {"silu", "swish"}));
  MLOS_ASSIGN_OR_RETURN(DecoderSizes s, ReadDecoderSizes(config, {.epsilon = 1e-5}));
  if (s.head_dim * s.heads != s.width) {
    return Unimplemented("config.json: 'head_dim' other than hidden_size / num_attention_heads");
  }
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 10000));
  MLOS_ASSIGN_OR_RETURN(const int64_t window, config.Int("sliding_window", 0, 0, kMaxContext));
  DecoderBuilder b("phi3", config, checkpoint);
  // The factors of long contexts go by what the model was made for, not by where we stop.
  MLOS_RETURN_IF_ERROR(AddPhi3Rope(rope, s, &b));
  LimitContext(window, &s, &b);
  b.AddSizes(s);
  b.metadata().SetU32(b.Key("attention.sliding_window"), 0);
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, {.fused_qkv = true, .fused_gate_up = true}));
  return std::move(b).Finish();
}

// llama.cpp scales scores by 1/sqrt(head_dim), in the one size of 27 billion parameters by 1/sqrt(width / heads).
Status CheckScoreScale(const Config& config, const DecoderSizes& s, int64_t layers_of_27b) {
  const int64_t wanted = s.layers == layers_of_27b ? s.width / s.heads : s.head_dim;
  MLOS_ASSIGN_OR_RETURN(const double scale, config.Number("query_pre_attn_scalar", 256, 1e-6, 1e9));
  if (scale == static_cast<double>(wanted)) return OkStatus();
  return Unimplemented("config.json: 'query_pre_attn_scalar' is " + std::to_string(scale) +
                       "; llama.cpp has " + std::to_string(wanted) + " for this model");
}

Status RequireGemmaActivation(const Config& config) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("hidden_activation", {"gelu_pytorch_tanh"}));
  // Gemma 1 says "gelu" in its oldest files and means the other one, which transformers takes whenever the new key is missing.
  return config.RequireOneOf("hidden_act", {"gelu_pytorch_tanh", "gelu"});
}

// Which layers see only the last tokens: layer_types, or every layer but each `period`-th.
Result<std::vector<bool>> WindowedLayers(const Config& config, int64_t layers, int64_t period) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> types, config.Strings("layer_types"));
  MLOS_ASSIGN_OR_RETURN(period, config.Int("sliding_window_pattern", period, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(period, config.Int("_sliding_window_pattern", period, 1, 1000));
  std::vector<bool> out;
  for (int64_t i = 0; i < layers; ++i) out.push_back((i + 1) % period != 0);
  if (types.empty()) return out;
  if (types.size() != out.size())
    return DataLoss("config.json: 'layer_types' has another length than the layers");
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] != "sliding_attention" && types[i] != "full_attention") {
      return Unimplemented("config.json: 'layer_types' has '" + types[i] + "'");
    }
    out[i] = types[i] == "sliding_attention";
  }
  return out;
}

Result<DecoderPlan> PlanGemma(const Config& config, const Checkpoint& checkpoint) {
  MLOS_RETURN_IF_ERROR(RequireGemmaActivation(config));
  MLOS_RETURN_IF_ERROR(config.RequireBool("attention_bias", false));
  MLOS_ASSIGN_OR_RETURN(const DecoderSizes s, ReadDecoderSizes(config, {.tied = true, .head_dim = 256}));
  if (!s.tied) return Unimplemented("config.json: 'tie_word_embeddings' false of Gemma");
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 10000));
  DecoderBuilder b("gemma", config, checkpoint);
  b.AddSizes(s);
  MLOS_RETURN_IF_ERROR(AddRope(rope, s, &b));
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, {.norm_plus_one = true}));
  return std::move(b).Finish();
}

Result<DecoderPlan> PlanGemma2(const Config& config, const Checkpoint& checkpoint) {
  MLOS_RETURN_IF_ERROR(RequireGemmaActivation(config));
  MLOS_RETURN_IF_ERROR(config.RequireBool("attention_bias", false));
  MLOS_ASSIGN_OR_RETURN(const DecoderSizes s, ReadDecoderSizes(config, {.tied = true, .head_dim = 256}));
  if (!s.tied) return Unimplemented("config.json: 'tie_word_embeddings' false of Gemma 2");
  MLOS_RETURN_IF_ERROR(CheckScoreScale(config, s, 46));
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 10000));
  MLOS_ASSIGN_OR_RETURN(const double scores_cap, config.Number("attn_logit_softcapping", 50, 1e-3, 1e9));
  MLOS_ASSIGN_OR_RETURN(const double logits_cap, config.Number("final_logit_softcapping", 30, 1e-3, 1e9));
  MLOS_ASSIGN_OR_RETURN(const int64_t window, config.Int("sliding_window", 4096, 1, kMaxContext));
  MLOS_ASSIGN_OR_RETURN(const std::vector<bool> windowed, WindowedLayers(config, s.layers, 2));
  DecoderBuilder b("gemma2", config, checkpoint);
  b.AddSizes(s);
  MLOS_RETURN_IF_ERROR(AddRope(rope, s, &b));
  b.metadata().SetF32(b.Key("attn_logit_softcapping"), static_cast<float>(scores_cap));
  b.metadata().SetF32(b.Key("final_logit_softcapping"), static_cast<float>(logits_cap));
  b.metadata().SetU32(b.Key("attention.sliding_window"), static_cast<uint32_t>(window));
  b.metadata().SetBools(b.Key("attention.sliding_window_pattern"), windowed);
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, {.norms_around = true, .norm_plus_one = true}));
  return std::move(b).Finish();
}

Result<DecoderPlan> PlanGemma3Text(const Config& config, const Checkpoint& checkpoint) {
  MLOS_RETURN_IF_ERROR(RequireGemmaActivation(config));
  MLOS_RETURN_IF_ERROR(config.RequireBool("attention_bias", false));
  MLOS_RETURN_IF_ERROR(config.RequireEmpty("attn_logit_softcapping"));
  MLOS_RETURN_IF_ERROR(config.RequireBool("use_bidirectional_attention", false));
  MLOS_ASSIGN_OR_RETURN(const DecoderSizes s, ReadDecoderSizes(config, {.tied = true,
                                                                        .head_dim = 256,
                                                                        .heads = 8,
                                                                        .kv_heads = 4,
                                                                        .vocabulary = 262208,
                                                                        .context = 131072}));
  MLOS_RETURN_IF_ERROR(CheckScoreScale(config, s, 62));
  MLOS_ASSIGN_OR_RETURN(const Rope rope, ReadRope(config, "full_attention", 1e6));
  MLOS_ASSIGN_OR_RETURN(const double local, config.Number("rope_local_base_freq", 10000, 1e-3, 1e15));
  MLOS_ASSIGN_OR_RETURN(const int64_t window, config.Int("sliding_window", 4096, 1, kMaxContext));
  MLOS_ASSIGN_OR_RETURN(const std::vector<bool> windowed, WindowedLayers(config, s.layers, 6));
  Rope near{.theta = local};
  if (config.Has("rope_parameters")) {
    MLOS_ASSIGN_OR_RETURN(near, ReadRope(config, "sliding_attention", local));
  }
  if (near.type != "default")
    return Unimplemented("config.json: rope type '" + near.type + "' of sliding layers");
  DecoderBuilder b("gemma3", config, checkpoint);
  b.AddSizes(s);
  MLOS_RETURN_IF_ERROR(AddRope(rope, s, &b));
  b.metadata().SetF32(b.Key("rope.freq_base_swa"), static_cast<float>(near.theta));
  if (config.Has("final_logit_softcapping")) {
    MLOS_ASSIGN_OR_RETURN(const double cap, config.Number("final_logit_softcapping", 30, 1e-3, 1e9));
    b.metadata().SetF32(b.Key("final_logit_softcapping"), static_cast<float>(cap));
  }
  b.metadata().SetU32(b.Key("attention.sliding_window"), static_cast<uint32_t>(window));
  b.metadata().SetBools(b.Key("attention.sliding_window_pattern"), windowed);
  b.Ignore("vision_tower.", "pictures, not part of the text model");
  b.Ignore("model.vision_tower.", "pictures, not part of the text model");
  b.Ignore("multi_modal_projector.", "pictures, not part of the text model");
  b.Ignore("model.multi_modal_projector.", "pictures, not part of the text model");
  MLOS_RETURN_IF_ERROR(b.AddTensors(s, {.qk_norm = true, .norms_around = true, .norm_plus_one = true}));
  return std::move(b).Finish();
}

Result<DecoderPlan> PlanGemma3(const Config& config, const Checkpoint& checkpoint) {
  if (!config.Has("text_config")) return DataLoss("config.json has no 'text_config'");
  MLOS_ASSIGN_OR_RETURN(const Config text, config.Object("text_config"));
  return PlanGemma3Text(text, checkpoint);
}

struct Decoder {
  std::string_view model_type;
  Result<DecoderPlan> (*plan)(const Config&, const Checkpoint&);
};
constexpr std::array<Decoder, 9> kDecoders = {{{"gemma", PlanGemma},
                                               {"gemma2", PlanGemma2},
                                               {"gemma3", PlanGemma3},
                                               {"gemma3_text", PlanGemma3Text},
                                               {"llama", PlanLlama},
                                               {"mistral", PlanLlama},
                                               {"phi3", PlanPhi3},
                                               {"qwen2", PlanQwen2},
                                               {"qwen3", PlanQwen3}}};

// A head that is not the one over the vocabulary would be lost.
Status RequireCausal(const Config& config) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> classes, config.Strings("architectures"));
  for (const std::string& name : classes) {
    if (name.ends_with("ForCausalLM") || name.ends_with("Model") || name == "Gemma3ForConditionalGeneration")
      continue;
    return Unimplemented("config.json: 'architectures' is " + name + "; GGUF takes causal language models");
  }
  return OkStatus();
}

}  // namespace

std::vector<std::string> DecoderModelTypes() {
  std::vector<std::string> out;
  for (const Decoder& decoder : kDecoders) out.emplace_back(decoder.model_type);
  return out;
}

bool IsDecoderModelType(std::string_view model_type) {
  return std::any_of(kDecoders.begin(), kDecoders.end(),
                     [&](const Decoder& decoder) { return decoder.model_type == model_type; });
}

Result<DecoderPlan> PlanDecoder(const Config& config, const Checkpoint& checkpoint) {
  MLOS_ASSIGN_OR_RETURN(const std::string model_type, config.String("model_type", ""));
  const auto it = std::find_if(kDecoders.begin(), kDecoders.end(),
                               [&](const Decoder& decoder) { return decoder.model_type == model_type; });
  if (it == kDecoders.end()) {
    std::string known;
    for (const Decoder& decoder : kDecoders)
      known += (known.empty() ? "" : ", ") + std::string(decoder.model_type);
    return Unimplemented("config.json: 'model_type' is '" + model_type + "'; GGUF: " + known);
  }
  MLOS_RETURN_IF_ERROR(RequireCausal(config));
  MLOS_RETURN_IF_ERROR(RequireNoExtras(config));
  return it->plan(config, checkpoint);
}

}  // namespace mlos::convert
