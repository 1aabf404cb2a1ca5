// SPDX-License-Identifier: Apache-2.0
// MPNet (model_type "mpnet"): RoBERTa's positions, and a bias by the bucket of the distance added to every layer's scores.
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/relative_position.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

// The framework's code fixes these three, whatever config.json says.
constexpr int64_t kPad = 1;
constexpr RelativeBuckets kBuckets = {32, 128, true};

Value Layer(GraphBuilder& g, const TextModel& m, const Value& x, const Value& bias, const std::string& p) {
  const TextSizes& s = m.sizes();
  g.SetScope(p + "attention");
  const auto project = [&](const char* name) {
    return Dense(g, x, p + "attention.attn." + name, s.width, s.width);
  };
  const Value mixed = Attention(g, m.layout(), s.heads, project("q"), project("k"), project("v"), bias);
  const Value attended = Dense(g, mixed, p + "attention.attn.o", s.width, s.width);
  const Value normed =
      LayerNorm(g, g.Op("Add", {attended, x}), p + "attention.LayerNorm", s.width, s.epsilon);
  g.SetScope(p + "feed_forward");
  const Value inner = Dense(g, normed, p + "intermediate.dense", s.width, s.intermediate);
  const Value outer = Dense(g, Activation(g, inner, s.activation, s.activation_key), p + "output.dense",
                            s.intermediate, s.width);
  return LayerNorm(g, g.Op("Add", {outer, normed}), p + "output.LayerNorm", s.width, s.epsilon);
}

void BuildEncoder(GraphBuilder& g, TextModel& m, const RelativeBuckets& buckets) {
  const TextSizes& s = m.sizes();
  g.SetScope("embeddings");
  const std::string p = m.Base("embeddings.");
  Value x = Embedding(g, p + "word_embeddings.weight", m.ids(), s.vocabulary, s.width);
  x = g.Op("Add", {x, Embedding(g, p + "position_embeddings.weight", m.PositionsFromIds(kPad), s.positions,
                                s.width)});
  x = ToRows(g, LayerNorm(g, x, p + "LayerNorm", s.width, s.epsilon), s.width);
  g.SetScope("relative_attention_bias");
  const Value positions = m.PositionsFromStart();
  const Value relative = RelativeBias(g, m.Base("encoder.relative_attention_bias.weight"), buckets, s.heads,
                                      positions, positions);
  g.SetScope("mask");
  const Value bias = g.Op("Add", {MaskToBias(g, m.mask()), relative});
  for (int64_t i = 0; i < s.layers; ++i)
    x = Layer(g, m, x, bias, m.Base("encoder.layer." + std::to_string(i) + "."));
  m.SetRows(x);
}

void MaskedLm(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("lm_head");
  const std::string p = m.Of("lm_head.");
  Value x = Activation(g, Dense(g, m.rows(), p + "dense", s.width, s.width), "gelu", s.activation_key);
  x = LayerNorm(g, x, p + "layer_norm", s.width, s.epsilon);
  m.VocabularyScores(x, s.width, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

void Answer(GraphBuilder& g, TextModel& m, Head head) {
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs(m.Base("pooler.dense"));
    case Head::kMaskedLm:
      return MaskedLm(g, m);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(m.Of("classifier.dense"), "tanh"), m.Of("classifier.out_proj"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    default:
      return m.Refuse("mpnet", head);
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  TextSizes sizes;
  sizes.vocabulary = 30527;
  MLOS_ASSIGN_OR_RETURN(sizes, ReadTextSizes(context.config, sizes));
  RelativeBuckets buckets = kBuckets;
  MLOS_ASSIGN_OR_RETURN(buckets.table_rows, context.config.Int("relative_attention_num_buckets",
                                                               kBuckets.count, kBuckets.count, 1 << 20));
  if (sizes.positions <= kPad + 1) {
    return DataLoss("config.json: 'max_position_embeddings' " + std::to_string(sizes.positions) +
                    " leaves no position behind that of padding");
  }
  TextModel model(g, "mpnet.", sizes);
  BuildEncoder(g, model, buckets);
  if (!context.encoder_only) Answer(g, model, context.head);
  std::vector<IgnoreRule> ignore = UnusedHeads(model, context.head, {"lm_head."});
  for (const char* tensor : {"pooler.dense.weight", "pooler.dense.bias"})
    ignore.push_back(IgnoreTensor(model.Base(tensor), "the task's output does not use the pooler"));
  ignore.push_back({model.Of("lm_head.decoder."), "", "the same as the tensor it is tied to"});
  ignore.push_back({model.Of("lm_head.bias"), "", "the decoder has a bias of its own"});
  return BuildResult{model.encoder(), std::move(ignore), static_cast<uint32_t>(sizes.positions - kPad - 1)};
}

constexpr std::array<Architecture::ClassHead, 5> kClasses = {{
    {"MPNetModel", Head::kEncoder},
    {"MPNetForMaskedLM", Head::kMaskedLm},
    {"MPNetForSequenceClassification", Head::kSequenceClassification},
    {"MPNetForTokenClassification", Head::kTokenClassification},
    {"MPNetForQuestionAnswering", Head::kQuestionAnswering},
}};

}  // namespace

const Architecture kMpnet = {"mpnet", kClasses, Build};

}  // namespace mlos::convert
