// SPDX-License-Identifier: Apache-2.0
// RoBERTa and those built like it (model_type "roberta", "xlm-roberta", "camembert"): BERT's layers, positions counted from the
// ids that are not padding, and heads of their own.
#include <array>
#include <limits>
#include <string>

#include "convert/architectures.h"
#include "convert/text_heads.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct RobertaSizes {
  TextSizes text;
  int64_t pad = 1;
};

Result<RobertaSizes> ReadSizes(const Config& config, int64_t vocabulary) {
  RobertaSizes s;
  s.text.vocabulary = vocabulary;
  MLOS_ASSIGN_OR_RETURN(s.text, ReadTextSizes(config, s.text));
  MLOS_ASSIGN_OR_RETURN(s.pad, config.Int("pad_token_id", 1, 0, std::numeric_limits<int32_t>::max()));
  if (s.text.positions <= s.pad + 1) {
    return DataLoss("config.json: 'max_position_embeddings' " + std::to_string(s.text.positions) +
                    " leaves no position behind 'pad_token_id' " + std::to_string(s.pad));
  }
  if (s.text.token_types < 1)
    return Unimplemented("config.json: 'type_vocab_size' is 0; supported: 1 or more");
  return s;
}

// Row 0 of the token types is added to every token: these models have no token_type_ids.
void BuildEncoder(GraphBuilder& g, TextModel& m, int64_t pad) {
  const TextSizes& s = m.sizes();
  g.SetScope("embeddings");
  Value x = Embedding(g, m.Base("embeddings.word_embeddings.weight"), m.ids(), s.vocabulary, s.width);
  x = g.Op("Add", {x, Embedding(g, m.Base("embeddings.token_type_embeddings.weight"), g.Int(0), s.token_types,
                                s.width)});
  x = g.Op("Add", {x, Embedding(g, m.Base("embeddings.position_embeddings.weight"), m.PositionsFromIds(pad),
                                s.positions, s.width)});
  x = ToRows(g, LayerNorm(g, x, m.Base("embeddings.LayerNorm"), s.width, s.epsilon), s.width);
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  for (int64_t i = 0; i < s.layers; ++i) x = m.BertLayer(x, bias, "encoder.layer." + std::to_string(i));
  m.SetRows(x);
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context, int64_t vocabulary) {
  MLOS_ASSIGN_OR_RETURN(const RobertaSizes sizes, ReadSizes(context.config, vocabulary));
  TextModel model(g, "roberta.", sizes.text, context.head);
  BuildEncoder(g, model, sizes.pad);
  if (!context.encoder_only) RobertaHeads(g, model, context.head, "roberta");
  return BuildResult{model.encoder(), UnusedRobertaHeads(model, context.head),
                     static_cast<uint32_t>(sizes.text.positions - sizes.pad - 1)};
}

Result<BuildResult> BuildRoberta(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, 50265);
}
Result<BuildResult> BuildOther(GraphBuilder& g, const BuildContext& context) {
  return Build(g, context, 30522);
}

constexpr std::array<Architecture::ClassHead, 6> kRobertaClasses = {{
    {"RobertaModel", Head::kEncoder},
    {"RobertaForMaskedLM", Head::kMaskedLm},
    {"RobertaForSequenceClassification", Head::kSequenceClassification},
    {"RobertaForTokenClassification", Head::kTokenClassification},
    {"RobertaForQuestionAnswering", Head::kQuestionAnswering},
    {"RobertaForMultipleChoice", Head::kMultipleChoice},
}};
constexpr std::array<Architecture::ClassHead, 6> kXlmRobertaClasses = {{
    {"XLMRobertaModel", Head::kEncoder},
    {"XLMRobertaForMaskedLM", Head::kMaskedLm},
    {"XLMRobertaForSequenceClassification", Head::kSequenceClassification},
    {"XLMRobertaForTokenClassification", Head::kTokenClassification},
    {"XLMRobertaForQuestionAnswering", Head::kQuestionAnswering},
    {"XLMRobertaForMultipleChoice", Head::kMultipleChoice},
}};
constexpr std::array<Architecture::ClassHead, 6> kCamembertClasses = {{
    {"CamembertModel", Head::kEncoder},
    {"CamembertForMaskedLM", Head::kMaskedLm},
    {"CamembertForSequenceClassification", Head::kSequenceClassification},
    {"CamembertForTokenClassification", Head::kTokenClassification},
    {"CamembertForQuestionAnswering", Head::kQuestionAnswering},
    {"CamembertForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kRoberta = {"roberta", kRobertaClasses, BuildRoberta};
const Architecture kXlmRoberta = {"xlm-roberta", kXlmRobertaClasses, BuildOther};
const Architecture kCamembert = {"camembert", kCamembertClasses, BuildOther};

}  // namespace mlos::convert
