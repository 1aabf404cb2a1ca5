// SPDX-License-Identifier: Apache-2.0
// What models of an encoder and a decoder share: the graphs' names, inputs and outputs (as optimum has them) and the caches.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "convert/attention_heads.h"
#include "convert/graph.h"
#include "convert/nn.h"

namespace mlos::convert {

inline constexpr char kEncoderAxis[] = "encoder_sequence_length";
inline constexpr char kDecoderAxis[] = "decoder_sequence_length";

enum class Part { kEncoder, kDecoder, kDecoderWithPast };
// encoder_model.onnx, decoder_model.onnx, decoder_with_past_model.onnx.
void StartPart(GraphBuilder& g, Part part);

// A decoder's side of a graph. It has inputs and caches of its own, or (in a graph that also holds the encoder) is given its
// tokens and the encoder's answer and keeps nothing.
class DecoderFrame {
 public:
  struct Sizes {
    int64_t layers = 0;
    int64_t width = 0;
    HeadShape heads;
    bool masked = true;  // encoder_attention_mask is there
  };
  struct Given {
    Value ids;           // [batch, length]
    Value encoder_rows;  // [batch * encoder length, width]
    Value encoder_mask;  // [batch, encoder length]; no name: none
  };

  // Declares the inputs: input_ids, encoder_hidden_states or the past, encoder_attention_mask.
  DecoderFrame(GraphBuilder& g, const Sizes& sizes, Part part);
  DecoderFrame(GraphBuilder& g, const Sizes& sizes, const Given& given);

  const Value& ids() const { return ids_; }
  const Value& batch() const { return batch_; }                  // int64 [1]
  const Layout& layout() const { return layout_; }               // of the tokens
  const Value& positions() const { return positions_; }          // of the tokens, int64 [length]
  const Value& key_positions() const { return key_positions_; }  // 0 .. past + length - 1

  // To be added to the scores: each token sees itself and what was before, [1, 1, length, past + length].
  Value CausalBias();
  // What encoder_attention_mask hides, [batch, 1, 1, encoder length]; no name when there is no mask.
  Value EncoderBias();

  // What a layer's own attention sees: the past and `now`.
  KeyValue Own(int64_t layer, const KeyValue& now);
  // What it sees of the encoder: the past's, or what `project` makes of the encoder's rows.
  KeyValue Cross(int64_t layer, const std::function<KeyValue(const Value& encoder_rows)>& project);

  // Output `name` [batch, length, size] and the caches.
  void Outputs(const std::string& name, const Value& rows, int64_t size);

 private:
  void Count(const Value& past_length);

  GraphBuilder& g_;
  const Sizes s_;
  bool keeps_ = true, has_past_ = false;
  Value ids_, batch_, positions_, key_positions_;
  Layout layout_;
  Value encoder_rows_, encoder_mask_;
  std::vector<KeyValue> past_own_, past_cross_, own_, cross_;
};

// Name of the word embeddings of one side ("encoder.", "decoder."), behind `base`: its own embed_tokens.weight, or shared.weight, or (when
// there is neither) the other side's. When `tied` and both are there they must be the same.
std::string WordsOf(GraphBuilder& g, const std::string& base, const std::string& side, bool tied);

// What the decoder reads when nobody says: `start`, then the ids but the last.
Value ShiftRight(GraphBuilder& g, const Value& ids, const Value& start);
// `token` in every row, [batch, 1].
Value StartColumn(GraphBuilder& g, const Value& ids, int64_t token);
// x[batch, length, width] where the ids last are `token`: [batch, width]. A row without it gives its last position.
Value AtLast(GraphBuilder& g, const Value& x, const Value& ids, int64_t token);

}  // namespace mlos::convert
