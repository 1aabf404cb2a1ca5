// SPDX-License-Identifier: Apache-2.0
// XLNet (model_type "xlnet"), as an encoder: every token sees every other, scores from content, relative position and segment. There is no
// memory of earlier texts and no order of prediction.
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "convert/architectures.h"
#include "convert/attention_heads.h"
#include "convert/text_heads.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr float kHidden = -1e30F;  // added to the score of a token that is not to be seen

struct XlnetSizes {
  TextSizes text;
  int64_t farthest = -1;  // distances are cut to it; -1: they are not
};

Result<XlnetSizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("attn_type", {"bi"}));
  MLOS_RETURN_IF_ERROR(config.RequireBool("bi_data", false));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  XlnetSizes x;
  TextSizes& s = x.text;
  s.activation_key = "ff_activation";
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", 32000, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("d_model", 1024, 2, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("n_layer", 24, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Int("n_head", 16, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.intermediate, config.Int("d_inner", 4096, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("ff_activation", "gelu"));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", 1e-12, 0, 1));
  MLOS_ASSIGN_OR_RETURN(x.farthest, config.Int("clamp_len", -1, -1, kMax));
  MLOS_RETURN_IF_ERROR(CheckHeads(s, "d_model", "n_head"));
  if (s.width % 2 != 0)
    return Unimplemented("config.json: 'd_model' is " + std::to_string(s.width) +
                         "; supported: even numbers");
  const int64_t head_width = s.width / s.heads;
  MLOS_RETURN_IF_ERROR(config.Int("d_head", head_width, head_width, head_width).status());
  return x;
}

class XlnetEncoder {
 public:
  XlnetEncoder(GraphBuilder& g, TextModel& m, const XlnetSizes& sizes)
      : g_(g), m_(m), x_(sizes), s_(sizes.text), heads_{s_.heads, s_.width / s_.heads} {}

  void Build() {
    g_.SetScope("mask");
    batch_ = SizesOf(g_, m_.ids(), 0);
    length_ = SizeOf(g_, m_.ids(), 1);
    Masks();
    Distances();
    g_.SetScope("word_embedding");
    Value x = Embedding(g_, m_.Base("word_embedding.weight"), m_.ids(), s_.vocabulary, s_.width);
    x = ToRows(g_, x, s_.width);
    for (int64_t i = 0; i < s_.layers; ++i) x = Layer(x, m_.Base("layer." + std::to_string(i) + "."));
    m_.SetRows(x);
  }

 private:
  // A token always sees itself.
  void Masks() {
    const Value numbers = Counted(g_, g_.Int(0), length_);
    const Value same = g_.Op(
        "Equal", {g_.Op("Unsqueeze", {numbers, g_.Ints({0})}), g_.Op("Unsqueeze", {numbers, g_.Ints({1})})});
    const Value sight = g_.Op("Or", {MaskSight(g_, m_.mask()), same});
    bias_ = g_.Op("Where", {sight, g_.Float(0.0F), g_.Float(kHidden)});
    const Value types = m_.TokenInput("token_type_ids");
    const Value equal = g_.Op("Equal", {g_.Op("Unsqueeze", {types, g_.Ints({1, 2})}),
                                        g_.Op("Unsqueeze", {types, g_.Ints({1, 3})})});
    same_segment_ = equal;
  }

  // Sines and cosines of the distances length, length - 1 ... 1 - length, [2 * length, width].
  void Distances() {
    g_.SetScope("distances");
    std::vector<float> frequencies;
    for (int64_t i = 0; i < s_.width; i += 2) {
      const float exponent = static_cast<float>(i) / static_cast<float>(s_.width);
      frequencies.push_back(1.0F / std::pow(10000.0F, exponent));
    }
    Value distance = g_.Op("Range", {length_, g_.Op("Neg", {length_}), g_.Int(-1)});
    if (x_.farthest > 0) distance = g_.Op("Clip", {distance, g_.Int(-x_.farthest), g_.Int(x_.farthest)});
    const Value column =
        g_.Op("Unsqueeze", {g_.Op("Cast", {distance}, {{"to", onnx::DataType(DType::kFp32)}}), g_.Ints({1})});
    const Value angle = g_.Op("Mul", {column, g_.FloatTable("xlnet_frequencies", frequencies)});
    distances_ = g_.Op("Concat", {g_.Op("Sin", {angle}), g_.Op("Cos", {angle})}, {{"axis", int64_t{1}}});
  }

  // Rows times a projection kept as [width, heads, head width].
  Value Project(const Value& rows, const std::string& name) {
    const Value weight = g_.Weight(name, {s_.width, heads_.count, heads_.width});
    return g_.Op("Gemm", {rows, g_.Op("Reshape", {weight, g_.Ints({s_.width, s_.width})})});
  }

  // q plus a bias of each head.
  Value Biased(const Value& q, const std::string& name) {
    const Value bias = g_.Weight(name, {heads_.count, heads_.width});
    return g_.Op("Add", {q, g_.Op("Unsqueeze", {bias, g_.Ints({1})})});
  }

  Value Transposed(const Value& k) {
    return g_.Op("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  }

  // [batch, heads, length, 2 * length] by distance -> [batch, heads, length, length] by key: each query's row is moved on by one more.
  Value ByKey(const Value& scores) {
    const Value lengths = g_.Op("Unsqueeze", {length_, g_.Ints({0})});
    const auto shape = [&](const Value& third, const Value& fourth) {
      return g_.Op("Concat", {batch_, g_.Ints({heads_.count}), third, fourth}, {{"axis", int64_t{0}}});
    };
    Value x = g_.Op("Reshape", {scores, shape(g_.Ints({-1}), lengths)});
    x = g_.Op("Slice", {x, g_.Ints({1}), g_.Ints({std::numeric_limits<int64_t>::max()}), g_.Ints({2})});
    x = g_.Op("Reshape", {x, shape(lengths, g_.Ints({-1}))});
    return g_.Op("Slice", {x, g_.Ints({0}), lengths, g_.Ints({3})});
  }

  // What the query says to keys of its own segment, and to others.
  Value BySegment(const Value& q, const std::string& p) {
    const Value embeddings = g_.Weight(p + "seg_embed", {2, heads_.count, heads_.width});
    const Value columns = g_.Op("Transpose", {embeddings}, {{"perm", std::vector<int64_t>{1, 2, 0}}});
    const Value both = g_.Op("MatMul", {Biased(q, p + "r_s_bias"), columns});
    const std::vector<Value> parts = g_.Split(both, 3, {1, 1});
    return g_.Op("Where", {same_segment_, parts[0], parts[1]});
  }

  Value Layer(const Value& x, const std::string& layer) {
    const std::string p = layer + "rel_attn.";
    g_.SetScope(p);
    const Value q = SplitHeads(g_, Project(x, p + "q"), batch_, heads_);
    const Value k = SplitHeads(g_, Project(x, p + "k"), batch_, heads_);
    const Value v = SplitHeads(g_, Project(x, p + "v"), batch_, heads_);
    const Value r = SplitHeads(g_, Project(distances_, p + "r"), g_.Ints({1}), heads_);
    const Value content = g_.Op("MatMul", {Biased(q, p + "r_w_bias"), Transposed(k)});
    const Value position = ByKey(g_.Op("MatMul", {Biased(q, p + "r_r_bias"), Transposed(r)}));
    const Value sum = g_.Op("Add", {g_.Op("Add", {content, position}), BySegment(q, p)});
    const double scale = 1.0 / std::sqrt(static_cast<double>(heads_.width));
    const Value scores = g_.Op("Add", {g_.Op("Mul", {sum, g_.Float(static_cast<float>(scale))}), bias_});
    const Value mixed = g_.Op("MatMul", {g_.Op("Softmax", {scores}, {{"axis", int64_t{-1}}}), v});
    const Value joined = g_.Op(
        "Reshape",
        {g_.Op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), g_.Ints({-1, s_.width})});
    const Value out = g_.Op("Reshape", {g_.Weight(p + "o", {s_.width, heads_.count, heads_.width}),
                                        g_.Ints({s_.width, s_.width})});
    const Value attended = g_.Op("Gemm", {joined, out}, {{"transB", int64_t{1}}});
    const Value normed = LayerNorm(g_, g_.Op("Add", {attended, x}), p + "layer_norm", s_.width, s_.epsilon);
    return FeedForward(normed, layer + "ff.");
  }

  Value FeedForward(const Value& x, const std::string& p) {
    g_.SetScope(p);
    const Value inner = Activation(g_, Dense(g_, x, p + "layer_1", s_.width, s_.intermediate), s_.activation,
                                   s_.activation_key);
    const Value outer = Dense(g_, inner, p + "layer_2", s_.intermediate, s_.width);
    return LayerNorm(g_, g_.Op("Add", {outer, x}), p + "layer_norm", s_.width, s_.epsilon);
  }

  GraphBuilder& g_;
  TextModel& m_;
  const XlnetSizes x_;
  const TextSizes& s_;
  const HeadShape heads_;
  Value batch_, length_, bias_, same_segment_, distances_;
};

Status Answer(GraphBuilder& g, TextModel& m, const BuildContext& context) {
  switch (context.head) {
    case Head::kEncoder:
      m.HiddenOutputs("");
      return OkStatus();
    case Head::kSequenceClassification: {
      MLOS_ASSIGN_OR_RETURN(const Value pooled, TextSummary(g, m, context.config, {"last", "tanh"}));
      m.SequenceLabels(pooled, m.Of("logits_proj"));
      return OkStatus();
    }
    case Head::kMultipleChoice: {
      MLOS_ASSIGN_OR_RETURN(const Value pooled, TextSummary(g, m, context.config, {"last", "tanh"}));
      m.ChoiceScores(pooled, m.Of("logits_proj"));
      return OkStatus();
    }
    case Head::kTokenClassification:
      m.TokenLabels(m.Of("classifier"));
      return OkStatus();
    case Head::kQuestionAnswering:
      m.Spans(m.Of("qa_outputs"));
      return OkStatus();
    default:
      m.Refuse("xlnet", context.head);
      return OkStatus();
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const XlnetSizes sizes, ReadSizes(context.config));
  TextModel model(g, "transformer.", sizes.text, context.head, "word_embedding.weight");
  XlnetEncoder(g, model, sizes).Build();
  if (!context.encoder_only) MLOS_RETURN_IF_ERROR(Answer(g, model, context));
  std::vector<IgnoreRule> ignore = UnusedHeads(model, context.head, {});
  ignore.push_back(IgnoreTensor(model.Base("mask_emb"), "for predictions in an order, not part of the task"));
  ignore.push_back({model.Of("lm_loss."), "", "language model head, not part of the task"});
  if (context.head == Head::kEncoder) {
    ignore.push_back({model.Of("sequence_summary."), "", "not part of the task"});
    ignore.push_back({model.Of("logits_proj."), "", "not part of the task"});
  }
  return BuildResult{model.encoder(), std::move(ignore), 0};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"XLNetModel", Head::kEncoder},
    {"XLNetLMHeadModel", Head::kEncoder},
    {"XLNetForSequenceClassification", Head::kSequenceClassification},
    {"XLNetForTokenClassification", Head::kTokenClassification},
    {"XLNetForQuestionAnsweringSimple", Head::kQuestionAnswering},
    {"XLNetForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kXlnet = {"xlnet", kClasses, Build};

}  // namespace mlos::convert
