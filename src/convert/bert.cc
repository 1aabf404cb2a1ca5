// SPDX-License-Identifier: Apache-2.0
// BERT (model_type "bert"): post-norm encoder with learned positions, and its heads.
#include <array>
#include <limits>
#include <string>

#include "convert/architectures.h"
#include "convert/nn.h"

namespace mlos::convert {
namespace {

constexpr char kBatch[] = "batch_size";
constexpr char kSequence[] = "sequence_length";

struct BertConfig {
  int64_t vocabulary, width, layers, heads, intermediate, positions, token_types;
  double epsilon;
  std::string activation;
  bool tied;  // the fill-mask decoder uses the word embeddings
};

// Defaults are those of the framework's BertConfig: a hub file may leave them out.
Result<BertConfig> ReadConfig(const Config& config) {
  MLOS_RETURN_IF_ERROR(config.RequireOneOf("position_embedding_type", {"absolute"}));
  for (const char* key : {"is_decoder", "add_cross_attention"})
    MLOS_RETURN_IF_ERROR(config.RequireBool(key, false));
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map"})
    MLOS_RETURN_IF_ERROR(config.RequireEmpty(key));
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  BertConfig c;
  MLOS_ASSIGN_OR_RETURN(c.vocabulary, config.Int("vocab_size", 30522, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(c.width, config.Int("hidden_size", 768, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(c.layers, config.Int("num_hidden_layers", 12, 1, 1000));
  MLOS_ASSIGN_OR_RETURN(c.heads, config.Int("num_attention_heads", 12, 1, 1 << 16));
  MLOS_ASSIGN_OR_RETURN(c.intermediate, config.Int("intermediate_size", 3072, 1, 1 << 24));
  MLOS_ASSIGN_OR_RETURN(c.positions, config.Int("max_position_embeddings", 512, 1, kMax));
  MLOS_ASSIGN_OR_RETURN(c.token_types, config.Int("type_vocab_size", 2, 0, kMax));
  MLOS_ASSIGN_OR_RETURN(c.epsilon, config.Number("layer_norm_eps", 1e-12, 0, 1));
  MLOS_ASSIGN_OR_RETURN(c.activation, config.String("hidden_act", "gelu"));
  MLOS_ASSIGN_OR_RETURN(c.tied, config.Bool("tie_word_embeddings", true));
  if (c.width % c.heads != 0) {
    return DataLoss("config.json: 'hidden_size' " + std::to_string(c.width) +
                    " is not a multiple of 'num_attention_heads' " + std::to_string(c.heads));
  }
  return c;
}

class BertBuilder {
 public:
  BertBuilder(GraphBuilder& g, const BertConfig& config) : g_(g), c_(config), prefix_(FindPrefix(g)) {}

  void Encoder() {
    ids_ = g_.Input("input_ids", DType::kInt64, {kBatch, kSequence});
    mask_ = g_.Input("attention_mask", DType::kInt64, {kBatch, kSequence});
    layout_ = LayoutOf(g_, ids_, c_.width);
    Value x = ToRows(g_, Embeddings(), c_.width);
    g_.SetScope("mask");
    const Value bias = MaskToBias(g_, mask_);
    for (int64_t i = 0; i < c_.layers; ++i)
      x = Layer(x, bias, wrapper_ + prefix_ + "encoder.layer." + std::to_string(i) + ".");
    rows_ = x;
    g_.SetScope("encoder");
    tokens_ = FromRows(g_, layout_, rows_, c_.width);
  }

  // tanh(dense(first token)); only when the checkpoint has a pooler.
  bool HasPooler() const { return g_.Has(PoolerName() + ".weight"); }
  Value Pooled() {
    g_.SetScope("pooler");
    return g_.Op("Tanh", {Linear(g_, TakeToken(g_, tokens_, 0), PoolerName(), c_.width, c_.width)});
  }

  void Answer(Head head) {
    switch (head) {
      case Head::kEncoder:
        return EncoderOutputs();
      case Head::kMaskedLm:
        return MaskedLm();
      case Head::kSequenceClassification:
        return SequenceClassification();
      case Head::kTokenClassification:
        return TokenClassification();
      case Head::kQuestionAnswering:
        return QuestionAnswering();
    }
  }

  std::vector<IgnoreRule> Ignored(Head head) const {
    const std::string& p = wrapper_;
    std::vector<IgnoreRule> rules = {
        {p, "embeddings.position_ids", "a constant"},
        {p + prefix_ + "pooler.", "", "the task's output does not use the pooler"},
        {p + "cls.seq_relationship.", "", "next-sentence head, not part of the task"},
        {p + "cls.predictions.decoder.", "", "the same as the tensor it is tied to"},
        {p + "cls.predictions.bias", "", "the decoder has a bias of its own"},
    };
    if (head != Head::kMaskedLm)
      rules.insert(rules.begin(), {p + "cls.predictions.", "", "fill-mask head, not part of the task"});
    if (head == Head::kEncoder) {
      rules.push_back({p + "classifier.", "", "classification head, not part of the task"});
      rules.push_back({p + "qa_outputs.", "", "question-answering head, not part of the task"});
    }
    return rules;
  }

  EncoderOutput encoder() const { return {tokens_, mask_, c_.width}; }

 private:
  // Checkpoints of the bare model have no "bert.", some are wrapped once more.
  std::string FindPrefix(const GraphBuilder& g) {
    for (const char* wrapper : {"", "module.", "model."}) {
      for (const char* prefix : {"bert.", ""}) {
        if (!g.Has(std::string(wrapper) + prefix + "embeddings.word_embeddings.weight")) continue;
        wrapper_ = wrapper;
        return prefix;
      }
    }
    return "bert.";  // the first lookup then says what is missing
  }

  std::string PoolerName() const { return wrapper_ + prefix_ + "pooler.dense"; }

  Value Embeddings() {
    g_.SetScope("embeddings");
    const std::string p = wrapper_ + prefix_ + "embeddings.";
    Value x = Embedding(g_, p + "word_embeddings.weight", ids_, c_.vocabulary, c_.width);
    if (c_.token_types > 0) {
      const Value types = g_.Input("token_type_ids", DType::kInt64, {kBatch, kSequence});
      x = g_.Op("Add",
                {x, Embedding(g_, p + "token_type_embeddings.weight", types, c_.token_types, c_.width)});
    }
    const Value length = g_.Op("Gather", {layout_.batch_and_sequence, g_.Int(1)}, {{"axis", int64_t{0}}});
    const Value positions = g_.Op("Range", {g_.Int(0), length, g_.Int(1)});
    x = g_.Op("Add", {x, Embedding(g_, p + "position_embeddings.weight", positions, c_.positions, c_.width)});
    return LayerNorm(g_, x, p + "LayerNorm", c_.width, c_.epsilon);
  }

  Value Layer(const Value& x, const Value& bias, const std::string& p) {
    const std::string scope = p.substr(0, p.size() - 1);
    g_.SetScope(scope + "/attention");
    const auto project = [&](const char* name) {
      return Linear(g_, x, p + "attention.self." + name, c_.width, c_.width);
    };
    const Value mixed =
        Attention(g_, layout_, c_.heads, project("query"), project("key"), project("value"), bias);
    const Value attended = Linear(g_, mixed, p + "attention.output.dense", c_.width, c_.width);
    const Value normed =
        LayerNorm(g_, g_.Op("Add", {attended, x}), p + "attention.output.LayerNorm", c_.width, c_.epsilon);
    g_.SetScope(scope + "/feed_forward");
    const Value inner = Linear(g_, normed, p + "intermediate.dense", c_.width, c_.intermediate);
    const Value outer = Linear(g_, Activation(g_, inner, c_.activation, "hidden_act"), p + "output.dense",
                               c_.intermediate, c_.width);
    return LayerNorm(g_, g_.Op("Add", {outer, normed}), p + "output.LayerNorm", c_.width, c_.epsilon);
  }

  void EncoderOutputs() {
    g_.Output("last_hidden_state", tokens_, DType::kFp32, {kBatch, kSequence, c_.width});
    if (HasPooler()) g_.Output("pooler_output", Pooled(), DType::kFp32, {kBatch, c_.width});
  }

  // The decoder's tensor: `own`, or `shared` when the checkpoint leaves it out because the two are tied.
  std::string Shared(const std::string& shared, const std::string& own) {
    if (!g_.Has(own)) return shared;
    if (!c_.tied || !g_.Has(shared)) return own;
    if (g_.SameBytes(shared, own)) return shared;
    g_.Fail(Unimplemented("config.json ties the decoder to the embeddings, but '" + own + "' differs from '" +
                          shared + "'"));
    return own;
  }

  void MaskedLm() {
    g_.SetScope("cls");
    const std::string p = wrapper_ + "cls.predictions.";
    Value x = Linear(g_, rows_, p + "transform.dense", c_.width, c_.width);
    x = Activation(g_, x, c_.activation, "hidden_act");
    x = LayerNorm(g_, x, p + "transform.LayerNorm", c_.width, c_.epsilon);
    const std::string weight =
        Shared(wrapper_ + prefix_ + "embeddings.word_embeddings.weight", p + "decoder.weight");
    const std::string bias = Shared(p + "bias", p + "decoder.bias");
    x = LinearFrom(g_, x, weight, bias, c_.width, c_.vocabulary);
    g_.Output("logits", FromRows(g_, layout_, x, c_.vocabulary), DType::kFp32,
              {kBatch, kSequence, c_.vocabulary});
  }

  // The tensor, not the config, says how many labels there are.
  int64_t Labels(const std::string& name) {
    const Shape shape = g_.ShapeOf(name + ".weight");
    return shape.empty() ? -1 : shape.front();
  }

  void SequenceClassification() {
    const Value pooled = Pooled();
    g_.SetScope("classifier");
    const std::string name = wrapper_ + "classifier";
    const int64_t labels = Labels(name);
    g_.Output("logits", Linear(g_, pooled, name, c_.width, labels), DType::kFp32, {kBatch, labels});
  }

  void TokenClassification() {
    g_.SetScope("classifier");
    const std::string name = wrapper_ + "classifier";
    const int64_t labels = Labels(name);
    const Value x = Linear(g_, rows_, name, c_.width, labels);
    g_.Output("logits", FromRows(g_, layout_, x, labels), DType::kFp32, {kBatch, kSequence, labels});
  }

  void QuestionAnswering() {
    g_.SetScope("qa_outputs");
    const Value x = FromRows(g_, layout_, Linear(g_, rows_, wrapper_ + "qa_outputs", c_.width, 2), 2);
    const auto column = [&](int64_t index) {
      return g_.Op("Gather", {x, g_.Int(index)}, {{"axis", int64_t{2}}});
    };
    g_.Output("start_logits", column(0), DType::kFp32, {kBatch, kSequence});
    g_.Output("end_logits", column(1), DType::kFp32, {kBatch, kSequence});
  }

  GraphBuilder& g_;
  const BertConfig& c_;
  std::string wrapper_;       // "", "module.", "model."
  const std::string prefix_;  // "bert." or ""
  Value ids_, mask_;
  Layout layout_;
  Value rows_;    // [batch * sequence, width]
  Value tokens_;  // [batch, sequence, width]
};

Result<BuildResult> BuildBert(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const BertConfig config, ReadConfig(context.config));
  BertBuilder bert(g, config);
  bert.Encoder();
  if (!context.encoder_only) bert.Answer(context.head);
  return BuildResult{bert.encoder(), bert.Ignored(context.head), static_cast<uint32_t>(config.positions)};
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
