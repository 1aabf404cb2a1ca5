// SPDX-License-Identifier: Apache-2.0
#include "convert/text_heads.h"

#include <string>

namespace mlos::convert {
namespace {

void BertMaskedLm(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("cls");
  const std::string p = m.Of("cls.predictions.");
  Value x = Dense(g, m.rows(), p + "transform.dense", s.width, s.width);
  x = Activation(g, x, s.activation, s.activation_key);
  x = LayerNorm(g, x, p + "transform.LayerNorm", s.width, s.epsilon);
  m.VocabularyScores(x, s.width, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

void RobertaMaskedLm(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("lm_head");
  const std::string p = m.Of("lm_head.");
  Value x = Activation(g, Dense(g, m.rows(), p + "dense", s.width, s.width), "gelu", s.activation_key);
  x = LayerNorm(g, x, p + "layer_norm", s.width, s.epsilon);
  m.VocabularyScores(x, s.width, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

// The pooler of a task that does without, and a decoder that the word embeddings stand for.
void IgnorePoolerAndDecoder(const TextModel& m, const std::string& decoder, const std::string& bias,
                            std::vector<IgnoreRule>* rules) {
  for (const char* tensor : {"pooler.dense.weight", "pooler.dense.bias"})
    rules->push_back(IgnoreTensor(m.Base(tensor), "the task's output does not use the pooler"));
  rules->push_back({m.Of(decoder), "", "the same as the tensor it is tied to"});
  rules->push_back(IgnoreTensor(m.Of(bias), "the decoder has a bias of its own"));
}

}  // namespace

void BertHeads(GraphBuilder& g, TextModel& m, Head head, std::string_view name,
               const std::string& pooler_name) {
  const std::string pooler = m.Base(pooler_name);
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs(pooler);
    case Head::kMaskedLm:
      return BertMaskedLm(g, m);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(pooler, "tanh"), m.Of("classifier"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    case Head::kMultipleChoice:
      return m.ChoiceScores(m.FirstToken(pooler, "tanh"), m.Of("classifier"));
    default:
      return m.Refuse(name, head);
  }
}

void RobertaHeads(GraphBuilder& g, TextModel& m, Head head, std::string_view name) {
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs(m.Base("pooler.dense"));
    case Head::kMaskedLm:
      return RobertaMaskedLm(g, m);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(m.Of("classifier.dense"), "tanh"), m.Of("classifier.out_proj"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    case Head::kMultipleChoice:
      return m.ChoiceScores(m.FirstToken(m.Base("pooler.dense"), "tanh"), m.Of("classifier"));
    default:
      return m.Refuse(name, head);
  }
}

Result<Value> TextSummary(GraphBuilder& g, const TextModel& m, const Config& config,
                          const SummaryDefaults& defaults) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("summary_type", {"last", "first", "mean"}));
  MLOS_RETURN_IF_ERROR(config.RequireBool("summary_proj_to_labels", false));
  MLOS_ASSIGN_OR_RETURN(const std::string type, config.String("summary_type", defaults.type));
  MLOS_ASSIGN_OR_RETURN(const bool projected, config.Bool("summary_use_proj", true));
  MLOS_ASSIGN_OR_RETURN(const std::string activation,
                        config.String("summary_activation", defaults.activation));
  const std::string name = m.Of("sequence_summary.summary");
  g.SetScope(name);
  Value x = type == "mean" ? g.Op("ReduceMean", {m.tokens(), g.Ints({1})}, {{"keepdims", int64_t{0}}})
                           : TakeToken(g, m.tokens(), type == "last" ? -1 : 0);
  if (projected) x = Dense(g, x, name, m.sizes().width, m.sizes().width);
  return activation.empty() ? x : Activation(g, x, activation, "summary_activation");
}

std::vector<IgnoreRule> UnusedBertHeads(const TextModel& m, Head head) {
  std::vector<IgnoreRule> rules = UnusedHeads(m, head, {"cls.predictions."});
  rules.push_back({m.Of("cls.seq_relationship."), "", "next-sentence head, not part of the task"});
  IgnorePoolerAndDecoder(m, "cls.predictions.decoder.", "cls.predictions.bias", &rules);
  return rules;
}

std::vector<IgnoreRule> UnusedRobertaHeads(const TextModel& m, Head head) {
  std::vector<IgnoreRule> rules = UnusedHeads(m, head, {"lm_head."});
  IgnorePoolerAndDecoder(m, "lm_head.decoder.", "lm_head.bias", &rules);
  return rules;
}

}  // namespace mlos::convert
