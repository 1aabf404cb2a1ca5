// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/decoder_builder.h"

#include <algorithm>

namespace mlos::convert {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 1000;
constexpr int64_t kMaxVocabulary = 1 << 24;
constexpr int64_t kMaxContext = 1 << 30;

// Where the tensors of the language model are: a bare model, one with its head, the text part of a picture model.
constexpr const char* kPrefixes[] = {"model.", "", "language_model.model.", "model.language_model."};

}  // namespace

Result<DecoderSizes> ReadDecoderSizes(const Config& config, const DecoderDefaults& defaults) {
  DecoderSizes s;
  const auto read = [&](const char* key, int64_t fallback, int64_t maximum, int64_t* out) -> Status {
    if (fallback == 0 && !config.Has(key)) return DataLoss(std::string("config.json has no '") + key + "'");
    MLOS_ASSIGN_OR_RETURN(*out, config.Int(key, fallback, 1, maximum));
    return OkStatus();
  };
  MLOS_RETURN_IF_ERROR(read("hidden_size", 0, kMaxWidth, &s.width));
  MLOS_RETURN_IF_ERROR(read("num_hidden_layers", 0, kMaxLayers, &s.layers));
  MLOS_RETURN_IF_ERROR(read("intermediate_size", 0, kMaxWidth, &s.inner));
  MLOS_RETURN_IF_ERROR(read("num_attention_heads", defaults.heads, 1 << 16, &s.heads));
  MLOS_RETURN_IF_ERROR(read("vocab_size", defaults.vocabulary, kMaxVocabulary, &s.vocabulary));
  MLOS_RETURN_IF_ERROR(read("max_position_embeddings", defaults.context, kMaxContext, &s.context));
  const int64_t kv_heads = defaults.kv_heads > 0 ? defaults.kv_heads : s.heads;
  MLOS_ASSIGN_OR_RETURN(s.kv_heads, config.Int("num_key_value_heads", kv_heads, 1, s.heads));
  const int64_t head_dim = defaults.head_dim > 0 ? defaults.head_dim : s.width / s.heads;
  MLOS_ASSIGN_OR_RETURN(s.head_dim, config.Int("head_dim", head_dim, 2, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("rms_norm_eps", defaults.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", defaults.tied));
  if (s.heads % s.kv_heads != 0 || s.head_dim % 2 != 0) {
    return DataLoss(
        "config.json: 'num_attention_heads' is no multiple of 'num_key_value_heads', or 'head_dim' is odd");
  }
  return s;
}

DecoderBuilder::DecoderBuilder(std::string architecture, const Config& /*config*/,
                               const Checkpoint& checkpoint)
    : checkpoint_(checkpoint) {
  plan_.architecture = std::move(architecture);
}

void DecoderBuilder::AddSizes(const DecoderSizes& s) {
  const auto u32 = [&](const char* key, int64_t value) {
    metadata().SetU32(Key(key), static_cast<uint32_t>(value));
  };
  plan_.vocabulary = s.vocabulary;
  plan_.context_length = static_cast<uint32_t>(s.context);
  u32("block_count", s.layers);
  u32("context_length", s.context);
  u32("embedding_length", s.width);
  u32("feed_forward_length", s.inner);
  u32("attention.head_count", s.heads);
  u32("attention.head_count_kv", s.kv_heads);
  u32("attention.key_length", s.head_dim);
  u32("attention.value_length", s.head_dim);
  u32("vocab_size", s.vocabulary);
  metadata().SetF32(Key("attention.layer_norm_rms_epsilon"), static_cast<float>(s.epsilon));
}

Status DecoderBuilder::FindPrefix() {
  for (const char* prefix : kPrefixes) {
    if (checkpoint_.Find(std::string(prefix) + "embed_tokens.weight") == nullptr) continue;
    base_ = prefix;
    return OkStatus();
  }
  return DataLoss("the checkpoint has no tensor 'model.embed_tokens.weight'");
}

Status DecoderBuilder::Take(const std::string& name, const std::string& source, Shape shape, Taken how) {
  const CheckpointTensor* tensor = checkpoint_.Find(source);
  if (tensor == nullptr) return DataLoss("the checkpoint has no tensor '" + source + "'");
  if (tensor->entry.shape != shape) {
    return DataLoss("tensor '" + source + "' has shape " + ShapeToString(tensor->entry.shape) +
                    ", config.json says " + ShapeToString(shape));
  }
  const DType dtype = tensor->entry.dtype;
  if (dtype != DType::kFp32 && dtype != DType::kFp16 && dtype != DType::kBf16) {
    return Unimplemented("tensor '" + source + "' is " + std::string(DTypeName(dtype)) +
                         "; supported: FP32, FP16, BF16");
  }
  used_.insert(source);
  plan_.used.push_back(source);
  MLOS_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  plan_.parameters += static_cast<uint64_t>(count);
  plan_.tensors.push_back({name, std::move(shape), tensor, {}, how.change, how.heads});
  return OkStatus();
}

Status DecoderBuilder::TakeLinear(const std::string& name, const std::string& source, int64_t out, int64_t in,
                                  bool bias, Taken how) {
  MLOS_RETURN_IF_ERROR(Take(name + ".weight", source + ".weight", {out, in}, how));
  return bias ? Take(name + ".bias", source + ".bias", {out}, how) : OkStatus();
}

Status DecoderBuilder::TakeNorm(const std::string& name, const std::string& source, int64_t width,
                                const LayerLayout& layout) {
  return Take(name + ".weight", source + ".weight", {width},
              {layout.norm_plus_one ? Change::kPlusOne : Change::kNone, 0});
}

void DecoderBuilder::AddValues(std::string name, std::vector<float> values) {
  Shape shape = {static_cast<int64_t>(values.size())};
  plan_.tensors.push_back({std::move(name), std::move(shape), nullptr, std::move(values), Change::kNone, 0});
}

Status DecoderBuilder::AddAttention(const std::string& to, const std::string& from, const DecoderSizes& s,
                                    const LayerLayout& layout) {
  const int64_t queries = s.heads * s.head_dim;
  const int64_t keys = s.kv_heads * s.head_dim;
  if (layout.fused_qkv) {
    MLOS_RETURN_IF_ERROR(
        TakeLinear(to + "attn_qkv", from + "qkv_proj", queries + 2 * keys, s.width, layout.qkv_bias));
  } else {
    const auto pairs = [&](int64_t heads) {
      return layout.rope_pairs ? Taken{Change::kRopePairs, heads} : Taken{};
    };
    MLOS_RETURN_IF_ERROR(
        TakeLinear(to + "attn_q", from + "q_proj", queries, s.width, layout.qkv_bias, pairs(s.heads)));
    MLOS_RETURN_IF_ERROR(
        TakeLinear(to + "attn_k", from + "k_proj", keys, s.width, layout.qkv_bias, pairs(s.kv_heads)));
    MLOS_RETURN_IF_ERROR(TakeLinear(to + "attn_v", from + "v_proj", keys, s.width, layout.qkv_bias));
  }
  if (layout.qk_norm) {
    MLOS_RETURN_IF_ERROR(TakeNorm(to + "attn_q_norm", from + "q_norm", s.head_dim, layout));
    MLOS_RETURN_IF_ERROR(TakeNorm(to + "attn_k_norm", from + "k_norm", s.head_dim, layout));
  }
  return TakeLinear(to + "attn_output", from + "o_proj", s.width, queries, layout.output_bias);
}

Status DecoderBuilder::AddLayer(int64_t index, const DecoderSizes& s, const LayerLayout& layout) {
  const std::string to = "blk." + std::to_string(index) + ".";
  const std::string from = base_ + "layers." + std::to_string(index) + ".";
  MLOS_RETURN_IF_ERROR(TakeNorm(to + "attn_norm", from + "input_layernorm", s.width, layout));
  MLOS_RETURN_IF_ERROR(AddAttention(to, from + "self_attn.", s, layout));
  if (layout.norms_around) {
    MLOS_RETURN_IF_ERROR(
        TakeNorm(to + "post_attention_norm", from + "post_attention_layernorm", s.width, layout));
    MLOS_RETURN_IF_ERROR(TakeNorm(to + "ffn_norm", from + "pre_feedforward_layernorm", s.width, layout));
    MLOS_RETURN_IF_ERROR(
        TakeNorm(to + "post_ffw_norm", from + "post_feedforward_layernorm", s.width, layout));
  } else {
    MLOS_RETURN_IF_ERROR(TakeNorm(to + "ffn_norm", from + "post_attention_layernorm", s.width, layout));
  }
  if (layout.fused_gate_up) {
    MLOS_RETURN_IF_ERROR(
        TakeLinear(to + "ffn_up", from + "mlp.gate_up_proj", 2 * s.inner, s.width, layout.mlp_bias));
  } else {
    MLOS_RETURN_IF_ERROR(
        TakeLinear(to + "ffn_gate", from + "mlp.gate_proj", s.inner, s.width, layout.mlp_bias));
    MLOS_RETURN_IF_ERROR(TakeLinear(to + "ffn_up", from + "mlp.up_proj", s.inner, s.width, layout.mlp_bias));
  }
  return TakeLinear(to + "ffn_down", from + "mlp.down_proj", s.width, s.inner, layout.mlp_bias);
}

Status DecoderBuilder::AddOutput(const DecoderSizes& s) {
  const std::string head =
      base_ == "language_model.model." ? "language_model.lm_head.weight" : "lm_head.weight";
  if (s.tied || base_.empty()) {
    Ignore(head, "the same as the embedding it is tied to");
    return OkStatus();
  }
  return Take("output.weight", head, {s.vocabulary, s.width});
}

Status DecoderBuilder::AddTensors(const DecoderSizes& s, const LayerLayout& layout) {
  MLOS_RETURN_IF_ERROR(FindPrefix());
  MLOS_RETURN_IF_ERROR(Take("token_embd.weight", base_ + "embed_tokens.weight", {s.vocabulary, s.width}));
  for (int64_t i = 0; i < s.layers; ++i) MLOS_RETURN_IF_ERROR(AddLayer(i, s, layout));
  MLOS_RETURN_IF_ERROR(TakeNorm("output_norm", base_ + "norm", s.width, layout));
  return AddOutput(s);
}

Result<DecoderPlan> DecoderBuilder::Finish() && {
  for (const auto& [name, tensor] : checkpoint_.tensors()) {
    if (used_.count(name) > 0) continue;
    if (name.ends_with("rotary_emb.inv_freq")) {
      plan_.ignored.push_back(name + " (computed from the config)");
      continue;
    }
    const auto rule = std::find_if(ignore_.begin(), ignore_.end(),
                                   [&](const auto& known) { return name.starts_with(known.first); });
    if (rule == ignore_.end()) {
      return Unimplemented("the checkpoint has tensor '" + name + "', which " + plan_.architecture +
                           " in GGUF does not know");
    }
    plan_.ignored.push_back(name + " (" + rule->second + ")");
  }
  return std::move(plan_);
}

}  // namespace mlos::convert
