// SPDX-License-Identifier: Apache-2.0
// Transformer layers of the fairseq line (BART, mBART, Whisper, Wav2Vec2): projections apart, norms before or after.
#pragma once

#include <cstdint>
#include <string>

#include "convert/attention_heads.h"
#include "convert/graph.h"
#include "convert/seq2seq.h"

namespace mlos::convert {

struct LayerSizes {
  int64_t width = 0;
  int64_t heads = 0;
  int64_t inner = 0;
  std::string activation;
  std::string activation_key;
  double epsilon = 1e-5;
  bool pre_norm = false;
  bool key_bias = true;  // the key projection has one
  HeadShape head_shape() const { return {heads, width / heads}; }
};

// Names of a layer's parts, behind the layer's own.
struct LayerNames {
  std::string attention = "self_attn";
  std::string attention_norm = "self_attn_layer_norm";
  std::string cross = "encoder_attn";
  std::string cross_norm = "encoder_attn_layer_norm";
  std::string up = "fc1";
  std::string down = "fc2";
  std::string final_norm = "final_layer_norm";
};

class AttentionLayers {
 public:
  AttentionLayers(GraphBuilder& g, const LayerSizes& sizes, const LayerNames& names)
      : g_(g), s_(sizes), n_(names) {}

  // Layer `p` ("encoder.layers.0.") over rows x. `bias` of the scores may have no name.
  Value Encoder(const Value& x, const std::string& p, const Value& batch, const Value& bias);
  // The same over the frame's tokens, looking at the encoder as well.
  Value Decoder(const Value& x, const std::string& p, DecoderFrame& frame, int64_t index, const Value& bias,
                const Value& encoder_bias);

 private:
  Value Project(const Value& rows, const std::string& name, const Value& batch, bool biased = true);
  KeyValue Keys(const Value& rows, const std::string& p, const Value& batch);
  Value Mix(const Value& q, const KeyValue& kv, const Value& bias, const std::string& p);
  Value FeedForward(const Value& x, const std::string& p);
  Value Norm(const Value& x, const std::string& name);
  // x + part(x), normed where the architecture does it.
  template <typename Part>
  Value Residual(const Value& x, const std::string& norm, const Part& part) {
    if (s_.pre_norm) return g_.Op("Add", {x, part(Norm(x, norm))});
    return Norm(g_.Op("Add", {x, part(x)}), norm);
  }

  GraphBuilder& g_;
  const LayerSizes s_;
  const LayerNames n_;
};

}  // namespace mlos::convert
