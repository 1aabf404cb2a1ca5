// SPDX-License-Identifier: Apache-2.0
// BART (model_type "bart", post-norm) and mBART ("mbart", pre-norm with a last norm): encoder and decoder with learned positions.
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/attention_layers.h"
#include "convert/image_model.h"
#include "convert/seq2seq.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr int64_t kFirstPosition = 2;  // the rows before it are of no use

struct BartSizes {
  bool multilingual = false;
  int64_t vocabulary = 50265, positions = 1024, width = 1024, encoder_layers = 12, decoder_layers = 12;
  LayerSizes encoder, decoder;
  bool scaled_words = false, tied = true;
};

// Keys of the first releases, which the framework does not read any more: what they say must be what the model does.
Status RequireKnownForm(const Config& config, bool multilingual) {
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  MLOS_RETURN_IF_ERROR(config.RequireBool("is_decoder", false));
  MLOS_RETURN_IF_ERROR(config.RequireBool("normalize_embedding", true));
  MLOS_RETURN_IF_ERROR(config.RequireBool("static_position_embeddings", false));
  MLOS_RETURN_IF_ERROR(config.RequireBool("normalize_before", multilingual));
  return config.RequireBool("add_final_layer_norm", multilingual);
}

Status ReadLayers(const Config& config, const std::string& side, const BartSizes& s, LayerSizes* layers) {
  const std::string heads = side + "_attention_heads";
  layers->width = s.width;
  layers->pre_norm = s.multilingual;
  layers->activation_key = "activation_function";
  MLOS_ASSIGN_OR_RETURN(layers->heads, config.Int(heads, 16, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(layers->inner, config.Int(side + "_ffn_dim", 4096, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(layers->activation, config.String(layers->activation_key, "gelu"));
  if (s.width % layers->heads == 0) return OkStatus();
  return DataLoss("config.json: 'd_model' " + std::to_string(s.width) + " is not a multiple of '" + heads +
                  "' " + std::to_string(layers->heads));
}

Result<BartSizes> ReadSizes(const Config& config, bool multilingual) {
  MLOS_RETURN_IF_ERROR(RequireKnownForm(config, multilingual));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max() - kFirstPosition;
  BartSizes s;
  s.multilingual = multilingual;
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("max_position_embeddings", s.positions, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("d_model", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.encoder_layers, config.Int("encoder_layers", 12, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.decoder_layers, config.Int("decoder_layers", 12, 1, 1000));
  MLOS_RETURN_IF_ERROR(ReadLayers(config, "encoder", s, &s.encoder));
  MLOS_RETURN_IF_ERROR(ReadLayers(config, "decoder", s, &s.decoder));
  MLOS_ASSIGN_OR_RETURN(s.scaled_words, config.Bool("scale_embedding", false));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", true));
  return s;
}

class Bart {
 public:
  Bart(GraphBuilder& g, const BartSizes& sizes)
      : g_(g), s_(sizes), names_(g, "model.", "encoder.layers.0.self_attn.q_proj.weight") {}

  const ModelNames& names() const { return names_; }
  const BartSizes& sizes() const { return s_; }
  const Value& ids() const { return ids_; }
  const Value& mask() const { return mask_; }
  const Layout& layout() const { return layout_; }
  DecoderFrame::Sizes decoder_sizes() const {
    return {s_.decoder_layers, s_.width, s_.decoder.head_shape(), true};
  }

  // Rows of the encoder; declares its inputs.
  Value Encode(const char* length_axis) {
    ids_ = g_.Input("input_ids", DType::kInt64, {kBatchAxis, length_axis});
    mask_ = g_.Input("attention_mask", DType::kInt64, {kBatchAxis, length_axis});
    layout_ = LayoutOf(g_, ids_, s_.width);
    const Value batch = SizesOf(g_, ids_, 0);
    Value x = Embed("encoder.", ids_, Counted(g_, g_.Int(0), SizeOf(g_, ids_, 1)));
    const Value bias = SightToBias(g_, MaskSight(g_, mask_));
    AttentionLayers layers(g_, s_.encoder, {});
    for (int64_t i = 0; i < s_.encoder_layers; ++i)
      x = layers.Encoder(x, names_.Base("encoder.layers." + std::to_string(i) + "."), batch, bias);
    return LastNorm(x, "encoder.");
  }

  // Rows of the decoder.
  Value Decode(DecoderFrame& frame) {
    Value x = Embed("decoder.", frame.ids(), frame.positions());
    const Value bias = frame.CausalBias();
    const Value encoder_bias = frame.EncoderBias();
    AttentionLayers layers(g_, s_.decoder, {});
    for (int64_t i = 0; i < s_.decoder_layers; ++i) {
      const std::string p = names_.Base("decoder.layers." + std::to_string(i) + ".");
      x = layers.Decoder(x, p, frame, i, bias, encoder_bias);
    }
    return LastNorm(x, "decoder.");
  }

  Value VocabularyScores(const Value& rows) {
    g_.SetScope("lm_head");
    const std::string head = TiedTensor(g_, s_.tied, Words("decoder."), names_.Of("lm_head.weight"));
    const Value scores = LinearFrom(g_, rows, head, "", s_.width, s_.vocabulary);
    const std::string bias = names_.Of("final_logits_bias");
    return g_.Has(bias) ? g_.Op("Add", {scores, g_.Weight(bias, {1, s_.vocabulary})}) : scores;
  }

 private:
  std::string Words(const std::string& side) { return WordsOf(g_, names_.Base(""), side, s_.tied); }

  Value Embed(const std::string& side, const Value& ids, const Value& positions) {
    const std::string p = names_.Base(side);
    g_.SetScope(p + "embed");
    Value words = Embedding(g_, Words(side), ids, s_.vocabulary, s_.width);
    if (s_.scaled_words) words = g_.Op("Mul", {words, g_.Float(std::sqrt(static_cast<float>(s_.width)))});
    const Value places = g_.Op("Add", {positions, g_.Int(kFirstPosition)});
    const Value x = g_.Op("Add", {words, Embedding(g_, p + "embed_positions.weight", places,
                                                   s_.positions + kFirstPosition, s_.width)});
    return ToRows(g_, LayerNorm(g_, x, p + "layernorm_embedding", s_.width, s_.encoder.epsilon), s_.width);
  }

  Value LastNorm(const Value& x, const std::string& side) {
    g_.SetScope(side + "layer_norm");
    return s_.multilingual ? LayerNorm(g_, x, names_.Base(side + "layer_norm"), s_.width, s_.encoder.epsilon)
                           : x;
  }

  GraphBuilder& g_;
  const BartSizes s_;
  const ModelNames names_;
  Value ids_, mask_;
  Layout layout_;
};

void Generation(GraphBuilder& g, Bart& model) {
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

// What mBART's decoder starts with: the row's last token that is not padding (the language).
Value LastNotPad(GraphBuilder& g, const Value& ids, int64_t pad) {
  const Value kept = g.Op("Where", {g.Op("Equal", {ids, g.Int(pad)}), g.Int(0), g.Int(1)});
  const Value count = g.Op("ReduceSum", {kept, g.Ints({1})}, {{"keepdims", int64_t{1}}});
  return g.Op("GatherElements", {ids, g.Op("Sub", {count, g.Int(1)})}, {{"axis", int64_t{1}}});
}

// The decoder's tokens [batch, length, width] when it reads the text once more, one place to the right.
struct BothSides {
  Value encoder_rows;
  Value tokens;
};
Result<BothSides> ReadTwice(GraphBuilder& g, Bart& model, const Config& config) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  MLOS_ASSIGN_OR_RETURN(const int64_t pad, config.Int("pad_token_id", 1, 0, kMax));
  MLOS_ASSIGN_OR_RETURN(const int64_t start, config.Int("decoder_start_token_id", 2, 0, kMax));
  const Value encoded = model.Encode(kSequenceAxis);
  const Value first =
      model.sizes().multilingual ? LastNotPad(g, model.ids(), pad) : StartColumn(g, model.ids(), start);
  DecoderFrame frame(g, model.decoder_sizes(), {ShiftRight(g, model.ids(), first), encoded, model.mask()});
  const Value rows = model.Decode(frame);
  return BothSides{encoded, FromRows(g, frame.layout(), rows, model.sizes().width)};
}

Status HiddenOutputs(GraphBuilder& g, Bart& model, const Config& config) {
  MLOS_ASSIGN_OR_RETURN(const BothSides sides, ReadTwice(g, model, config));
  const int64_t width = model.sizes().width;
  g.Output("last_hidden_state", sides.tokens, DType::kFp32, {kBatchAxis, kSequenceAxis, width});
  g.Output("encoder_last_hidden_state", FromRows(g, model.layout(), sides.encoder_rows, width), DType::kFp32,
           {kBatchAxis, kSequenceAxis, width});
  return OkStatus();
}

Status SequenceLabels(GraphBuilder& g, Bart& model, const Config& config) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  MLOS_ASSIGN_OR_RETURN(const int64_t end, config.Int("eos_token_id", 2, 0, kMax));
  MLOS_ASSIGN_OR_RETURN(const BothSides sides, ReadTwice(g, model, config));
  const int64_t width = model.sizes().width;
  const std::string p = model.names().Of("classification_head.");
  g.SetScope(p);
  const Value pooled = AtLast(g, sides.tokens, model.ids(), end);
  const Value inner = g.Op("Tanh", {Dense(g, pooled, p + "dense", width, width)});
  LogitsOutput(g, Labels(g, inner, p + "out_proj", width), p + "out_proj");
  return OkStatus();
}

Status Spans(GraphBuilder& g, Bart& model, const Config& config) {
  MLOS_ASSIGN_OR_RETURN(const BothSides sides, ReadTwice(g, model, config));
  const std::string name = model.names().Of("qa_outputs");
  g.SetScope(name);
  const int64_t width = model.sizes().width;
  const Value scores = Dense(g, ToRows(g, sides.tokens, width), name, width, 2);
  const Value spans = FromRows(g, model.layout(), scores, 2);
  const auto column = [&](int64_t index) {
    return g.Op("Gather", {spans, g.Int(index)}, {{"axis", int64_t{2}}});
  };
  g.Output("start_logits", column(0), DType::kFp32, {kBatchAxis, kSequenceAxis});
  g.Output("end_logits", column(1), DType::kFp32, {kBatchAxis, kSequenceAxis});
  return OkStatus();
}

std::vector<IgnoreRule> Ignored(const ModelNames& names, Head head) {
  std::vector<IgnoreRule> rules;
  for (const char* name : {"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"})
    rules.push_back(IgnoreTensor(names.Base(name), "word embeddings; there are others"));
  for (const char* name : {"encoder.version", "decoder.version"})
    rules.push_back(IgnoreTensor(names.Base(name), "a mark of its writer"));
  rules.push_back(
      IgnoreTensor(names.Of("lm_head.weight"), "tied to the embeddings, or not part of the task"));
  if (head != Head::kSeq2SeqLm)
    rules.push_back(IgnoreTensor(names.Of("final_logits_bias"), "not part of the task"));
  if (head == Head::kEncoder || head == Head::kSeq2SeqLm)
    rules.push_back({names.Of("classification_head."), "", "not part of the task"});
  return rules;
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context, bool multilingual) {
  const std::string name = multilingual ? "mbart" : "bart";
  if (context.encoder_only)
    return Unimplemented("pooling of sentence-transformers is not supported for " + name);
  MLOS_ASSIGN_OR_RETURN(const BartSizes sizes, ReadSizes(context.config, multilingual));
  Bart model(g, sizes);
  switch (context.head) {
    case Head::kSeq2SeqLm:
      Generation(g, model);
      break;
    case Head::kEncoder:
      MLOS_RETURN_IF_ERROR(HiddenOutputs(g, model, context.config));
      break;
    case Head::kSequenceClassification:
      MLOS_RETURN_IF_ERROR(SequenceLabels(g, model, context.config));
      break;
    case Head::kQuestionAnswering:
      MLOS_RETURN_IF_ERROR(Spans(g, model, context.config));
      break;
    default:
      return Unimplemented("task '" + std::string(TaskName(context.head)) + "' is not supported for " + name);
  }
  return BuildResult{{}, Ignored(model.names(), context.head), static_cast<uint32_t>(sizes.positions)};
}

Result<BuildResult> BuildBart(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, false);
}
Result<BuildResult> BuildMbart(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, true);
}

constexpr std::array<Architecture::ClassHead, 4> kClasses = {{
    {"BartModel", Head::kEncoder},
    {"BartForConditionalGeneration", Head::kSeq2SeqLm},
    {"BartForSequenceClassification", Head::kSequenceClassification},
    {"BartForQuestionAnswering", Head::kQuestionAnswering},
}};

constexpr std::array<Architecture::ClassHead, 4> kMultilingualClasses = {{
    {"MBartModel", Head::kEncoder},
    {"MBartForConditionalGeneration", Head::kSeq2SeqLm},
    {"MBartForSequenceClassification", Head::kSequenceClassification},
    {"MBartForQuestionAnswering", Head::kQuestionAnswering},
}};

}  // namespace

const Architecture kBart = {"bart", kClasses, BuildBart};
const Architecture kMbart = {"mbart", kMultilingualClasses, BuildMbart};

}  // namespace mlos::convert
