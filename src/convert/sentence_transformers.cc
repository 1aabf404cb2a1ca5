// SPDX-License-Identifier: Apache-2.0
#include "convert/sentence_transformers.h"

#include <limits>

#include "convert/nn.h"

namespace mlos::convert {
namespace {

using preprocess::SentenceModule;

constexpr float kSmallestCount = 1e-9F;  // the framework's clamp of a sum of mask entries
constexpr float kSmallestNorm = 1e-12F;  // eps of torch.nn.functional.normalize

class Pooling {
 public:
  Pooling(GraphBuilder& g, const EncoderOutput& encoder) : g_(g), tokens_(encoder.tokens) {
    g_.SetScope("pooling");
    ids_mask_ = encoder.attention_mask;
    const Value mask = g_.Op("Cast", {encoder.attention_mask}, {{"to", onnx::DataType(DType::kFp32)}});
    mask_ = g_.Op("Unsqueeze", {mask, g_.Ints({2})});
  }

  Value Mode(const std::string& mode) {
    if (mode == "cls") return TokenAt(FirstAttended());
    if (mode == "max") return Max();
    if (mode == "mean") return Divide(Sum(tokens_, mask_), AtLeast(SumOf(mask_), kSmallestCount));
    if (mode == "mean_sqrt_len_tokens") {
      return Divide(Sum(tokens_, mask_), g_.Op("Sqrt", {AtLeast(SumOf(mask_), kSmallestCount)}));
    }
    if (mode == "weightedmean") return WeightedMean();
    if (mode == "lasttoken") return TokenAt(LastAttended());
    g_.Fail(Unimplemented("pooling mode '" + mode + "' is not supported"));
    return tokens_;
  }

 private:
  Value SumOf(const Value& x) { return g_.Op("ReduceSum", {x, g_.Ints({1})}, {{"keepdims", int64_t{0}}}); }
  Value Sum(const Value& x, const Value& weights) { return SumOf(g_.Op("Mul", {x, weights})); }
  Value Divide(const Value& a, const Value& b) { return g_.Op("Div", {a, b}); }
  Value AtLeast(const Value& x, float smallest) { return g_.Op("Max", {x, g_.Float(smallest)}); }

  // Positions 0 .. sequence - 1, int64 [sequence].
  Value Positions() {
    const Value length = g_.Op("Gather", {g_.Op("Shape", {ids_mask_}), g_.Int(1)}, {{"axis", int64_t{0}}});
    return g_.Op("Range", {g_.Int(0), length, g_.Int(1)});
  }

  // Index of the first (last) attended token per row, int64 [batch, 1]; 0 when there is none.
  Value FirstAttended() {
    return g_.Op("ArgMax", {g_.Op("Cast", {ids_mask_}, {{"to", onnx::DataType(DType::kInt32)}})},
                 {{"axis", int64_t{1}}, {"keepdims", int64_t{1}}});
  }
  Value LastAttended() {
    return g_.Op("ReduceMax", {g_.Op("Mul", {ids_mask_, Positions()}), g_.Ints({1})},
                 {{"keepdims", int64_t{1}}});
  }

  // tokens[row, index[row]] as a sum over one-hot weights.
  Value TokenAt(const Value& index) {
    const Value hit =
        g_.Op("Cast", {g_.Op("Equal", {index, Positions()})}, {{"to", onnx::DataType(DType::kFp32)}});
    return Sum(tokens_, g_.Op("Unsqueeze", {hit, g_.Ints({2})}));
  }

  Value Max() {
    const Value attended = g_.Op("Greater", {mask_, g_.Float(0.0F)});
    const Value kept = g_.Op("Where", {attended, tokens_, g_.Float(std::numeric_limits<float>::lowest())});
    return g_.Op("ReduceMax", {kept, g_.Ints({1})}, {{"keepdims", int64_t{0}}});
  }

  // Weights 1, 2, 3 ... from the first attended token on.
  Value WeightedMean() {
    const Value from_first = g_.Op("Sub", {g_.Op("Add", {Positions(), g_.Int(1)}), FirstAttended()});
    const Value ramp = g_.Op("Cast", {from_first}, {{"to", onnx::DataType(DType::kFp32)}});
    const Value weights = g_.Op("Mul", {mask_, g_.Op("Unsqueeze", {ramp, g_.Ints({2})})});
    return Divide(Sum(tokens_, weights), AtLeast(SumOf(weights), kSmallestCount));
  }

  GraphBuilder& g_;
  Value tokens_;    // [batch, sequence, width]
  Value ids_mask_;  // int64 [batch, sequence]
  Value mask_;      // FP32 [batch, sequence, 1]
};

Value Normalized(GraphBuilder& g, const Value& x) {
  g.SetScope("normalize");
  const Value norm = g.Op("ReduceL2", {x, g.Ints({-1})}, {{"keepdims", int64_t{1}}});
  return g.Op("Div", {x, g.Op("Max", {norm, g.Float(kSmallestNorm)})});
}

}  // namespace

std::string DensePrefix(const SentenceModule& module) { return module.path + "/"; }

Status AddSentenceEmbedding(GraphBuilder& g, const EncoderOutput& encoder,
                            const std::filesystem::path& package_dir,
                            const std::vector<SentenceModule>& modules) {
  Value x;
  int64_t width = 0;
  for (const SentenceModule& module : modules) {
    if (module.kind == SentenceModule::Kind::kTransformer) continue;
    if (module.kind == SentenceModule::Kind::kPooling) {
      if (width != 0) return Unimplemented("modules.json has more than one Pooling");
      MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> modes,
                            preprocess::ReadPoolingModes(package_dir, module));
      Pooling pooling(g, encoder);
      std::vector<Value> parts;
      for (const std::string& mode : modes) parts.push_back(pooling.Mode(mode));
      x = parts.size() == 1 ? parts.front() : g.Op("Concat", parts, {{"axis", int64_t{1}}});
      width = encoder.width * static_cast<int64_t>(parts.size());
      continue;
    }
    if (width == 0) return Unimplemented("modules.json has a Dense or Normalize before the Pooling");
    if (module.kind == SentenceModule::Kind::kNormalize) {
      x = Normalized(g, x);
      continue;
    }
    MLOS_ASSIGN_OR_RETURN(const preprocess::DenseConfig dense,
                          preprocess::ReadDenseConfig(package_dir, module));
    if (dense.in_features != width) {
      return DataLoss(module.path + "/config.json: 'in_features' is " + std::to_string(dense.in_features) +
                      ", what comes before has width " + std::to_string(width));
    }
    g.SetScope(module.path);
    const std::string prefix = DensePrefix(module) + "linear.";
    x = LinearFrom(g, x, prefix + "weight", dense.bias ? prefix + "bias" : "", width, dense.out_features);
    if (dense.activation != "identity") x = Activation(g, x, dense.activation, "activation_function");
    width = dense.out_features;
  }
  if (width == 0) return Unimplemented("modules.json has no Pooling");
  g.Output("sentence_embedding", x, DType::kFp32, {"batch_size", width});
  g.Output("token_embeddings", encoder.tokens, DType::kFp32,
           {"batch_size", "sequence_length", encoder.width});
  return OkStatus();
}

}  // namespace mlos::convert
