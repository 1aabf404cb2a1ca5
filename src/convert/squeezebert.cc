// SPDX-License-Identifier: Apache-2.0
// SqueezeBERT (model_type "squeezebert"): BERT whose linear layers are grouped convolutions over [batch, width, sequence].
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "convert/architectures.h"
#include "convert/audio_model.h"
#include "convert/text_heads.h"
#include "convert/text_model.h"

namespace mlos::convert {
namespace {

constexpr double kLayerEpsilon = 1e-12;  // whatever config.json says

struct Groups {
  int64_t query = 4, key = 4, value = 4, attended = 1, up = 4, down = 4;
};

Result<Groups> ReadGroups(const Config& config, const TextSizes& s) {
  Groups groups;
  const auto read = [&](const char* key, int64_t* count) -> Status {
    MLOS_ASSIGN_OR_RETURN(*count, config.Int(key, *count, 1, 1 << 16));
    if (s.width % *count == 0 && s.intermediate % *count == 0) return OkStatus();
    return DataLoss("config.json: '" + std::string(key) + "' " + std::to_string(*count) +
                    " does not divide 'hidden_size' and 'intermediate_size'");
  };
  MLOS_RETURN_IF_ERROR(read("q_groups", &groups.query));
  MLOS_RETURN_IF_ERROR(read("k_groups", &groups.key));
  MLOS_RETURN_IF_ERROR(read("v_groups", &groups.value));
  MLOS_RETURN_IF_ERROR(read("post_attention_groups", &groups.attended));
  MLOS_RETURN_IF_ERROR(read("intermediate_groups", &groups.up));
  MLOS_RETURN_IF_ERROR(read("output_groups", &groups.down));
  return groups;
}

class Layers {
 public:
  Layers(GraphBuilder& g, const TextModel& m, const Groups& groups)
      : g_(g), m_(m), s_(m.sizes()), groups_(groups) {}

  // x [batch, width, sequence], and back.
  Value Layer(const Value& x, const Value& bias, const std::string& p) {
    g_.SetScope(p + "attention");
    const auto project = [&](const char* name, int64_t groups) {
      return Heads(Linear1(x, p + "attention." + name, s_.width, s_.width, groups));
    };
    // Heads are [batch, heads, head width, sequence].
    const Value q = Swap(project("query", groups_.query));
    const Value scores = g_.Op("MatMul", {q, project("key", groups_.key)});
    const double scale = 1.0 / std::sqrt(static_cast<double>(s_.width / s_.heads));
    const Value biased = g_.Op("Add", {g_.Op("Mul", {scores, g_.Float(static_cast<float>(scale))}), bias});
    const Value weights = g_.Op("Softmax", {biased}, {{"axis", int64_t{-1}}});
    const Value mixed = Swap(g_.Op("MatMul", {weights, Swap(project("value", groups_.value))}));
    const Value joined = g_.Op("Reshape", {mixed, g_.Op("Shape", {x})});
    const Value attended = Linear1(joined, p + "post_attention.conv1d", s_.width, s_.width, groups_.attended);
    const Value normed = Norm(g_.Op("Add", {attended, x}), p + "post_attention.layernorm");
    g_.SetScope(p + "feed_forward");
    const Value inner =
        Activation(g_, Linear1(normed, p + "intermediate.conv1d", s_.width, s_.intermediate, groups_.up),
                   s_.activation, s_.activation_key);
    const Value outer = Linear1(inner, p + "output.conv1d", s_.intermediate, s_.width, groups_.down);
    return Norm(g_.Op("Add", {outer, normed}), p + "output.layernorm");
  }

 private:
  Value Linear1(const Value& x, const std::string& name, int64_t in, int64_t out, int64_t groups) {
    return ConvolveTime(g_, x, name, true, {in, out, 1, 1, 0, groups});
  }
  Value Heads(const Value& x) {
    const Value batch =
        g_.Op("Gather", {m_.layout().batch_and_sequence, g_.Ints({0})}, {{"axis", int64_t{0}}});
    const Value shape =
        g_.Op("Concat", {batch, g_.Ints({s_.heads, s_.width / s_.heads, -1})}, {{"axis", int64_t{0}}});
    return g_.Op("Reshape", {x, shape});
  }
  Value Swap(const Value& x) { return g_.Op("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}}); }
  Value Norm(const Value& x, const std::string& name) {
    return SwapTime(g_, LayerNorm(g_, SwapTime(g_, x), name, s_.width, kLayerEpsilon));
  }

  GraphBuilder& g_;
  const TextModel& m_;
  const TextSizes& s_;
  const Groups groups_;
};

void BuildEncoder(GraphBuilder& g, TextModel& m, const Groups& groups) {
  const TextSizes& s = m.sizes();
  Value x = SwapTime(g, m.BertEmbeddings(s.width));
  g.SetScope("mask");
  const Value bias = MaskToBias(g, m.mask());
  Layers layers(g, m, groups);
  for (int64_t i = 0; i < s.layers; ++i)
    x = layers.Layer(x, bias, m.Base("encoder.layers." + std::to_string(i) + "."));
  m.SetRows(ToRows(g, SwapTime(g, x), s.width));
}

Result<BuildResult> Build(GraphBuilder& g, const BuildContext& context) {
  MLOS_ASSIGN_OR_RETURN(const TextSizes sizes, ReadTextSizes(context.config, {}));
  MLOS_RETURN_IF_ERROR(context.config.Int("embedding_size", sizes.width, sizes.width, sizes.width).status());
  MLOS_ASSIGN_OR_RETURN(const Groups groups, ReadGroups(context.config, sizes));
  TextModel model(g, "transformer.", sizes, context.head);
  BuildEncoder(g, model, groups);
  if (!context.encoder_only) BertHeads(g, model, context.head, "squeezebert");
  return BuildResult{model.encoder(), UnusedBertHeads(model, context.head),
                     static_cast<uint32_t>(sizes.positions)};
}

constexpr std::array<Architecture::ClassHead, 6> kClasses = {{
    {"SqueezeBertModel", Head::kEncoder},
    {"SqueezeBertForMaskedLM", Head::kMaskedLm},
    {"SqueezeBertForSequenceClassification", Head::kSequenceClassification},
    {"SqueezeBertForTokenClassification", Head::kTokenClassification},
    {"SqueezeBertForQuestionAnswering", Head::kQuestionAnswering},
    {"SqueezeBertForMultipleChoice", Head::kMultipleChoice},
}};

}  // namespace

const Architecture kSqueezeBert = {"squeezebert", kClasses, Build};

}  // namespace mlos::convert
