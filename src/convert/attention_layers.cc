// SPDX-License-Identifier: Apache-2.0
#include "convert/attention_layers.h"

#include <cmath>

#include "convert/nn.h"
#include "convert/text_model.h"

namespace mlos::convert {

Value AttentionLayers::Project(const Value& rows, const std::string& name, const Value& batch, bool biased) {
  const Value x = LinearFrom(g_, rows, name + ".weight", biased ? name + ".bias" : "", s_.width, s_.width);
  return SplitHeads(g_, x, batch, s_.head_shape());
}

KeyValue AttentionLayers::Keys(const Value& rows, const std::string& p, const Value& batch) {
  const Value key = Project(rows, p + ".k_proj", batch, s_.key_bias);
  return {key, Project(rows, p + ".v_proj", batch)};
}

Value AttentionLayers::Mix(const Value& q, const KeyValue& kv, const Value& bias, const std::string& p) {
  const HeadShape heads = s_.head_shape();
  const Value mixed = AttendHeads(g_, q, kv, bias, heads, 1.0 / std::sqrt(static_cast<double>(heads.width)));
  return Dense(g_, mixed, p + ".out_proj", s_.width, s_.width);
}

Value AttentionLayers::FeedForward(const Value& x, const std::string& p) {
  const Value inner = Dense(g_, x, p + n_.up, s_.width, s_.inner);
  return Dense(g_, Activation(g_, inner, s_.activation, s_.activation_key), p + n_.down, s_.inner, s_.width);
}

Value AttentionLayers::Norm(const Value& x, const std::string& name) {
  return LayerNorm(g_, x, name, s_.width, s_.epsilon);
}

Value AttentionLayers::Encoder(const Value& x, const std::string& p, const Value& batch, const Value& bias) {
  g_.SetScope(p + n_.attention);
  const std::string own = p + n_.attention;
  const Value attended = Residual(x, p + n_.attention_norm, [&](const Value& rows) {
    const Value q = Project(rows, own + ".q_proj", batch);
    return Mix(q, Keys(rows, own, batch), bias, own);
  });
  g_.SetScope(p + n_.up);
  return Residual(attended, p + n_.final_norm, [&](const Value& rows) { return FeedForward(rows, p); });
}

Value AttentionLayers::Decoder(const Value& x, const std::string& p, DecoderFrame& frame, int64_t index,
                               const Value& bias, const Value& encoder_bias) {
  const std::string own = p + n_.attention;
  const std::string cross = p + n_.cross;
  g_.SetScope(own);
  const Value said = Residual(x, p + n_.attention_norm, [&](const Value& rows) {
    const Value q = Project(rows, own + ".q_proj", frame.batch());
    return Mix(q, frame.Own(index, Keys(rows, own, frame.batch())), bias, own);
  });
  g_.SetScope(cross);
  const Value heard = Residual(said, p + n_.cross_norm, [&](const Value& rows) {
    const Value q = Project(rows, cross + ".q_proj", frame.batch());
    const KeyValue kv = frame.Cross(
        index, [&](const Value& encoder_rows) { return Keys(encoder_rows, cross, frame.batch()); });
    return Mix(q, kv, encoder_bias, cross);
  });
  g_.SetScope(p + n_.up);
  return Residual(heard, p + n_.final_norm, [&](const Value& rows) { return FeedForward(rows, p); });
}

}  // namespace mlos::convert
