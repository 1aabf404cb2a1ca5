// SPDX-License-Identifier: Apache-2.0
#include "convert/deberta_config.h"

#include <algorithm>
#include <vector>

namespace mlos::convert {
namespace {

// "p2c|c2p", or the two in a list.
Status ReadPositionTypes(const Config& config, DebertaSizes* s) {
  std::vector<std::string> types;
  const Result<std::string> text = config.String("pos_att_type", "");
  if (text.ok()) {
    for (size_t start = 0; start < text->size();) {
      const size_t end = std::min(text->find('|', start), text->size());
      types.push_back(text->substr(start, end - start));
      start = end + 1;
    }
  } else {
    MLOS_ASSIGN_OR_RETURN(types, config.Strings("pos_att_type"));
  }
  for (const std::string& type : types) {
    if (type == "c2p") {
      s->content_to_position = true;
    } else if (type == "p2c") {
      s->position_to_content = true;
    } else {
      return Unimplemented("config.json: 'pos_att_type' has \"" + type + "\"; supported: c2p, p2c");
    }
  }
  return OkStatus();
}

Status ReadRelative(const Config& config, DebertaSizes* s) {
  constexpr int64_t kMax = 1 << 14;
  MLOS_ASSIGN_OR_RETURN(s->relative, config.Bool("relative_attention", false));
  MLOS_RETURN_IF_ERROR(ReadPositionTypes(config, s));
  MLOS_ASSIGN_OR_RETURN(s->shared_keys, config.Bool("share_att_key", false));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("norm_rel_ebd", {"none", "layer_norm"}));
  MLOS_ASSIGN_OR_RETURN(const std::string norm, config.String("norm_rel_ebd", "none"));
  s->norm_relative = norm == "layer_norm";
  MLOS_ASSIGN_OR_RETURN(s->buckets, config.Int("position_buckets", -1, -1, kMax));
  MLOS_ASSIGN_OR_RETURN(s->max_distance, config.Int("max_relative_positions", -1, -1, kMax));
  if (s->max_distance < 1) s->max_distance = s->text.positions;
  if (s->relative && s->max_distance > kMax) {
    return Unimplemented("config.json: 'max_position_embeddings' is " + std::to_string(s->max_distance) +
                         "; supported with relative positions: up to " + std::to_string(kMax));
  }
  // Then the bucket of the largest distance is the last one.
  if (s->relative && s->buckets > 0 &&
      (s->buckets < 4 || s->buckets % 2 != 0 || s->max_distance - 1 <= s->buckets / 2)) {
    return Unimplemented("config.json: 'position_buckets' is " + std::to_string(s->buckets) +
                         " for distances up to " + std::to_string(s->max_distance) +
                         "; supported: even numbers from 4 on, and more distances than half of them");
  }
  return OkStatus();
}

}  // namespace

Result<DebertaSizes> ReadDebertaV2(const Config& config) {
  DebertaSizes s;
  s.text = {128100, 1536, 24, 24, 6144, 512, 0, 1e-7, "gelu", "hidden_act", true};
  MLOS_ASSIGN_OR_RETURN(s.text, ReadTextSizes(config, s.text));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.text.width, 1, 1 << 20));
  MLOS_RETURN_IF_ERROR(ReadRelative(config, &s));
  MLOS_ASSIGN_OR_RETURN(s.absolute, config.Bool("position_biased_input", true));
  MLOS_ASSIGN_OR_RETURN(s.conv_kernel, config.Int("conv_kernel_size", 0, 0, 1001));
  if (s.conv_kernel > 0 && s.conv_kernel % 2 == 0) {
    return Unimplemented("config.json: 'conv_kernel_size' is " + std::to_string(s.conv_kernel) +
                         "; supported: odd sizes");
  }
  MLOS_ASSIGN_OR_RETURN(s.conv_groups, config.Int("conv_groups", 1, 1, s.text.width));
  MLOS_ASSIGN_OR_RETURN(s.conv_activation, config.String("conv_act", "tanh"));
  MLOS_ASSIGN_OR_RETURN(s.pooler_activation, config.String("pooler_hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(s.legacy, config.Bool("legacy", true));
  const int64_t head_width = s.text.width / s.text.heads;
  MLOS_RETURN_IF_ERROR(config.Int("attention_head_size", head_width, head_width, head_width).status());
  MLOS_RETURN_IF_ERROR(config.Int("pooler_hidden_size", s.text.width, s.text.width, s.text.width).status());
  return s;
}

Result<DebertaSizes> ReadDebertaV1(const Config& config) {
  DebertaSizes s;
  s.fused = true;
  s.text = {50265, 768, 12, 12, 3072, 512, 0, 1e-7, "gelu", "hidden_act", true};
  MLOS_ASSIGN_OR_RETURN(s.text, ReadTextSizes(config, s.text));
  for (const char* key : {"talking_head", "share_att_key"})
    MLOS_RETURN_IF_ERROR(config.RequireBool(key, false));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("norm_rel_ebd", {"none"}));
  MLOS_RETURN_IF_ERROR(config.RequireEmpty("position_buckets"));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.text.width, 1, 1 << 20));
  MLOS_RETURN_IF_ERROR(ReadRelative(config, &s));
  MLOS_ASSIGN_OR_RETURN(s.absolute, config.Bool("position_biased_input", true));
  MLOS_ASSIGN_OR_RETURN(s.pooler_activation, config.String("pooler_hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(s.legacy, config.Bool("legacy", true));
  MLOS_RETURN_IF_ERROR(config.Int("pooler_hidden_size", s.text.width, s.text.width, s.text.width).status());
  return s;
}

}  // namespace mlos::convert
