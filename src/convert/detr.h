// SPDX-License-Identifier: Apache-2.0
// DETR without heads: a ResNet, an encoder over its map, a decoder whose queries are the objects that may be there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/attention_heads.h"
#include "convert/conv_net.h"
#include "convert/resnet.h"

namespace mlos::convert {

struct DetrSizes {
  int64_t channels = 3;
  int64_t queries = 100;
  int64_t width = 256;
  int64_t encoder_layers = 6, encoder_heads = 8, encoder_inner = 2048;
  int64_t decoder_layers = 6, decoder_heads = 8, decoder_inner = 2048;
  std::string activation = "relu";
  bool learned_positions = false;
  bool auxiliary_loss = false;  // the last norm comes after every layer of the decoder as well
  ResNetSizes backbone;         // when the checkpoint names it as transformers does
  // Maps of the backbone that are kept, the last being what the encoder sees: 0 = stem, 1 = first stage ...; empty = the last stage.
  std::vector<int64_t> kept;
};
Result<DetrSizes> ReadDetrSizes(const Config& config);

struct DetrOutput {
  std::vector<FeatureMap> maps;  // of the backbone, as `kept` says
  FeatureMap projected;          // the last of them, `width` channels
  Value batch;                   // int64 [1]
  Value memory;                  // the encoder's answer: rows [batch * height * width, width]
  Value objects;                 // the decoder's answer: rows [batch * queries, width]
  Value hidden_bias;             // [batch, 1, 1, height * width]: 0, or lowest where the picture is padding
};

// Declares pixel_values [batch, channels, height, width] and pixel_mask INT64 [batch, height, width] (1 = picture). `prefix`: of the
// model's tensors ("model.").
DetrOutput BuildDetr(GraphBuilder& g, const DetrSizes& sizes, const std::string& prefix);

}  // namespace mlos::convert
