// SPDX-License-Identifier: Apache-2.0
#include "convert/seq2seq.h"

#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr char kPastAxis[] = "past_decoder_sequence_length";
constexpr char kTotalAxis[] = "past_decoder_sequence_length + decoder_sequence_length";

}  // namespace

void StartPart(GraphBuilder& g, Part part) {
  switch (part) {
    case Part::kEncoder:
      return g.StartGraph("encoder_model.onnx", "encoder");
    case Part::kDecoder:
      return g.StartGraph("decoder_model.onnx", "decoder");
    case Part::kDecoderWithPast:
      return g.StartGraph("decoder_with_past_model.onnx", "decoder_with_past");
  }
}

DecoderFrame::DecoderFrame(GraphBuilder& g, const Sizes& sizes, Part part)
    : g_(g), s_(sizes), has_past_(part == Part::kDecoderWithPast) {
  ids_ = g_.Input("input_ids", DType::kInt64, {kBatchAxis, kDecoderAxis});
  if (s_.masked)
    encoder_mask_ = g_.Input("encoder_attention_mask", DType::kInt64, {kBatchAxis, kEncoderAxis});
  if (!has_past_) {
    const Value hidden =
        g_.Input("encoder_hidden_states", DType::kFp32, {kBatchAxis, kEncoderAxis, s_.width});
    encoder_rows_ = ToRows(g_, hidden, s_.width);
    Count(g_.Int(0));
    return;
  }
  for (int64_t i = 0; i < s_.layers; ++i) {
    const std::string prefix = "past_key_values." + std::to_string(i);
    past_own_.push_back(CacheInput(g_, prefix + ".decoder", s_.heads, kPastAxis));
    past_cross_.push_back(CacheInput(g_, prefix + ".encoder", s_.heads, kEncoderAxis));
  }
  Count(SizeOf(g_, past_own_.front().key, 2));
}

DecoderFrame::DecoderFrame(GraphBuilder& g, const Sizes& sizes, const Given& given)
    : g_(g),
      s_(sizes),
      keeps_(false),
      ids_(given.ids),
      encoder_rows_(given.encoder_rows),
      encoder_mask_(given.encoder_mask) {
  Count(g_.Int(0));
}

void DecoderFrame::Count(const Value& past_length) {
  batch_ = SizesOf(g_, ids_, 0);
  layout_ = LayoutOf(g_, ids_, s_.width);
  const Value length = SizeOf(g_, ids_, 1);
  positions_ = Counted(g_, past_length, length);
  key_positions_ = has_past_ ? Counted(g_, g_.Int(0), g_.Op("Add", {past_length, length})) : positions_;
}

Value DecoderFrame::CausalBias() { return SightToBias(g_, CausalSight(g_, positions_, key_positions_)); }

Value DecoderFrame::EncoderBias() {
  return encoder_mask_.name.empty() ? Value{} : SightToBias(g_, MaskSight(g_, encoder_mask_));
}

KeyValue DecoderFrame::Own(int64_t layer, const KeyValue& now) {
  own_.push_back(has_past_ ? AppendTo(g_, past_own_[static_cast<size_t>(layer)], now) : now);
  return own_.back();
}

KeyValue DecoderFrame::Cross(int64_t layer,
                             const std::function<KeyValue(const Value& encoder_rows)>& project) {
  if (has_past_) return past_cross_[static_cast<size_t>(layer)];
  cross_.push_back(project(encoder_rows_));
  return cross_.back();
}

void DecoderFrame::Outputs(const std::string& name, const Value& rows, int64_t size) {
  g_.Output(name, FromRows(g_, layout_, rows, size), DType::kFp32, {kBatchAxis, kDecoderAxis, size});
  if (!keeps_) return;
  for (size_t i = 0; i < own_.size(); ++i) {
    const std::string prefix = "present." + std::to_string(i);
    CacheOutput(g_, prefix + ".decoder", own_[i], s_.heads, has_past_ ? kTotalAxis : kDecoderAxis);
    if (!has_past_) CacheOutput(g_, prefix + ".encoder", cross_[i], s_.heads, kEncoderAxis);
  }
}

std::string WordsOf(GraphBuilder& g, const std::string& base, const std::string& side, bool tied) {
  const std::string shared = base + "shared.weight";
  const std::string own = base + side + "embed_tokens.weight";
  const std::string other = base + (side == "encoder." ? "decoder." : "encoder.") + "embed_tokens.weight";
  if (g.Has(own)) return TiedTensor(g, tied, shared, own);
  return !g.Has(shared) && g.Has(other) ? other : shared;
}

Value ShiftRight(GraphBuilder& g, const Value& ids, const Value& start) {
  const Value others = g.Op("Slice", {ids, g.Ints({0}), g.Ints({-1}), g.Ints({1})});
  return g.Op("Concat", {start, others}, {{"axis", int64_t{1}}});
}

Value StartColumn(GraphBuilder& g, const Value& ids, int64_t token) {
  const Value shape = g.Op("Concat", {SizesOf(g, ids, 0), g.Ints({1})}, {{"axis", int64_t{0}}});
  return g.Op("Expand", {g.Int(token), shape});
}

Value AtLast(GraphBuilder& g, const Value& x, const Value& ids, int64_t token) {
  const Value found =
      g.Op("Cast", {g.Op("Equal", {ids, g.Int(token)})}, {{"to", onnx::DataType(DType::kInt32)}});
  const Value index = g.Op(
      "ArgMax", {found}, {{"axis", int64_t{1}}, {"keepdims", int64_t{1}}, {"select_last_index", int64_t{1}}});
  return g.Op("GatherND", {x, index}, {{"batch_dims", int64_t{1}}});
}

}  // namespace mlos::convert
