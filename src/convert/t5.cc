// SPDX-License-Identifier: Apache-2.0
// T5, Flan-T5 (model_type "t5") and mT5 ("mt5"): pre-norm encoder and decoder without absolute positions; scores are not scaled, the
// distance of key and query adds a bias that all layers share.
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/image_model.h"
#include "convert/relative_position.h"
#include "convert/seq2seq.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct T5Sizes {
  int64_t vocabulary = 32128, width = 512, inner = 2048, encoder_layers = 6, decoder_layers = 6;
  HeadShape heads = {8, 64};
  RelativeBuckets buckets;
  double epsilon = 1e-6;
  std::string activation = "relu";
  bool gated = false;
  bool scaled_head = true;  // rows are multiplied by width^-0.5 before the tied head
  bool tied = true;
};

// "relu", "gated-gelu", "gated-silu" ...
Status ReadFeedForward(const Config& config, T5Sizes* s) {
  const std::string key = "feed_forward_proj";
  MLOS_ASSIGN_OR_RETURN(const std::string text,
                        config.String(key, (s->gated ? "gated-" : "") + s->activation));
  s->gated = text.starts_with("gated-");
  s->activation = s->gated ? text.substr(6) : text;
  if (text == "gated-gelu") s->activation = "gelu_new";
  return OkStatus();
}

// T5 has two kinds of heads: tied and scaled, or of its own. transformers 4 tells them by tie_word_embeddings; 5 says scale_decoder_outputs
// and always writes tie_word_embeddings true. Of mT5 only the second kind exists.
Status ReadHead(const Config& config, bool multilingual, T5Sizes* s) {
  MLOS_ASSIGN_OR_RETURN(const bool tied, config.Bool("tie_word_embeddings", true));
  s->tied = tied && !multilingual && !config.Has("scale_decoder_outputs");
  MLOS_ASSIGN_OR_RETURN(s->scaled_head, config.Bool("scale_decoder_outputs", tied));
  if (multilingual) s->scaled_head = false;
  return OkStatus();
}

Result<T5Sizes> ReadSizes(const Config& config, bool multilingual) {
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  MLOS_RETURN_IF_ERROR(config.RequireBool("is_decoder", false));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  T5Sizes s;
  if (multilingual) {
    s.vocabulary = 250112, s.inner = 1024, s.encoder_layers = 8, s.heads.count = 6;
    s.activation = "gelu", s.gated = true;
  }
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("d_model", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.inner, config.Int("d_ff", s.inner, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.encoder_layers, config.Int("num_layers", s.encoder_layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.decoder_layers, config.Int("num_decoder_layers", s.encoder_layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads.count, config.Int("num_heads", s.heads.count, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.heads.width, config.Int("d_kv", s.heads.width, 1, 1 << 16));
  const char* const buckets = "relative_attention_num_buckets";
  const char* const distance = "relative_attention_max_distance";
  MLOS_ASSIGN_OR_RETURN(s.buckets.count, config.Int(buckets, 32, 2, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.buckets.max_distance, config.Int(distance, 128, 1, 1 << 16));
  MLOS_RETURN_IF_ERROR(CheckBuckets(s.buckets, buckets, distance));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_epsilon", s.epsilon, 0, 1));
  MLOS_RETURN_IF_ERROR(ReadFeedForward(config, &s));
  MLOS_RETURN_IF_ERROR(ReadHead(config, multilingual, &s));
  return s;
}

class T5 {
 public:
  T5(GraphBuilder& g, const T5Sizes& sizes)
      : g_(g), s_(sizes), names_(g, "transformer.", "encoder.block.0.layer.0.SelfAttention.q.weight") {}

  const ModelNames& names() const { return names_; }
  const T5Sizes& sizes() const { return s_; }

  // Rows of the encoder; declares its inputs.
  Value Encode(const char* length_axis) {
    ids_ = g_.Input("input_ids", DType::kInt64, {kBatchAxis, length_axis});
    mask_ = g_.Input("attention_mask", DType::kInt64, {kBatchAxis, length_axis});
    layout_ = LayoutOf(g_, ids_, s_.width);
    batch_ = SizesOf(g_, ids_, 0);
    const Value positions = Counted(g_, g_.Int(0), SizeOf(g_, ids_, 1));
    Value x = Words("encoder.", ids_);
    g_.SetScope("relative_attention_bias");
    const Value relative = Relative("encoder.", true, positions, positions);
    const Value bias = g_.Op("Add", {relative, SightToBias(g_, MaskSight(g_, mask_))});
    for (int64_t i = 0; i < s_.encoder_layers; ++i) {
      const std::string p = names_.Base("encoder.block." + std::to_string(i) + ".layer.");
      x = SelfAttention(x, p + "0.", batch_, bias, [](const KeyValue& kv) { return kv; });
      x = FeedForward(x, p + "1.");
    }
    return Norm(x, names_.Base("encoder.final_layer_norm"));
  }

  // Rows of the decoder.
  Value Decode(DecoderFrame& frame) {
    Value x = Words("decoder.", frame.ids());
    g_.SetScope("relative_attention_bias");
    const Value relative = Relative("decoder.", false, frame.positions(), frame.key_positions());
    const Value bias = g_.Op("Add", {relative, frame.CausalBias()});
    const Value encoder_bias = frame.EncoderBias();
    for (int64_t i = 0; i < s_.decoder_layers; ++i) {
      const std::string p = names_.Base("decoder.block." + std::to_string(i) + ".layer.");
      x = SelfAttention(x, p + "0.", frame.batch(), bias,
                        [&](const KeyValue& kv) { return frame.Own(i, kv); });
      x = CrossAttention(x, p + "1.", frame, i, encoder_bias);
      x = FeedForward(x, p + "2.");
    }
    return Norm(x, names_.Base("decoder.final_layer_norm"));
  }

  DecoderFrame::Sizes decoder_sizes() const { return {s_.decoder_layers, s_.width, s_.heads, true}; }

  Value VocabularyScores(Value rows) {
    g_.SetScope("lm_head");
    if (s_.scaled_head) rows = g_.Op("Mul", {rows, g_.Float(1.0F / std::sqrt(static_cast<float>(s_.width)))});
    const std::string head = TiedTensor(g_, s_.tied, WordsName("decoder."), names_.Of("lm_head.weight"));
    return LinearFrom(g_, rows, head, "", s_.width, s_.vocabulary);
  }

  const Value& ids() const { return ids_; }
  const Value& mask() const { return mask_; }
  const Layout& layout() const { return layout_; }

 private:
  std::string WordsName(const std::string& side) { return WordsOf(g_, names_.Base(""), side, true); }

  Value Words(const std::string& side, const Value& ids) {
    g_.SetScope("shared");
    return ToRows(g_, Embedding(g_, WordsName(side), ids, s_.vocabulary, s_.width), s_.width);
  }

  Value Norm(const Value& x, const std::string& name) { return RmsNorm(g_, x, name, s_.width, s_.epsilon); }

  Value Relative(const std::string& stack, bool both_ways, const Value& queries, const Value& keys) {
    RelativeBuckets buckets = s_.buckets;
    buckets.both_ways = both_ways;
    const std::string table = stack + "block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    return RelativeBias(g_, names_.Base(table), buckets, s_.heads.count, queries, keys);
  }

  Value Project(const Value& x, const std::string& name, const Value& batch) {
    return SplitHeads(g_, LinearFrom(g_, x, name + ".weight", "", s_.width, s_.heads.total()), batch,
                      s_.heads);
  }

  Value Attended(const Value& q, const KeyValue& kv, const Value& bias, const std::string& p,
                 const Value& x) {
    const Value mixed = AttendHeads(g_, q, kv, bias, s_.heads, 1.0);
    return g_.Op("Add", {LinearFrom(g_, mixed, p + "o.weight", "", s_.heads.total(), s_.width), x});
  }

  template <typename Keep>
  Value SelfAttention(const Value& x, const std::string& layer, const Value& batch, const Value& bias,
                      const Keep& keep) {
    const std::string p = layer + "SelfAttention.";
    g_.SetScope(p);
    const Value normed = Norm(x, layer + "layer_norm");
    const Value q = Project(normed, p + "q", batch);
    const KeyValue kv = keep(KeyValue{Project(normed, p + "k", batch), Project(normed, p + "v", batch)});
    return Attended(q, kv, bias, p, x);
  }

  Value CrossAttention(const Value& x, const std::string& layer, DecoderFrame& frame, int64_t index,
                       const Value& bias) {
    const std::string p = layer + "EncDecAttention.";
    g_.SetScope(p);
    const Value q = Project(Norm(x, layer + "layer_norm"), p + "q", frame.batch());
    const KeyValue kv = frame.Cross(index, [&](const Value& rows) {
      return KeyValue{Project(rows, p + "k", frame.batch()), Project(rows, p + "v", frame.batch())};
    });
    return Attended(q, kv, bias, p, x);
  }

  Value FeedForward(const Value& x, const std::string& layer) {
    const std::string p = layer + "DenseReluDense.";
    g_.SetScope(p);
    const Value normed = Norm(x, layer + "layer_norm");
    const auto widen = [&](const char* name) {
      return LinearFrom(g_, normed, p + name + ".weight", "", s_.width, s_.inner);
    };
    Value inner = Activation(g_, widen(s_.gated ? "wi_0" : "wi"), s_.activation, "feed_forward_proj");
    if (s_.gated) inner = g_.Op("Mul", {inner, widen("wi_1")});
    return g_.Op("Add", {LinearFrom(g_, inner, p + "wo.weight", "", s_.inner, s_.width), x});
  }

  GraphBuilder& g_;
  const T5Sizes s_;
  const ModelNames names_;
  Value ids_, mask_, batch_;
  Layout layout_;
};

void Generation(GraphBuilder& g, T5& model) {
  const int64_t width = model.sizes().width;
  StartPart(g, Part::kEncoder);
  const Value rows = model.Encode(kEncoderAxis);
  const Value encoded = FromRows(g, model.layout(), rows, width);
  g.Output("last_hidden_state", encoded, DType::kFp32, {kBatchAxis, kEncoderAxis, width});
  for (const Part part : {Part::kDecoder, Part::kDecoderWithPast}) {
    StartPart(g, part);
    DecoderFrame frame(g, model.decoder_sizes(), part);
    frame.Outputs("logits", model.VocabularyScores(model.Decode(frame)), model.sizes().vocabulary);
  }
}

int64_t LabelCount(GraphBuilder& g, const std::string& name) {
  const Shape shape = g.ShapeOf(name + ".weight");
  return shape.empty() ? -1 : shape.front();
}

constexpr int64_t kMaxToken = std::numeric_limits<int32_t>::max();

// The decoder reads the text once more, one place to the right: [batch, length, width].
Result<Value> DecodeShifted(GraphBuilder& g, T5& model, const Config& config) {
  if (!config.Has("decoder_start_token_id"))
    return DataLoss("config.json has no 'decoder_start_token_id', which the task needs");
  MLOS_ASSIGN_OR_RETURN(const int64_t start, config.Int("decoder_start_token_id", 0, 0, kMaxToken));
  const Value encoded = model.Encode(kSequenceAxis);
  const Value shifted = ShiftRight(g, model.ids(), StartColumn(g, model.ids(), start));
  DecoderFrame frame(g, model.decoder_sizes(), {shifted, encoded, model.mask()});
  return FromRows(g, frame.layout(), model.Decode(frame), model.sizes().width);
}

Status Spans(GraphBuilder& g, T5& model, const Config& config) {
  MLOS_ASSIGN_OR_RETURN(const Value tokens, DecodeShifted(g, model, config));
  const int64_t width = model.sizes().width;
  g.SetScope("qa_outputs");
  const Value x = Dense(g, ToRows(g, tokens, width), model.names().Of("qa_outputs"), width, 2);
  const std::vector<Value> ends = g.Split(FromRows(g, model.layout(), x, 2), 2, {1, 1});
  for (const auto& [name, part] : {std::pair("start_logits", ends[0]), {"end_logits", ends[1]}}) {
    g.Output(name, g.Op("Squeeze", {part, g.Ints({2})}), DType::kFp32, {kBatchAxis, kSequenceAxis});
  }
  return OkStatus();
}

// The label comes from where the text ends.
Status SequenceLabels(GraphBuilder& g, T5& model, const Config& config) {
  MLOS_ASSIGN_OR_RETURN(const int64_t end, config.Int("eos_token_id", 1, 0, kMaxToken));
  MLOS_ASSIGN_OR_RETURN(const Value tokens, DecodeShifted(g, model, config));
  const int64_t width = model.sizes().width;
  g.SetScope("classification_head");
  const std::string p = model.names().Of("classification_head.");
  const int64_t labels = LabelCount(g, p + "out_proj");
  const Value pooled =
      g.Op("Tanh", {Dense(g, AtLast(g, tokens, model.ids(), end), p + "dense", width, width)});
  g.Output("logits", Dense(g, pooled, p + "out_proj", width, labels), DType::kFp32, {kBatchAxis, labels});
  return OkStatus();
}

void TokenLabels(GraphBuilder& g, T5& model) {
  const Value rows = model.Encode(kSequenceAxis);
  const std::string name = model.names().Of("classifier");
  const int64_t labels = LabelCount(g, name);
  g.SetScope(name);
  const Value scores = Dense(g, rows, name, model.sizes().width, labels);
  g.Output("logits", FromRows(g, model.layout(), scores, labels), DType::kFp32,
           {kBatchAxis, kSequenceAxis, labels});
}

std::vector<IgnoreRule> Ignored(const ModelNames& names, Head head) {
  std::vector<IgnoreRule> rules;
  for (const char* name : {"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"})
    rules.push_back(IgnoreTensor(names.Base(name), "the same as the tensor it is tied to"));
  const std::string bias = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
  rules.push_back(IgnoreTensor(names.Base(bias), "of no meaning there"));
  rules.push_back(
      IgnoreTensor(names.Of("lm_head.weight"), "tied to the embeddings, or not part of the task"));
  if (head == Head::kEncoder || head == Head::kTokenClassification)
    rules.push_back({names.Base("decoder."), "", "the decoder, not part of the task"});
  return rules;
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context, bool multilingual) {
  MLOS_ASSIGN_OR_RETURN(const T5Sizes sizes, ReadSizes(context.config, multilingual));
  T5 model(g, sizes);
  EncoderOutput encoder;
  if (context.encoder_only || context.head == Head::kEncoder) {
    const Value rows = model.Encode(kSequenceAxis);
    encoder = {FromRows(g, model.layout(), rows, sizes.width), model.mask(), sizes.width};
    if (!context.encoder_only) {
      g.Output("last_hidden_state", encoder.tokens, DType::kFp32, {kBatchAxis, kSequenceAxis, sizes.width});
    }
  } else if (context.head == Head::kSeq2SeqLm) {
    Generation(g, model);
  } else if (context.head == Head::kSequenceClassification) {
    MLOS_RETURN_IF_ERROR(SequenceLabels(g, model, context.config));
  } else if (context.head == Head::kQuestionAnswering) {
    MLOS_RETURN_IF_ERROR(Spans(g, model, context.config));
  } else if (context.head == Head::kTokenClassification) {
    TokenLabels(g, model);
  } else {
    return Unimplemented("task '" + std::string(TaskName(context.head)) + "' is not supported for " +
                         (multilingual ? "mt5" : "t5"));
  }
  return BuildResult{encoder, Ignored(model.names(), context.head), 0};
}

Result<BuildResult> BuildT5(GraphBuilder& g, const BuildContext& context) { return Build(g, context, false); }
Result<BuildResult> BuildMt5(GraphBuilder& g, const BuildContext& context) { return Build(g, context, true); }

constexpr std::array<Architecture::ClassHead, 7> kClasses = {{
    {"T5ForConditionalGeneration", Head::kSeq2SeqLm},
    {"T5WithLMHeadModel", Head::kSeq2SeqLm},
    {"T5EncoderModel", Head::kEncoder},
    {"T5Model", Head::kEncoder},
    {"T5ForSequenceClassification", Head::kSequenceClassification},
    {"T5ForTokenClassification", Head::kTokenClassification},
    {"T5ForQuestionAnswering", Head::kQuestionAnswering},
}};

constexpr std::array<Architecture::ClassHead, 6> kMultilingualClasses = {{
    {"MT5ForConditionalGeneration", Head::kSeq2SeqLm},
    {"MT5EncoderModel", Head::kEncoder},
    {"MT5Model", Head::kEncoder},
    {"MT5ForSequenceClassification", Head::kSequenceClassification},
    {"MT5ForTokenClassification", Head::kTokenClassification},
    {"MT5ForQuestionAnswering", Head::kQuestionAnswering},
}};

}  // namespace

const Architecture kT5 = {"t5", kClasses, BuildT5};
const Architecture kMt5 = {"mt5", kMultilingualClasses, BuildMt5};

}  // namespace mlos::convert
