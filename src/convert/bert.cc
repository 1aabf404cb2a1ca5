// SPDX-License-Identifier: Apache-2.0
// BERT (model_type "bert"): post-norm encoder with learned positions, and its heads.
#include <array>
#include <string>

#include "convert/architectures.h"
#include "convert/text_heads.h"
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

Result<BuildResult> BuildBert(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const TextSizes sizes, ReadTextSizes(context.config, {}));
  TextModel model(g, "bert.", sizes, context.head);
  BuildEncoder(g, model);
  if (context.head == Head::kNextSentence) {
    model.SequenceLabels(model.FirstToken(model.Base("pooler.dense"), "tanh"),
                         model.Of("cls.seq_relationship"));
  } else if (!context.encoder_only) {
    BertHeads(g, model, context.head, "bert");
  }
  return BuildResult{model.encoder(), UnusedBertHeads(model, context.head),
                     static_cast<uint32_t>(sizes.positions)};
}

constexpr std::array<Architecture::ClassHead, 8> kClasses = {{
    {"BertModel", Head::kEncoder},
    {"BertForMaskedLM", Head::kMaskedLm},
    {"BertForPreTraining", Head::kMaskedLm},
    {"BertForSequenceClassification", Head::kSequenceClassification},
    {"BertForTokenClassification", Head::kTokenClassification},
    {"BertForQuestionAnswering", Head::kQuestionAnswering},
    {"BertForMultipleChoice", Head::kMultipleChoice},
    {"BertForNextSentencePrediction", Head::kNextSentence},
}};

}  // namespace

const Architecture kBert = {"bert", kClasses, BuildBert};

}  // namespace mlos::convert
