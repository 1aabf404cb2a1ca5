// SPDX-License-Identifier: Apache-2.0
// ALBERT (model_type "albert"): narrow embeddings, and layers that share their weights by groups.
#include <array>
#include <string>
#include <utility>

#include "convert/architectures.h"
#include "convert/text_heads.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

struct AlbertSizes {
  TextSizes text;
  int64_t embedding = 128;
  int64_t groups = 1;
  int64_t inner = 1;  // layers inside a group
};

Result<AlbertSizes> ReadSizes(const Config& config) {
  AlbertSizes s;
  s.text.vocabulary = 30000;
  s.text.width = 4096;
  s.text.heads = 64;
  s.text.intermediate = 16384;
  s.text.activation = "gelu_new";
  MLOS_ASSIGN_OR_RETURN(s.text, ReadTextSizes(config, s.text));
  MLOS_ASSIGN_OR_RETURN(s.embedding, config.Int("embedding_size", s.embedding, 1, 1 << 20));
  MLOS_ASSIGN_OR_RETURN(s.groups, config.Int("num_hidden_groups", s.groups, 1, s.text.layers));
  MLOS_ASSIGN_OR_RETURN(s.inner, config.Int("inner_group_num", s.inner, 1, 1000));
  return s;
}

Value Layer(GraphBuilder& g, const TextModel& m, const Value& x, const Value& bias, const std::string& p) {
  const TextSizes& s = m.sizes();
  g.SetScope(p + "attention");
  const auto project = [&](const char* name) {
    return Dense(g, x, p + "attention." + name, s.width, s.width);
  };
  const Value mixed =
      Attention(g, m.layout(), s.heads, project("query"), project("key"), project("value"), bias);
  const Value attended = Dense(g, mixed, p + "attention.dense", s.width, s.width);
  const Value normed =
      LayerNorm(g, g.Op("Add", {attended, x}), p + "attention.LayerNorm", s.width, s.epsilon);
  g.SetScope(p + "ffn");
  const Value inner = Dense(g, normed, p + "ffn", s.width, s.intermediate);
  const Value outer = Dense(g, Activation(g, inner, s.activation, s.activation_key), p + "ffn_output",
                            s.intermediate, s.width);
  return LayerNorm(g, g.Op("Add", {outer, normed}), p + "full_layer_layer_norm", s.width, s.epsilon);
}

void BuildEncoder(GraphBuilder& g, TextModel& m, const AlbertSizes& sizes) {
  const TextSizes& s = m.sizes();
  Value x = ToRows(g, m.BertEmbeddings(sizes.embedding), sizes.embedding);
  x = Dense(g, x, m.Base("encoder.embedding_hidden_mapping_in"), sizes.embedding, s.width);
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  const double layers_per_group = static_cast<double>(s.layers) / static_cast<double>(sizes.groups);
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto group = static_cast<int64_t>(static_cast<double>(i) / layers_per_group);
    for (int64_t inner = 0; inner < sizes.inner; ++inner) {
      x = Layer(g, m, x, bias,
                m.Base("encoder.albert_layer_groups." + std::to_string(group) + ".albert_layers." +
                       std::to_string(inner) + "."));
    }
  }
  m.SetRows(x);
}

void MaskedLm(GraphBuilder& g, TextModel& m, int64_t embedding) {
  const TextSizes& s = m.sizes();
  g.SetScope("predictions");
  const std::string p = m.Of("predictions.");
  Value x = Dense(g, m.rows(), p + "dense", s.width, embedding);
  x = Activation(g, x, s.activation, s.activation_key);
  x = LayerNorm(g, x, p + "LayerNorm", embedding, s.epsilon);
  m.VocabularyScores(x, embedding, p + "decoder.weight", p + "bias", p + "decoder.bias");
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const AlbertSizes sizes, ReadSizes(context.config));
  TextModel model(g, "albert.", sizes.text, context.head);
  BuildEncoder(g, model, sizes);
  if (context.head == Head::kMaskedLm) {
    MaskedLm(g, model, sizes.embedding);
  } else if (!context.encoder_only) {
    BertHeads(g, model, context.head, "albert", "pooler");
  }
  std::vector<IgnoreRule> ignore = UnusedHeads(model, context.head, {"predictions."});
  ignore.push_back({model.Base("pooler."), "", "the task's output does not use the pooler"});
  ignore.push_back({model.Of("sop_classifier."), "", "sentence-order head, not part of the task"});
  ignore.push_back({model.Of("predictions.decoder."), "", "the same as the tensor it is tied to"});
  ignore.push_back({model.Of("predictions.bias"), "", "the decoder has a bias of its own"});
  return BuildResult{model.encoder(), std::move(ignore), static_cast<uint32_t>(sizes.text.positions)};
}

constexpr std::array<Architecture::ClassHead, 7> kClasses = {{
    {"AlbertModel", Head::kEncoder},
    {"AlbertForMaskedLM", Head::kMaskedLm},
    {"AlbertForPreTraining", Head::kMaskedLm},
    {"AlbertForSequenceClassification", Head::kSequenceClassification},
    {"AlbertForTokenClassification", Head::kTokenClassification},
    {"AlbertForQuestionAnswering", Head::kQuestionAnswering},
    {"AlbertForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kAlbert = {"albert", kClasses, Build};

}  // namespace mlos::convert
