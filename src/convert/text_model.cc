// SPDX-License-Identifier: Apache-2.0
#include "convert/text_model.h"

#include <limits>
#include <utility>

namespace mlos::convert {

Status RequirePlainEncoder(const Config& config) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("position_embedding_type", {"absolute"}));
  for (const char* key : {"is_decoder", "add_cross_attention"})
    MLOS_RETURN_IF_ERROR(config.RequireBool(key, false));
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  return OkStatus();
}

Status CheckHeads(const TextSizes& sizes, const char* width_key, const char* heads_key) {
  if (sizes.width % sizes.heads == 0) return OkStatus();
  return DataLoss("config.json: '" + std::string(width_key) + "' " + std::to_string(sizes.width) +
                  " is not a multiple of '" + heads_key + "' " + std::to_string(sizes.heads));
}

Result<TextSizes> ReadTextSizes(const Config& config, TextSizes defaults) {
  MLOS_RETURN_IF_ERROR(RequirePlainEncoder(config));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  TextSizes s = std::move(defaults);
  MLOS_ASSIGN_OR_RETURN(s.vocabulary, config.Int("vocab_size", s.vocabulary, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.width, config.Int("hidden_size", s.width, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.layers, config.Int("num_hidden_layers", s.layers, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(s.heads, config.Int("num_attention_heads", s.heads, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(s.intermediate, config.Int("intermediate_size", s.intermediate, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(s.positions, config.Int("max_position_embeddings", s.positions, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(s.token_types, config.Int("type_vocab_size", s.token_types, 0, kMax));
  MLOS_ASSIGN_OR_RETURN(s.epsilon, config.Number("layer_norm_eps", s.epsilon, 0, 1));
  MLOS_ASSIGN_OR_RETURN(s.activation, config.String("hidden_act", s.activation));
  MLOS_ASSIGN_OR_RETURN(s.tied, config.Bool("tie_word_embeddings", s.tied));
  MLOS_RETURN_IF_ERROR(CheckHeads(s, "hidden_size", "num_attention_heads"));
  return s;
}

Value Dense(GraphBuilder& g, const Value& x, const std::string& name, int64_t in, int64_t out) {
  return LinearFrom(g, x, name + ".weight", name + ".bias", in, out);
}

std::string TiedTensor(GraphBuilder& g, bool tied, const std::string& shared, const std::string& own) {
  if (!g.Has(own)) return shared;
  if (!tied || !g.Has(shared)) return own;
  if (g.SameBytes(shared, own)) return shared;
  g.Fail(Unimplemented("config.json ties the decoder to the embeddings, but '" + own + "' differs from '" +
                       shared + "'"));
  return own;
}

TextModel::TextModel(GraphBuilder& g, const std::string& base, const TextSizes& sizes, Head head,
                     const std::string& probe)
    : g_(g), sizes_(sizes), base_(base), choices_(head == Head::kMultipleChoice) {
  bool found = false;  // when nothing is, the first lookup says what is missing
  for (const char* wrapper : {"", "module.", "model."}) {
    for (const std::string& prefix : {base, std::string()}) {
      if (found || !g.Has(wrapper + prefix + probe)) continue;
      wrapper_ = wrapper;
      base_ = prefix;
      found = true;
    }
  }
  ids_ = TokenInput("input_ids");
  mask_ = TokenInput("attention_mask");
  layout_ = LayoutOf(g_, ids_, sizes_.width);
}

Value TextModel::TokenInput(const char* name) {
  if (!choices_) return g_.Input(name, DType::kInt64, {kBatchAxis, kSequenceAxis});
  const Value input = g_.Input(name, DType::kInt64, {kBatchAxis, kChoicesAxis, kSequenceAxis});
  if (one_choice_.name.empty()) {
    const Value shape = g_.Op("Shape", {input});
    batch_and_choices_ = g_.Op("Gather", {shape, g_.Ints({0, 1})}, {{"axis", int64_t{0}}});
    const Value length = g_.Op("Gather", {shape, g_.Ints({2})}, {{"axis", int64_t{0}}});
    one_choice_ = g_.Op("Concat", {g_.Ints({-1}), length}, {{"axis", int64_t{0}}});
  }
  return g_.Op("Reshape", {input, one_choice_});
}

Value TextModel::PositionsFromStart() {
  const Value length = g_.Op("Gather", {layout_.batch_and_sequence, g_.Int(1)}, {{"axis", int64_t{0}}});
  return g_.Op("Range", {g_.Int(0), length, g_.Int(1)});
}

Value TextModel::PositionsFromIds(int64_t pad) {
  const Value is_pad = g_.Op("Equal", {ids_, g_.Int(pad)});
  const Value counted = g_.Op("Where", {is_pad, g_.Int(0), g_.Int(1)});
  const Value numbers = g_.Op("Mul", {g_.Op("CumSum", {counted, g_.Int(1)}), counted});
  return g_.Op("Add", {numbers, g_.Int(pad)});
}

Value TextModel::TokenTypes(const std::string& table, int64_t width) {
  const Value types = TokenInput("token_type_ids");
  return Embedding(g_, table, types, sizes_.token_types, width);
}

Value TextModel::BertEmbeddings(int64_t width) {
  g_.SetScope("embeddings");
  const std::string p = Base("embeddings.");
  Value x = Embedding(g_, p + "word_embeddings.weight", ids_, sizes_.vocabulary, width);
  if (sizes_.token_types > 0) x = g_.Op("Add", {x, TokenTypes(p + "token_type_embeddings.weight", width)});
  const Value positions = PositionsFromStart();
  x = g_.Op("Add", {x, Embedding(g_, p + "position_embeddings.weight", positions, sizes_.positions, width)});
  return LayerNorm(g_, x, p + "LayerNorm", width, sizes_.epsilon);
}

Value TextModel::BertLayer(const Value& x, const Value& bias, const std::string& name) {
  const std::string scope = Base(name);
  const std::string p = scope + ".";
  const int64_t width = sizes_.width;
  g_.SetScope(scope + "/attention");
  const auto project = [&](const char* what) {
    return Dense(g_, x, p + "attention.self." + what, width, width);
  };
  const Value mixed =
      Attention(g_, layout_, sizes_.heads, project("query"), project("key"), project("value"), bias);
  const Value attended = Dense(g_, mixed, p + "attention.output.dense", width, width);
  const Value normed =
      LayerNorm(g_, g_.Op("Add", {attended, x}), p + "attention.output.LayerNorm", width, sizes_.epsilon);
  g_.SetScope(scope + "/feed_forward");
  const Value inner = Dense(g_, normed, p + "intermediate.dense", width, sizes_.intermediate);
  const Value outer = Dense(g_, Activation(g_, inner, sizes_.activation, sizes_.activation_key),
                            p + "output.dense", sizes_.intermediate, width);
  return LayerNorm(g_, g_.Op("Add", {outer, normed}), p + "output.LayerNorm", width, sizes_.epsilon);
}

void TextModel::SetRows(const Value& rows) {
  rows_ = rows;
  g_.SetScope("encoder");
  tokens_ = FromRows(g_, layout_, rows_, sizes_.width);
}

Value TextModel::FirstToken(const std::string& dense, const std::string& activation) {
  g_.SetScope(dense);
  const Value x = Dense(g_, TakeToken(g_, tokens_, 0), dense, sizes_.width, sizes_.width);
  return Activation(g_, x, activation, sizes_.activation_key);
}

void TextModel::HiddenOutputs(const std::string& pooler) {
  g_.Output("last_hidden_state", tokens_, DType::kFp32, {kBatchAxis, kSequenceAxis, sizes_.width});
  if (pooler.empty() || !g_.Has(pooler + ".weight")) return;
  g_.Output("pooler_output", FirstToken(pooler, "tanh"), DType::kFp32, {kBatchAxis, sizes_.width});
}

namespace {

int64_t Labels(GraphBuilder& g, const std::string& name) {
  const Shape shape = g.ShapeOf(name + ".weight");
  return shape.empty() ? -1 : shape.front();
}

}  // namespace

void TextModel::TokenLabels(const std::string& name) {
  g_.SetScope(name);
  const int64_t labels = Labels(g_, name);
  const Value x = Dense(g_, rows_, name, sizes_.width, labels);
  g_.Output("logits", FromRows(g_, layout_, x, labels), DType::kFp32, {kBatchAxis, kSequenceAxis, labels});
}

void TextModel::Spans(const std::string& name) {
  g_.SetScope(name);
  const Value x = FromRows(g_, layout_, Dense(g_, rows_, name, sizes_.width, 2), 2);
  const auto column = [&](int64_t index) {
    return g_.Op("Gather", {x, g_.Int(index)}, {{"axis", int64_t{2}}});
  };
  g_.Output("start_logits", column(0), DType::kFp32, {kBatchAxis, kSequenceAxis});
  g_.Output("end_logits", column(1), DType::kFp32, {kBatchAxis, kSequenceAxis});
}

void TextModel::SequenceLabels(const Value& pooled, const std::string& name) {
  g_.SetScope(name);
  const int64_t labels = Labels(g_, name);
  g_.Output("logits", Dense(g_, pooled, name, sizes_.width, labels), DType::kFp32, {kBatchAxis, labels});
}

void TextModel::ChoiceScores(const Value& pooled, const std::string& name) {
  g_.SetScope(name);
  const Value scores = Dense(g_, pooled, name, sizes_.width, 1);
  g_.Output("logits", g_.Op("Reshape", {scores, batch_and_choices_}), DType::kFp32,
            {kBatchAxis, kChoicesAxis});
}

void TextModel::VocabularyScores(const Value& x, int64_t width, const std::string& own,
                                 const std::string& bias, const std::string& own_bias) {
  const std::string weight = Shared(Base("embeddings.word_embeddings.weight"), own);
  const Value scores = LinearFrom(g_, x, weight, Shared(bias, own_bias), width, sizes_.vocabulary);
  g_.Output("logits", FromRows(g_, layout_, scores, sizes_.vocabulary), DType::kFp32,
            {kBatchAxis, kSequenceAxis, sizes_.vocabulary});
}

void TextModel::Refuse(std::string_view architecture, Head head) {
  g_.Fail(Unimplemented("task '" + std::string(TaskName(head)) + "' is not supported for " +
                        std::string(architecture)));
}

std::vector<IgnoreRule> UnusedHeads(const TextModel& model, Head head,
                                    const std::vector<std::string>& mask_head) {
  std::vector<IgnoreRule> rules = {{model.Base("embeddings.position_ids"), "", "a constant"}};
  for (const std::string& prefix : mask_head) {
    if (head != Head::kMaskedLm)
      rules.push_back({model.Of(prefix), "", "fill-mask head, not part of the task"});
  }
  if (head == Head::kEncoder) {
    rules.push_back({model.Of("classifier."), "", "classification head, not part of the task"});
    rules.push_back({model.Of("qa_outputs."), "", "question-answering head, not part of the task"});
  }
  return rules;
}

}  // namespace mlos::convert
