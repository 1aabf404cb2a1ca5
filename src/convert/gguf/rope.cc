// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/rope.h"

#include <cmath>
#include <numbers>

namespace mlos::convert {
namespace {

constexpr int64_t kMaxContext = 1 << 30;
constexpr double kMaxFactor = 1e9;

// The object that says how positions are scaled: of either spelling, or an empty one.
Result<Config> ScalingOf(const Config& config, std::string_view layer_type) {
  if (!config.Has("rope_parameters")) return config.Object("rope_scaling");
  MLOS_ASSIGN_OR_RETURN(Config all, config.Object("rope_parameters"));
  if (all.Has("full_attention") || all.Has("sliding_attention")) return all.Object(layer_type);
  return all;
}

Result<std::string> TypeOf(const Config& scaling) {
  MLOS_ASSIGN_OR_RETURN(const std::string old, scaling.String("type", "default"));
  MLOS_ASSIGN_OR_RETURN(std::string type, scaling.String("rope_type", old));
  if (type == "su") type = "longrope";
  for (const char* known : {"default", "linear", "llama3", "yarn", "longrope"}) {
    if (type == known) return type;
  }
  return Unimplemented("config.json: rope type '" + type +
                       "'; supported: default, linear, llama3, longrope, yarn");
}

Status ReadYarn(const Config& scaling, Rope* rope) {
  MLOS_ASSIGN_OR_RETURN(rope->beta_fast, scaling.Number("beta_fast", 32, 0, kMaxFactor));
  MLOS_ASSIGN_OR_RETURN(rope->beta_slow, scaling.Number("beta_slow", 1, 0, kMaxFactor));
  MLOS_RETURN_IF_ERROR(scaling.RequireBool("truncate", true));
  MLOS_RETURN_IF_ERROR(scaling.RequireEmpty("mscale"));
  MLOS_RETURN_IF_ERROR(scaling.RequireEmpty("mscale_all_dim"));
  const double usual = rope->factor > 1 ? 0.1 * std::log(rope->factor) + 1 : 1;
  if (rope->attention_factor && std::abs(*rope->attention_factor - usual) > 1e-6) {
    return Unimplemented("config.json: 'attention_factor' of yarn other than 0.1 ln(factor) + 1");
  }
  return OkStatus();
}

}  // namespace

Result<Rope> ReadRope(const Config& config, std::string_view layer_type, double default_theta) {
  Rope rope;
  MLOS_ASSIGN_OR_RETURN(const Config scaling, ScalingOf(config, layer_type));
  MLOS_ASSIGN_OR_RETURN(rope.type, TypeOf(scaling));
  MLOS_ASSIGN_OR_RETURN(rope.theta, config.Number("rope_theta", default_theta, 1e-3, 1e15));
  MLOS_ASSIGN_OR_RETURN(rope.theta, scaling.Number("rope_theta", rope.theta, 1e-3, 1e15));
  MLOS_ASSIGN_OR_RETURN(rope.partial, config.Number("partial_rotary_factor", 1, 1e-3, 1));
  MLOS_ASSIGN_OR_RETURN(rope.partial, scaling.Number("partial_rotary_factor", rope.partial, 1e-3, 1));
  int64_t original = 0;
  MLOS_ASSIGN_OR_RETURN(original, config.Int("original_max_position_embeddings", 0, 0, kMaxContext));
  MLOS_ASSIGN_OR_RETURN(original, scaling.Int("original_max_position_embeddings", original, 0, kMaxContext));
  if (original > 0) rope.original_context = original;
  if (rope.type == "default") return rope;
  if (rope.type != "longrope" && !scaling.Has("factor")) {
    return DataLoss("config.json: rope type '" + rope.type + "' has no 'factor'");
  }
  MLOS_ASSIGN_OR_RETURN(rope.factor, scaling.Number("factor", 1, 1e-3, kMaxFactor));
  if (scaling.Has("attention_factor")) {
    MLOS_ASSIGN_OR_RETURN(rope.attention_factor, scaling.Number("attention_factor", 1, 0, kMaxFactor));
  }
  if (rope.type == "llama3") {
    MLOS_ASSIGN_OR_RETURN(rope.low_freq_factor, scaling.Number("low_freq_factor", 1, 1e-6, kMaxFactor));
    MLOS_ASSIGN_OR_RETURN(rope.high_freq_factor, scaling.Number("high_freq_factor", 4, 1e-6, kMaxFactor));
    if (rope.high_freq_factor <= rope.low_freq_factor || !rope.original_context) {
      return DataLoss(
          "config.json: rope type 'llama3' wants 'original_max_position_embeddings' and high_freq_factor > "
          "low_freq_factor");
    }
  }
  if (rope.type == "yarn") MLOS_RETURN_IF_ERROR(ReadYarn(scaling, &rope));
  if (rope.type == "longrope") {
    MLOS_ASSIGN_OR_RETURN(rope.long_factor, scaling.Numbers("long_factor"));
    MLOS_ASSIGN_OR_RETURN(rope.short_factor, scaling.Numbers("short_factor"));
  }
  return rope;
}

std::vector<float> Llama3Factors(const Rope& rope, int64_t head_dim) {
  std::vector<float> out;
  const auto original = static_cast<double>(rope.original_context.value_or(8192));
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi *
        std::pow(rope.theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (wavelength < original / rope.high_freq_factor) {
      out.push_back(1);
    } else if (wavelength > original / rope.low_freq_factor) {
      out.push_back(static_cast<float>(rope.factor));
    } else {
      const double smooth =
          (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      out.push_back(static_cast<float>(1 / ((1 - smooth) / rope.factor + smooth)));
    }
  }
  return out;
}

double LongRopeAttentionFactor(const Rope& rope, int64_t context, int64_t original_context) {
  if (rope.attention_factor) return *rope.attention_factor;
  const double scale = static_cast<double>(context) / static_cast<double>(original_context);
  return scale > 1 ? std::sqrt(1 + std::log(scale) / std::log(static_cast<double>(original_context))) : 1;
}

}  // namespace mlos::convert
