// SPDX-License-Identifier: Apache-2.0
// BERT (model_type "bert"): post-norm encoder with learned positions, and its heads.
#include <array>
#include <string>

#include "convert/architectures.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

void BuildEncoder(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  Value x = ToRows(g, m.BertEmbeddings(s.width), s.width);
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  for (int64_t i = 0; i < s.layers; ++i) x = m.BertLayer(x, bias, "encoder.layer." + std::to_string(i));
  m.SetRows(x);
}

void MaskedLm(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("cls");
  const std::string p = m.Of("cls.predictions.");
  Value x = Dense(g, m.rows(), p + "transform.dense", s.width, s.width);
  x = Activation(g, x, s.activation, s.activation_key);
  x = LayerNorm(g, x, p + "transform.LayerNorm", s.width, s.epsilon);
  m.VocabularyScores(x, s.width, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

void Answer(GraphBuilder& g, TextModel& m, Head head) {
  const std::string pooler = m.Base("pooler.dense");
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs(pooler);
    case Head::kMaskedLm:
      return MaskedLm(g, m);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(pooler, "tanh"), m.Of("classifier"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    default:
      return m.Refuse("bert", head);
  }
}

std::vector<IgnoreRule> Ignored(const TextModel& m, Head head) {
  std::vector<IgnoreRule> rules = UnusedHeads(m, head, {"cls.predictions."});
  for (IgnoreRule rule : {
           IgnoreTensor(m.Base("pooler.dense.weight"), "the task's output does not use the pooler"),
           IgnoreTensor(m.Base("pooler.dense.bias"), "the task's output does not use the pooler"),
           {m.Of("cls.seq_relationship."), "", "next-sentence head, not part of the task"},
           {m.Of("cls.predictions.decoder."), "", "the same as the tensor it is tied to"},
           {m.Of("cls.predictions.bias"), "", "the decoder has a bias of its own"},
       })
    rules.push_back(std::move(rule));
  return rules;
}

Result<BuildResult> BuildBert(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const TextSizes sizes, ReadTextSizes(context.config, {}));
  TextModel model(g, "bert.", sizes);
  BuildEncoder(g, model);
  if (!context.encoder_only) Answer(g, model, context.head);
  return BuildResult{model.encoder(), Ignored(model, context.head), static_cast<uint32_t>(sizes.positions)};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"BertModel", Head::kEncoder},
    {"BertForMaskedLM", Head::kMaskedLm},
    {"BertForPreTraining", Head::kMaskedLm},
    {"BertForSequenceClassification", Head::kSequenceClassification},
    {"BertForTokenClassification", Head::kTokenClassification},
    {"BertForQuestionAnswering", Head::kQuestionAnswering},
}};

}  // namespace

const Architecture kBert = {"bert", kClasses, BuildBert};

}  // namespace mlos::convert
