// SPDX-License-Identifier: Apache-2.0
// DeBERTa, version 1 (model_type "deberta"), 2 and 3 ("deberta-v2"): scores from content and relative position, with their parts kept apart.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/deberta_config.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

// Bucket of query - key: exact up to half the buckets, then logarithmic; in float32, as the framework counts.
int64_t Bucket(int64_t distance, const DebertaSizes& s) {
  if (s.buckets <= 0) return distance;
  const int64_t half = s.buckets / 2;
  const int64_t n = std::abs(distance);
  if (n <= half) return distance;
  const float steps =
      std::log(static_cast<float>(n) / static_cast<float>(half)) /
      std::log(static_cast<float>(static_cast<double>(s.max_distance - 1) / static_cast<double>(half)));
  const auto bucket = static_cast<int64_t>(std::ceil(steps * static_cast<float>(half - 1))) + half;
  return distance < 0 ? -bucket : bucket;
}

class DebertaEncoder {
 public:
  DebertaEncoder(GraphBuilder& g, TextModel& m, const DebertaSizes& sizes) : g_(g), m_(m), d_(sizes) {}

  void Build() {
    const TextSizes& s = m_.sizes();
    ReadMask();
    const Value embeddings = Embeddings();  // [batch, sequence, width]
    if (d_.relative) Relative();
    Value x = ToRows(g_, embeddings, s.width);
    for (int64_t i = 0; i < s.layers; ++i) {
      x = Layer(x, m_.Base("encoder.layer." + std::to_string(i) + "."));
      if (i == 0 && d_.conv_kernel > 0) x = Convolution(embeddings, x);
    }
    m_.SetRows(x);
  }

 private:
  // A token looks only where both it and the other are attended; one that is not looks everywhere alike.
  void ReadMask() {
    g_.SetScope("mask");
    attended_ = g_.Op("Cast", {m_.mask()}, {{"to", onnx::DataType(DType::kBool)}});
    pairs_ = g_.Op("And", {g_.Op("Unsqueeze", {attended_, g_.Ints({1, 2})}),
                           g_.Op("Unsqueeze", {attended_, g_.Ints({1, 3})})});
    factor_ = g_.Op("Unsqueeze",
                    {g_.Op("Cast", {m_.mask()}, {{"to", onnx::DataType(DType::kFp32)}}), g_.Ints({2})});
  }

  Value Embeddings() {
    const TextSizes& s = m_.sizes();
    g_.SetScope("embeddings");
    const std::string p = m_.Base("embeddings.");
    Value x = Embedding(g_, p + "word_embeddings.weight", m_.ids(), s.vocabulary, d_.embedding);
    if (d_.absolute) {
      x = g_.Op("Add", {x, Embedding(g_, p + "position_embeddings.weight", m_.PositionsFromStart(),
                                     s.positions, d_.embedding)});
    }
    if (s.token_types > 0)
      x = g_.Op("Add", {x, m_.TokenTypes(p + "token_type_embeddings.weight", d_.embedding)});
    if (d_.embedding != s.width) {
      x = LinearFrom(g_, ToRows(g_, x, d_.embedding), p + "embed_proj.weight", "", d_.embedding, s.width);
      x = FromRows(g_, m_.layout(), x, s.width);
    }
    return g_.Op("Mul", {LayerNorm(g_, x, p + "LayerNorm", s.width, s.epsilon), factor_});
  }

  // Table of positions, and for every query and key its row in that table.
  void Relative() {
    const TextSizes& s = m_.sizes();
    g_.SetScope("relative");
    const std::string p = m_.Base("encoder.");
    positions_ = g_.Weight(p + "rel_embeddings.weight", {2 * d_.span(), s.width});
    if (d_.norm_relative) positions_ = LayerNorm(g_, positions_, p + "LayerNorm", s.width, s.epsilon);
    int64_t far = 1;  // from here on every distance has the last row
    while (Bucket(far, d_) < d_.span()) ++far;
    std::vector<int64_t> rows;
    for (int64_t distance = -far; distance <= far; ++distance)
      rows.push_back(std::clamp<int64_t>(Bucket(distance, d_) + d_.span(), 0, 2 * d_.span() - 1));
    const Value table = g_.IntTable("deberta_rows", rows);
    const Value numbers = m_.PositionsFromStart();
    const Value down = g_.Op("Unsqueeze", {numbers, g_.Ints({1})});
    const Value right = g_.Op("Unsqueeze", {numbers, g_.Ints({0})});
    const Value length = g_.Op("Shape", {numbers});
    const Value batch =
        g_.Op("Gather", {m_.layout().batch_and_sequence, g_.Ints({0})}, {{"axis", int64_t{0}}});
    const Value shape = g_.Op("Concat", {batch, g_.Ints({s.heads}), length, length}, {{"axis", int64_t{0}}});
    const auto lookup = [&](const Value& query, const Value& key) {
      const Value near = g_.Op("Clip", {g_.Op("Sub", {query, key}), g_.Int(-far), g_.Int(far)});
      const Value row = g_.Op("Gather", {table, g_.Op("Add", {near, g_.Int(far)})}, {{"axis", int64_t{0}}});
      return g_.Op("Expand", {row, shape});
    };
    by_query_ = lookup(down, right);
    by_key_ = lookup(right, down);
  }

  // The table projected, [heads, head width, 2 * span].
  Value ProjectedPositions(const std::string& name) {
    const TextSizes& s = m_.sizes();
    const std::string bias = d_.fused && !name.ends_with("pos_q_proj") ? "" : name + ".bias";
    const Value x = g_.Op("Reshape", {LinearFrom(g_, positions_, name + ".weight", bias, s.width, s.width),
                                      g_.Ints({-1, s.heads, s.width / s.heads})});
    return g_.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{1, 2, 0}}});
  }

  // Rows as [batch, heads, sequence, width of a head].
  Value SplitByHead(const Value& rows, int64_t width) {
    const Value shape = g_.Op("Concat", {m_.layout().batch_and_sequence, g_.Ints({m_.sizes().heads, width})},
                              {{"axis", int64_t{0}}});
    return g_.Op("Transpose", {g_.Op("Reshape", {rows, shape})},
                 {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  }

  struct Projected {
    Value q, k, v;
  };
  Projected Project(const Value& x, const std::string& p) {
    const TextSizes& s = m_.sizes();
    const int64_t head_width = s.width / s.heads;
    if (!d_.fused) {
      const auto heads = [&](const char* name) {
        return SplitByHead(Dense(g_, x, p + name, s.width, s.width), head_width);
      };
      return {heads("query_proj"), heads("key_proj"), heads("value_proj")};
    }
    const Value all =
        SplitByHead(LinearFrom(g_, x, p + "in_proj.weight", "", s.width, 3 * s.width), 3 * head_width);
    const std::vector<Value> parts = g_.Split(all, 3, {head_width, head_width, head_width});
    const auto biased = [&](const Value& value, const char* name) {
      const Value bias =
          g_.Op("Reshape", {g_.Weight(p + name, {s.width}), g_.Ints({s.heads, 1, head_width})});
      return g_.Op("Add", {value, bias});
    };
    return {biased(parts[0], "q_bias"), parts[1], biased(parts[2], "v_bias")};
  }

  Value SelfAttention(const Value& x, const std::string& p) {
    const TextSizes& s = m_.sizes();
    const int64_t head_width = s.width / s.heads;
    const auto turned = [&](const Value& value) {
      return g_.Op("Transpose", {value}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
    };
    const auto pick = [&](const Value& scores, const Value& rows) {
      return g_.Op("GatherElements", {scores, rows}, {{"axis", int64_t{3}}});
    };
    const auto [q, k, v] = Project(x, p);
    Value scores = g_.Op("MatMul", {q, turned(k)});
    if (d_.relative && d_.content_to_position) {
      const char* name = d_.fused ? "pos_proj" : d_.shared_keys ? "key_proj" : "pos_key_proj";
      const Value keys = ProjectedPositions(p + name);
      scores = g_.Op("Add", {scores, pick(g_.Op("MatMul", {q, keys}), by_query_)});
    }
    if (d_.relative && d_.position_to_content) {
      const char* name = d_.fused ? "pos_q_proj" : d_.shared_keys ? "query_proj" : "pos_query_proj";
      const Value queries = ProjectedPositions(p + name);
      scores = g_.Op("Add", {scores, turned(pick(g_.Op("MatMul", {k, queries}), by_key_))});
    }
    // The framework counts the kinds of scores here whether or not it adds them.
    const int kinds = 1 + (d_.content_to_position ? 1 : 0) + (d_.position_to_content ? 1 : 0);
    scores = g_.Op("Div", {scores, g_.Float(std::sqrt(static_cast<float>(head_width * kinds)))});
    scores = g_.Op("Where", {pairs_, scores, g_.Float(std::numeric_limits<float>::lowest())});
    const Value mixed = g_.Op("MatMul", {g_.Op("Softmax", {scores}, {{"axis", int64_t{-1}}}), v});
    return ToRows(g_, g_.Op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), s.width);
  }

  Value Layer(const Value& x, const std::string& p) {
    const TextSizes& s = m_.sizes();
    g_.SetScope(p + "attention");
    const Value mixed = SelfAttention(x, p + "attention.self.");
    const Value attended = Dense(g_, mixed, p + "attention.output.dense", s.width, s.width);
    const Value normed =
        LayerNorm(g_, g_.Op("Add", {attended, x}), p + "attention.output.LayerNorm", s.width, s.epsilon);
    g_.SetScope(p + "feed_forward");
    const Value inner = Dense(g_, normed, p + "intermediate.dense", s.width, s.intermediate);
    const Value outer = Dense(g_, Activation(g_, inner, s.activation, s.activation_key), p + "output.dense",
                              s.intermediate, s.width);
    return LayerNorm(g_, g_.Op("Add", {outer, normed}), p + "output.LayerNorm", s.width, s.epsilon);
  }

  // A convolution of the embeddings along the text, added to what the first layer gave.
  Value Convolution(const Value& embeddings, const Value& rows) {
    const TextSizes& s = m_.sizes();
    g_.SetScope("encoder.conv");
    const std::string p = m_.Base("encoder.conv.");
    const std::vector<int64_t> swap = {0, 2, 1};
    const int64_t pad = (d_.conv_kernel - 1) / 2;
    Value x = g_.Op("Conv",
                    {g_.Op("Transpose", {embeddings}, {{"perm", swap}}),
                     g_.Weight(p + "conv.weight", {s.width, s.width / d_.conv_groups, d_.conv_kernel}),
                     g_.Weight(p + "conv.bias", {s.width})},
                    {{"pads", std::vector<int64_t>{pad, pad}}, {"group", d_.conv_groups}});
    x = g_.Op("Mul", {g_.Op("Transpose", {x}, {{"perm", swap}}), factor_});
    x = Activation(g_, x, d_.conv_activation, "conv_act");
    x = g_.Op("Add", {FromRows(g_, m_.layout(), rows, s.width), x});
    x = g_.Op("Mul", {LayerNorm(g_, x, p + "LayerNorm", s.width, s.epsilon), factor_});
    return ToRows(g_, x, s.width);
  }

  GraphBuilder& g_;
  TextModel& m_;
  const DebertaSizes& d_;
  Value attended_, pairs_,
      factor_;  // bool [batch, sequence], bool [batch, 1, sequence, sequence], FP32 [batch, sequence, 1]
  Value positions_, by_query_, by_key_;  // [2 * span, width], int64 [batch, heads, sequence, sequence]
};

void MaskedLm(GraphBuilder& g, TextModel& m, const DebertaSizes& d) {
  const TextSizes& s = m.sizes();
  g.SetScope("cls");
  const std::string p = m.Of(d.legacy ? "cls.predictions." : "lm_predictions.lm_head.");
  const std::string transform = d.legacy ? p + "transform." : p;
  const int64_t width = d.legacy ? d.embedding : s.width;
  Value x = Dense(g, m.rows(), transform + "dense", s.width, width);
  x = Activation(g, x, s.activation, s.activation_key);
  x = LayerNorm(g, x, transform + "LayerNorm", width, s.epsilon);
  m.VocabularyScores(x, width, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

void Answer(GraphBuilder& g, TextModel& m, const DebertaSizes& d, Head head) {
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs("");
    case Head::kMaskedLm:
      return MaskedLm(g, m, d);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(m.Of("pooler.dense"), d.pooler_activation), m.Of("classifier"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    case Head::kMultipleChoice:
      return m.ChoiceScores(m.FirstToken(m.Of("pooler.dense"), d.pooler_activation), m.Of("classifier"));
    default:
      return m.Refuse(d.fused ? "deberta" : "deberta-v2", head);
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context, const DebertaSizes& sizes) {
  TextModel model(g, "deberta.", sizes.text, context.head);
  DebertaEncoder(g, model, sizes).Build();
  if (!context.encoder_only) Answer(g, model, sizes, context.head);
  std::vector<IgnoreRule> ignore = UnusedHeads(model, context.head, {"cls.predictions.", "lm_predictions."});
  ignore.push_back({model.Of("mask_predictions."), "", "pre-training head, not part of the task"});
  ignore.push_back({model.Of("cls.predictions.decoder."), "", "the same as the tensor it is tied to"});
  ignore.push_back({model.Of("cls.predictions.bias"), "", "the decoder has a bias of its own"});
  if (!sizes.absolute) {
    ignore.push_back({model.Base("embeddings.position_embeddings."), "", "'position_biased_input' is false"});
  }
  if (context.head == Head::kEncoder)
    ignore.push_back({model.Of("pooler."), "", "classification head, not part of the task"});
  return BuildResult{model.encoder(), std::move(ignore), static_cast<uint32_t>(sizes.text.positions)};
}

Result<BuildResult> BuildV2(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const DebertaSizes sizes, ReadDebertaV2(context.config));
  return Build(g, context, sizes);
}
Result<BuildResult> BuildV1(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const DebertaSizes sizes, ReadDebertaV1(context.config));
  return Build(g, context, sizes);
}

constexpr std::array<Architecture::ClassHead, 5> kClassesV1 = {{
    {"DebertaModel", Head::kEncoder},
    {"DebertaForMaskedLM", Head::kMaskedLm},
    {"DebertaForSequenceClassification", Head::kSequenceClassification},
    {"DebertaForTokenClassification", Head::kTokenClassification},
    {"DebertaForQuestionAnswering", Head::kQuestionAnswering},
}};
constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"DebertaV2Model", Head::kEncoder},
    {"DebertaV2ForMaskedLM", Head::kMaskedLm},
    {"DebertaV2ForSequenceClassification", Head::kSequenceClassification},
    {"DebertaV2ForTokenClassification", Head::kTokenClassification},
    {"DebertaV2ForQuestionAnswering", Head::kQuestionAnswering},
    {"DebertaV2ForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kDeberta = {"deberta", kClassesV1, BuildV1};
const Architecture kDebertaV2 = {"deberta-v2", kClasses, BuildV2};

}  // namespace mlos::convert
