// SPDX-License-Identifier: Apache-2.0
// MPNet (model_type "mpnet"): RoBERTa's positions, and a bias by the bucket of the distance added to every layer's scores.
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/relative_position.h"
#include "convert/text_heads.h"
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
  TextModel model(g, "mpnet.", sizes, context.head);
  BuildEncoder(g, model, buckets);
  if (!context.encoder_only) RobertaHeads(g, model, context.head, "mpnet");
  return BuildResult{model.encoder(), UnusedRobertaHeads(model, context.head),
                     static_cast<uint32_t>(sizes.positions - kPad - 1)};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"MPNetModel", Head::kEncoder},
    {"MPNetForMaskedLM", Head::kMaskedLm},
    {"MPNetForSequenceClassification", Head::kSequenceClassification},
    {"MPNetForTokenClassification", Head::kTokenClassification},
    {"MPNetForQuestionAnswering", Head::kQuestionAnswering},
    {"MPNetForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kMpnet = {"mpnet", kClasses, Build};

}  // namespace mlos::convert
