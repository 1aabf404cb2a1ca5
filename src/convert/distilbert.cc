// SPDX-License-Identifier: Apache-2.0
// DistilBERT (model_type "distilbert"): BERT without token types and pooler, with names and config keys of its own.
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

// The framework reads a size under its own name or BERT's.
Result<int64_t> Size(const Config& config, const char* key, const char* other, int64_t fallback,
                     int64_t maximum) {
  MLOS_ASSIGN_OR_RETURN(const int64_t under_other, config.Int(other, fallback, 1, maximum));
  return config.Int(key, under_other, 1, maximum);
}

Result<TextSizes> ReadSizes(const Config& config) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  TextSizes s;
  s.token_types = 0;
  s.activation_key = "activation";
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", 30522, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, Size(config, "dim", "hidden_size", 768, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, Size(config, "n_layers", "num_hidden_layers", 6, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, Size(config, "n_heads", "num_attention_heads", 12, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.intermediate, config.Int("hidden_dim", 3072, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("max_position_embeddings", 512, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("activation", "gelu"));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", true));
  MLOS_RETURN_IF_ERROR(CheckHeads(s, "dim", "n_heads"));
  return s;
}

Value Layer(GraphBuilder& g, const TextModel& m, const Value& x, const Value& bias, const std::string& p) {
  const TextSizes& s = m.sizes();
  g.SetScope(p + "attention");
  const auto project = [&](const char* name) {
    return Dense(g, x, p + "attention." + name, s.width, s.width);
  };
  const Value mixed =
      Attention(g, m.layout(), s.heads, project("q_lin"), project("k_lin"), project("v_lin"), bias);
  const Value attended = Dense(g, mixed, p + "attention.out_lin", s.width, s.width);
  const Value normed = LayerNorm(g, g.Op("Add", {attended, x}), p + "sa_layer_norm", s.width, s.epsilon);
  g.SetScope(p + "ffn");
  const Value inner = Dense(g, normed, p + "ffn.lin1", s.width, s.intermediate);
  const Value outer =
      Dense(g, Activation(g, inner, s.activation, s.activation_key), p + "ffn.lin2", s.intermediate, s.width);
  return LayerNorm(g, g.Op("Add", {outer, normed}), p + "output_layer_norm", s.width, s.epsilon);
}

void BuildEncoder(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  Value x = ToRows(g, m.BertEmbeddings(s.width), s.width);
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  for (int64_t i = 0; i < s.layers; ++i)
    x = Layer(g, m, x, bias, m.Base("transformer.layer." + std::to_string(i) + "."));
  m.SetRows(x);
}

void MaskedLm(GraphBuilder& g, TextModel& m) {
  const TextSizes& s = m.sizes();
  g.SetScope("vocab_transform");
  Value x = Dense(g, m.rows(), m.Of("vocab_transform"), s.width, s.width);
  x = Activation(g, x, s.activation, s.activation_key);
  x = LayerNorm(g, x, m.Of("vocab_layer_norm"), s.width, s.epsilon);
  const std::string bias = m.Of("vocab_projector.bias");
  m.VocabularyScores(x, s.width, m.Of("vocab_projector.weight"), bias, bias);
}

void Answer(GraphBuilder& g, TextModel& m, Head head) {
  switch (head) {
    case Head::kEncoder:
      return m.HiddenOutputs("");
    case Head::kMaskedLm:
      return MaskedLm(g, m);
    case Head::kSequenceClassification:
      return m.SequenceLabels(m.FirstToken(m.Of("pre_classifier"), "relu"), m.Of("classifier"));
    case Head::kTokenClassification:
      return m.TokenLabels(m.Of("classifier"));
    case Head::kQuestionAnswering:
      return m.Spans(m.Of("qa_outputs"));
    case Head::kMultipleChoice:
      return m.ChoiceScores(m.FirstToken(m.Of("pre_classifier"), "relu"), m.Of("classifier"));
    default:
      return m.Refuse("distilbert", head);
  }
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const TextSizes sizes, ReadSizes(context.config));
  TextModel model(g, "distilbert.", sizes, context.head);
  BuildEncoder(g, model);
  if (!context.encoder_only) Answer(g, model, context.head);
  std::vector<IgnoreRule> ignore =
      UnusedHeads(model, context.head, {"vocab_transform.", "vocab_layer_norm.", "vocab_projector."});
  ignore.push_back({model.Of("vocab_projector.weight"), "", "the same as the tensor it is tied to"});
  if (context.head == Head::kEncoder)
    ignore.push_back({model.Of("pre_classifier."), "", "classification head, not part of the task"});
  return BuildResult{model.encoder(), std::move(ignore), static_cast<uint32_t>(sizes.positions)};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"DistilBertModel", Head::kEncoder},
    {"DistilBertForMaskedLM", Head::kMaskedLm},
    {"DistilBertForSequenceClassification", Head::kSequenceClassification},
    {"DistilBertForTokenClassification", Head::kTokenClassification},
    {"DistilBertForQuestionAnswering", Head::kQuestionAnswering},
    {"DistilBertForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kDistilBert = {"distilbert", kClasses, Build};

}  // namespace mlos::convert
