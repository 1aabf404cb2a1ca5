// SPDX-License-Identifier: Apache-2.0
// ELECTRA (model_type "electra"): BERT's layers over embeddings that may be narrower; generator and discriminator heads.
#include <array>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/text_heads.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct ElectraSizes {
  TextSizes text;
  int64_t embedding = 128;
};

Result<ElectraSizes> ReadSizes(const Config& config) {
  ElectraSizes s;
  s.text.width = 256;
  s.text.heads = 4;
  s.text.intermediate = 1024;
  MLOS_ASSIGN_OR_RETURN(s.text, ReadTextSizes(config, s.text));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.embedding, 1, 1 << 20));
  return s;
}

void BuildEncoder(GraphBuilder& g, TextModel& m, int64_t embedding) {
  const TextSizes& s = m.sizes();
  Value x = ToRows(g, m.BertEmbeddings(embedding), embedding);
  if (embedding != s.width) x = Dense(g, x, m.Base("embeddings_project"), embedding, s.width);
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  for (int64_t i = 0; i < s.layers; ++i) x = m.BertLayer(x, bias, "encoder.layer." + std::to_string(i));
  m.SetRows(x);
}

void Generator(GraphBuilder& g, TextModel& m, int64_t embedding) {
  const TextSizes& s = m.sizes();
  g.SetScope("generator_predictions");
  const std::string p = m.Of("generator_predictions.");
  Value x = Activation(g, Dense(g, m.rows(), p + "dense", s.width, embedding), "gelu", s.activation_key);
  x = LayerNorm(g, x, p + "LayerNorm", embedding, s.epsilon);
  const std::string bias = m.Of("generator_lm_head.bias");
  m.VocabularyScores(x, embedding, m.Of("generator_lm_head.weight"), bias, bias);
}

// Positive where the token looks replaced.
void Discriminator(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("discriminator_predictions");
  const std::string p = m.Of("discriminator_predictions.");
  Value x = Dense(g, m.rows(), p + "dense", s.width, s.width);
  x = Activation(g, x, s.activation, s.activation_key);
  x = Dense(g, x, p + "dense_prediction", s.width, 1);
  g.Output("logits", g.Op("Reshape", {x, m.layout().batch_and_sequence}), DType::kFp32,
           {kBatchAxis, kSequenceAxis});
}

Status Answer(GraphBuilder& g, TextModel& m, int64_t embedding, const BuildContext& context) {
  switch (context.head) {
    case Head::kEncoder:
      m.HiddenOutputs("");
      return OkStatus();
    case Head::kMaskedLm:
      Generator(g, m, embedding);
      return OkStatus();
    case Head::kSequenceClassification:
      m.SequenceLabels(m.FirstToken(m.Of("classifier.dense"), "gelu"), m.Of("classifier.out_proj"));
      return OkStatus();
    case Head::kTokenClassification:
      m.TokenLabels(m.Of("classifier"));
      return OkStatus();
    case Head::kQuestionAnswering:
      m.Spans(m.Of("qa_outputs"));
      return OkStatus();
    case Head::kMultipleChoice: {
      MLOS_ASSIGN_OR_RETURN(const Value summary, TextSummary(g, m, context.config, {"first", "gelu"}));
      m.ChoiceScores(summary, m.Of("classifier"));
      return OkStatus();
    }
    case Head::kReplacedTokens:
      Discriminator(g, m);
      return OkStatus();
    default:
      m.Refuse("electra", context.head);
      return OkStatus();
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const ElectraSizes sizes, ReadSizes(context.config));
  TextModel model(g, "electra.", sizes.text, context.head);
  BuildEncoder(g, model, sizes.embedding);
  if (!context.encoder_only) MLOS_RETURN_IF_ERROR(Answer(g, model, sizes.embedding, context));
  std::vector<IgnoreRule> ignore =
      UnusedHeads(model, context.head, {"generator_predictions.", "generator_lm_head."});
  ignore.push_back({model.Of("generator_lm_head.weight"), "", "the same as the tensor it is tied to"});
  if (context.head != Head::kReplacedTokens) {
    ignore.push_back({model.Of("discriminator_predictions."), "", "discriminator, not part of the task"});
  }
  if (context.head == Head::kEncoder)
    ignore.push_back({model.Of("sequence_summary."), "", "multiple-choice head, not part of the task"});
  return BuildResult{model.encoder(), std::move(ignore), static_cast<uint32_t>(sizes.text.positions)};
}

constexpr std::array<Architecture::ClassHead, 7> kClasses = {{
    {"ElectraModel", Head::kEncoder},
    {"ElectraForMaskedLM", Head::kMaskedLm},
    {"ElectraForPreTraining", Head::kReplacedTokens},
    {"ElectraForSequenceClassification", Head::kSequenceClassification},
    {"ElectraForTokenClassification", Head::kTokenClassification},
    {"ElectraForQuestionAnswering", Head::kQuestionAnswering},
    {"ElectraForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kElectra = {"electra", kClasses, Build};

}  // namespace mlos::convert
