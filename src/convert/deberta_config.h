// SPDX-License-Identifier: Apache-2.0
// What config.json of a DeBERTa says.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "convert/config.h"
#include "convert/text_model.h"

namespace mlos::convert {

struct DebertaSizes {
  TextSizes text;
  bool fused = false;  // version 1: one projection for queries, keys and values of a head
  int64_t embedding = 0;
  bool relative = false;  // relative positions at all
  bool content_to_position = false, position_to_content = false;
  bool shared_keys = false;  // positions are projected as content is
  bool norm_relative = false;
  bool absolute = true;  // learned positions are added to the embeddings
  int64_t buckets = -1;  // <= 0: one per distance
  int64_t max_distance = 512;
  int64_t conv_kernel = 0, conv_groups = 1;
  std::string conv_activation, pooler_activation;
  bool legacy = true;  // which fill-mask head
  int64_t span() const { return buckets > 0 ? buckets : max_distance; }
};

// Version 2 and 3; version 1 knows fewer keys.
Result<DebertaSizes> ReadDebertaV2(const Config& config);
Result<DebertaSizes> ReadDebertaV1(const Config& config);

}  // namespace mlos::convert
