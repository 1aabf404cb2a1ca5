// SPDX-License-Identifier: Apache-2.0
#include "convert/nn.h"

#include <cmath>
#include <limits>

namespace mlos::convert {

Value Linear(GraphBuilder& g, const Value& x, const std::string& name, int64_t in, int64_t out) {
  const std::string bias = name + ".bias";
  return LinearFrom(g, x, name + ".weight", g.Has(bias) ? bias : "", in, out);
}

Value LinearFrom(GraphBuilder& g, const Value& x, const std::string& weight, const std::string& bias,
                 int64_t in, int64_t out) {
  if (const auto int8 = g.Int8Weight(weight, {out, in})) {
    const GraphBuilder::Quantized q = g.QuantizeActivations(x);
    const Value products = g.Op("MatMulInteger", {q.values, int8->values, q.zero_point});
    const Value sums = g.Op("Cast", {products}, {{"to", onnx::DataType(DType::kFp32)}});
    const Value y = g.Op("Mul", {sums, g.Op("Mul", {q.scale, int8->scales})});
    return bias.empty() ? y : g.Op("Add", {y, g.Weight(bias, {out})});
  }
  const Value w = g.Weight(weight, {out, in});
  if (bias.empty()) return g.Op("Gemm", {x, w}, {{"transB", int64_t{1}}});
  return g.Op("Gemm", {x, w, g.Weight(bias, {out})}, {{"transB", int64_t{1}}});
}

Value LayerNorm(GraphBuilder& g, const Value& x, const std::string& name, int64_t width, double epsilon) {
  return g.Op("LayerNormalization",
              {x, g.Weight(name + ".weight", {width}), g.Weight(name + ".bias", {width})},
              {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(epsilon)}});
}

Value RmsNorm(GraphBuilder& g, const Value& x, const std::string& name, int64_t width, double epsilon) {
  const Value squares = g.Op("Pow", {x, g.Float(2.0F)});
  const Value mean = g.Op("ReduceMean", {squares, g.Ints({-1})});
  const Value root = g.Op("Sqrt", {g.Op("Add", {mean, g.Float(static_cast<float>(epsilon))})});
  return g.Op("Mul", {g.Op("Div", {x, root}), g.Weight(name + ".weight", {width})});
}

Value Embedding(GraphBuilder& g, const std::string& name, const Value& ids, int64_t count, int64_t width) {
  DType stored = DType::kFp32;
  const Value table = g.StoredWeight(name, {count, width}, &stored);
  const Value rows = g.Op("Gather", {table, ids}, {{"axis", int64_t{0}}});
  return stored == DType::kFp32 ? rows : g.Op("Cast", {rows}, {{"to", onnx::DataType(DType::kFp32)}});
}

Value Activation(GraphBuilder& g, const Value& x, const std::string& function, const std::string& key) {
  if (function == "gelu" || function == "gelu_python") return g.Op("Gelu", {x}, {{"approximate", "none"}});
  if (function == "gelu_new" || function == "gelu_pytorch_tanh" || function == "gelu_fast" ||
      function == "gelu_python_tanh") {
    return g.Op("Gelu", {x}, {{"approximate", "tanh"}});
  }
  if (function == "relu") return g.Op("Relu", {x});
  if (function == "relu6") return g.Op("Clip", {x, g.Float(0.0F), g.Float(6.0F)});
  if (function == "tanh") return g.Op("Tanh", {x});
  if (function == "sigmoid") return g.Op("Sigmoid", {x});
  if (function == "silu" || function == "swish") return g.Op("Mul", {x, g.Op("Sigmoid", {x})});
  if (function == "quick_gelu") return g.Op("Mul", {x, g.Op("Sigmoid", {g.Op("Mul", {x, g.Float(1.702F)})})});
  g.Fail(Unimplemented("config.json: '" + key + "' is \"" + function +
                       "\"; supported: gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, quick_gelu, relu, "
                       "relu6, silu, tanh, sigmoid"));
  return x;
}

Value MaskToBias(GraphBuilder& g, const Value& mask) {
  const Value ones = g.Op("Cast", {mask}, {{"to", onnx::DataType(DType::kFp32)}});
  const Value hidden = g.Op("Sub", {g.Float(1.0F), ones});
  const Value bias = g.Op("Mul", {hidden, g.Float(std::numeric_limits<float>::lowest())});
  return g.Op("Unsqueeze", {bias, g.Ints({1, 2})});
}

Layout LayoutOf(GraphBuilder& g, const Value& input_ids, int64_t width) {
  return {g.Op("Shape", {input_ids}), width};
}

Value ToRows(GraphBuilder& g, const Value& x, int64_t width) {
  return g.Op("Reshape", {x, g.Ints({-1, width})});
}

Value FromRows(GraphBuilder& g, const Layout& layout, const Value& x, int64_t width) {
  const Value shape = g.Op("Concat", {layout.batch_and_sequence, g.Ints({width})}, {{"axis", int64_t{0}}});
  return g.Op("Reshape", {x, shape});
}

Value Attention(GraphBuilder& g, const Layout& layout, int64_t heads, const Value& q, const Value& k,
                const Value& v, const Value& bias) {
  const int64_t head_width = layout.width / heads;
  const Value shape =
      g.Op("Concat", {layout.batch_and_sequence, g.Ints({heads, head_width})}, {{"axis", int64_t{0}}});
  const auto split = [&](const Value& x, std::vector<int64_t> order) {
    return g.Op("Transpose", {g.Op("Reshape", {x, shape})}, {{"perm", std::move(order)}});
  };
  const Value products = g.Op("MatMul", {split(q, {0, 2, 1, 3}), split(k, {0, 2, 3, 1})});
  const Value scaled = g.Op("Mul", {products, g.Float(1.0F / std::sqrt(static_cast<float>(head_width)))});
  const Value scores = bias.name.empty() ? scaled : g.Op("Add", {scaled, bias});
  const Value weights = g.Op("Softmax", {scores}, {{"axis", int64_t{-1}}});
  const Value mixed = g.Op("MatMul", {weights, split(v, {0, 2, 1, 3})});
  return ToRows(g, g.Op("Transpose", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}), layout.width);
}

Value TakeToken(GraphBuilder& g, const Value& x, int64_t index) {
  return g.Op("Gather", {x, g.Int(index)}, {{"axis", int64_t{1}}});
}

}  // namespace mlos::convert
