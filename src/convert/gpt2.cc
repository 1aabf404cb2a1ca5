// SPDX-License-Identifier: Apache-2.0
// GPT-2 (model_type "gpt2", also DistilGPT2): pre-norm decoder with learned positions. Text generation takes and gives the cache; with
// an empty past the same graph reads a whole prompt.
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "convert/architectures.h"
#include "convert/attention_heads.h"
#include "convert/image_model.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr char kPastAxis[] = "past_sequence_length";
constexpr char kTotalAxis[] = "past_sequence_length + sequence_length";

struct Gpt2Sizes {
  int64_t vocabulary = 50257, positions = 1024, width = 768, layers = 12, inner = 0;
  HeadShape heads;
  double epsilon = 1e-5;
  std::string activation;
  bool scaled = true, scaled_by_layer = false, tied = true;
  int64_t pad = -1;  // -1: none
};

Result<Gpt2Sizes> ReadSizes(const Config& config) {
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  MLOS_RETURN_IF_ERROR(config.RequireBool("add_cross_attention", false));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  Gpt2Sizes s;
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("n_positions", s.positions, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("n_embd", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("n_layer", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.inner, config.Int("n_inner", 4 * s.width, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.heads.count, config.Int("n_head", 12, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_epsilon", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("activation_function", "gelu_new"));
  MLOS_ASSIGN_OR_RETURN(s.scaled, config.Bool("scale_attn_weights", true));
  MLOS_ASSIGN_OR_RETURN(s.scaled_by_layer, config.Bool("scale_attn_by_inverse_layer_idx", false));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", true));
  MLOS_ASSIGN_OR_RETURN(s.pad, config.Int("pad_token_id", -1, -1, kMax));
  s.heads.width = s.width / s.heads.count;
  if (s.heads.total() != s.width) {
    return DataLoss("config.json: 'n_embd' " + std::to_string(s.width) + " is not a multiple of 'n_head' " +
                    std::to_string(s.heads.count));
  }
  return s;
}

class Gpt2 {
 public:
  Gpt2(GraphBuilder& g, const Gpt2Sizes& sizes) : g_(g), s_(sizes), names_(g, "transformer.", "wte.weight") {}

  const ModelNames& names() const { return names_; }

  // Declares the inputs and runs the layers. `cached`: position_ids, past and present are the client's.
  void Decode(bool cached) {
    Inputs(cached);
    g_.SetScope("embeddings");
    const std::string words = names_.Base("wte.weight");
    Value x = g_.Op("Add", {Embedding(g_, words, ids_, s_.vocabulary, s_.width),
                            Embedding(g_, names_.Base("wpe.weight"), positions_, s_.positions, s_.width)});
    x = ToRows(g_, x, s_.width);
    for (int64_t i = 0; i < s_.layers; ++i) x = Layer(i, x);
    g_.SetScope("ln_f");
    rows_ = LayerNorm(g_, x, names_.Base("ln_f"), s_.width, s_.epsilon);
    tokens_ = FromRows(g_, layout_, rows_, s_.width);
  }

  void HiddenOutput() {
    g_.Output("last_hidden_state", tokens_, DType::kFp32, {kBatchAxis, kSequenceAxis, s_.width});
  }

  void NextTokens() {
    g_.SetScope("lm_head");
    const std::string weight =
        TiedTensor(g_, s_.tied, names_.Base("wte.weight"), names_.Of("lm_head.weight"));
    const Value scores = LinearFrom(g_, rows_, weight, "", s_.width, s_.vocabulary);
    g_.Output("logits", FromRows(g_, layout_, scores, s_.vocabulary), DType::kFp32,
              {kBatchAxis, kSequenceAxis, s_.vocabulary});
    for (size_t i = 0; i < present_.size(); ++i)
      CacheOutput(g_, "present." + std::to_string(i), present_[i], s_.heads, kTotalAxis);
  }

  // Scores of the last token that is not padding; of the last one when there is no padding token.
  void SequenceLabels() {
    g_.SetScope("score");
    const std::string weight = names_.Of("score.weight");
    const Shape shape = g_.ShapeOf(weight);
    const int64_t labels = shape.empty() ? -1 : shape.front();
    Value last;
    if (s_.pad < 0) {
      last = TakeToken(g_, tokens_, -1);
    } else {
      const Value is_pad = g_.Op("Equal", {ids_, g_.Int(s_.pad)});
      const Value counted = g_.Op("Where", {is_pad, g_.Int(0), CountedTokens()});
      const Value index = g_.Op("ArgMax", {counted}, {{"axis", int64_t{1}}, {"keepdims", int64_t{1}}});
      last = g_.Op("GatherND", {tokens_, index}, {{"batch_dims", int64_t{1}}});
    }
    g_.Output("logits", LinearFrom(g_, last, weight, "", s_.width, labels), DType::kFp32,
              {kBatchAxis, labels});
  }

  void TokenLabels() { PerToken("classifier"); }

  void Spans() {
    const Value scores = TokenScores("qa_outputs", 2);
    const auto column = [&](int64_t index) {
      return g_.Op("Gather", {scores, g_.Int(index)}, {{"axis", int64_t{2}}});
    };
    g_.Output("start_logits", column(0), DType::kFp32, {kBatchAxis, kSequenceAxis});
    g_.Output("end_logits", column(1), DType::kFp32, {kBatchAxis, kSequenceAxis});
  }

  EncoderOutput output() const { return {tokens_, mask_, s_.width}; }

 private:
  void Inputs(bool cached) {
    ids_ = g_.Input("input_ids", DType::kInt64, {kBatchAxis, kSequenceAxis});
    mask_ = g_.Input("attention_mask", DType::kInt64, {kBatchAxis, cached ? kTotalAxis : kSequenceAxis});
    layout_ = LayoutOf(g_, ids_, s_.width);
    g_.SetScope("positions");
    batch_ = SizesOf(g_, ids_, 0);
    const Value length = SizeOf(g_, ids_, 1);
    Value past_length = g_.Int(0);
    if (cached) {
      positions_ = g_.Input("position_ids", DType::kInt64, {kBatchAxis, kSequenceAxis});
      for (int64_t i = 0; i < s_.layers; ++i)
        past_.push_back(CacheInput(g_, "past_key_values." + std::to_string(i), s_.heads, kPastAxis));
      past_length = SizeOf(g_, past_.front().key, 2);
    }
    const Value queries = Counted(g_, past_length, length);
    if (!cached) positions_ = queries;
    g_.SetScope("mask");
    const Value keys = cached ? Counted(g_, g_.Int(0), g_.Op("Add", {past_length, length})) : queries;
    const Value sight = CausalSight(g_, queries, keys);
    bias_ = SightToBias(g_, g_.Op("And", {sight, MaskSight(g_, mask_)}));
  }

  // Conv1D keeps its weight as [in, out].
  Value Conv1d(const Value& x, const std::string& name, int64_t in, int64_t out) {
    return g_.Op("Gemm", {x, g_.Weight(name + ".weight", {in, out}), g_.Weight(name + ".bias", {out})});
  }

  Value Layer(int64_t index, const Value& x) {
    const std::string p = names_.Base("h." + std::to_string(index) + ".");
    g_.SetScope(p + "attn");
    const Value normed = LayerNorm(g_, x, p + "ln_1", s_.width, s_.epsilon);
    const Value qkv = Conv1d(normed, p + "attn.c_attn", s_.width, 3 * s_.width);
    const std::vector<Value> parts = g_.Split(qkv, 1, {s_.width, s_.width, s_.width});
    const auto split = [&](const Value& rows) { return SplitHeads(g_, rows, batch_, s_.heads); };
    KeyValue kv = {split(parts[1]), split(parts[2])};
    if (!past_.empty()) {
      kv = AppendTo(g_, past_[static_cast<size_t>(index)], kv);
      present_.push_back(kv);
    }
    double scale = s_.scaled ? 1.0 / std::sqrt(static_cast<double>(s_.heads.width)) : 1.0;
    if (s_.scaled_by_layer) scale /= static_cast<double>(index + 1);
    const Value mixed = AttendHeads(g_, split(parts[0]), kv, bias_, s_.heads, scale);
    const Value attended = g_.Op("Add", {Conv1d(mixed, p + "attn.c_proj", s_.width, s_.width), x});
    g_.SetScope(p + "mlp");
    Value inner = LayerNorm(g_, attended, p + "ln_2", s_.width, s_.epsilon);
    inner = Conv1d(inner, p + "mlp.c_fc", s_.width, s_.inner);
    inner = Activation(g_, inner, s_.activation, "activation_function");
    return g_.Op("Add", {Conv1d(inner, p + "mlp.c_proj", s_.inner, s_.width), attended});
  }

  Value CountedTokens() { return Counted(g_, g_.Int(0), SizeOf(g_, ids_, 1)); }

  Value TokenScores(const std::string& name, int64_t labels) {
    g_.SetScope(name);
    return FromRows(g_, layout_, Dense(g_, rows_, names_.Of(name), s_.width, labels), labels);
  }

  void PerToken(const std::string& name) {
    const Shape shape = g_.ShapeOf(names_.Of(name + ".weight"));
    const int64_t labels = shape.empty() ? -1 : shape.front();
    g_.Output("logits", TokenScores(name, labels), DType::kFp32, {kBatchAxis, kSequenceAxis, labels});
  }

  GraphBuilder& g_;
  const Gpt2Sizes s_;
  const ModelNames names_;
  Value ids_, mask_, positions_, batch_, bias_;
  Layout layout_;
  std::vector<KeyValue> past_, present_;
  Value rows_, tokens_;
};

Status Answer(Gpt2& model, Head head) {
  switch (head) {
    case Head::kEncoder:
      model.HiddenOutput();
      return OkStatus();
    case Head::kCausalLm:
      model.NextTokens();
      return OkStatus();
    case Head::kSequenceClassification:
      model.SequenceLabels();
      return OkStatus();
    case Head::kTokenClassification:
      model.TokenLabels();
      return OkStatus();
    case Head::kQuestionAnswering:
      model.Spans();
      return OkStatus();
    default:
      return Unimplemented("task '" + std::string(TaskName(head)) + "' is not supported for gpt2");
  }
}

std::vector<IgnoreRule> Ignored(const ModelNames& names, Head head) {
  std::vector<IgnoreRule> rules = {{names.Base("h."), ".attn.bias", "a constant"},
                                   {names.Base("h."), ".attn.masked_bias", "a constant"},
                                   {names.Of("multiple_choice_head."), "", "not part of the task"}};
  // A tied head is the embeddings once more; of other tasks it is no part.
  rules.push_back(
      IgnoreTensor(names.Of("lm_head.weight"), "tied to the embeddings, or not part of the task"));
  if (head == Head::kEncoder || head == Head::kCausalLm) {
    for (const char* name : {"score.", "classifier.", "qa_outputs."})
      rules.push_back({names.Of(name), "", "not part of the task"});
  }
  return rules;
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const Gpt2Sizes sizes, ReadSizes(context.config));
  Gpt2 model(g, sizes);
  model.Decode(!context.encoder_only && context.head == Head::kCausalLm);
  if (!context.encoder_only) MLOS_RETURN_IF_ERROR(Answer(model, context.head));
  return BuildResult{model.output(), Ignored(model.names(), context.head),
                     static_cast<uint32_t>(sizes.positions)};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"GPT2Model", Head::kEncoder},
    {"GPT2LMHeadModel", Head::kCausalLm},
    {"GPT2DoubleHeadsModel", Head::kCausalLm},
    {"GPT2ForSequenceClassification", Head::kSequenceClassification},
    {"GPT2ForTokenClassification", Head::kTokenClassification},
    {"GPT2ForQuestionAnswering", Head::kQuestionAnswering},
}};

}  // namespace

const Architecture kGpt2 = {"gpt2", kClasses, Build};

}  // namespace mlos::convert
