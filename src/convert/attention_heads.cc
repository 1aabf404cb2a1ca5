// SPDX-License-Identifier: Apache-2.0
#include "convert/attention_heads.h"

#include <limits>
#include <vector>

#include "convert/text_model.h"

namespace mlos::convert {
namespace {

const std::vector<int64_t> kSwapLengthAndHeads = {0, 2, 1, 3};
const std::vector<int64_t> kSwapLengthAndWidth = {0, 1, 3, 2};

}  // namespace

Value SizeOf(GraphBuilder& g, const Value& x, int64_t axis) {
  return g.Op("Gather", {g.Op("Shape", {x}), g.Int(axis)}, {{"axis", int64_t{0}}});
}

Value SizesOf(GraphBuilder& g, const Value& x, int64_t axis) {
  return g.Op("Gather", {g.Op("Shape", {x}), g.Ints({axis})}, {{"axis", int64_t{0}}});
}

Value Counted(GraphBuilder& g, const Value& first, const Value& count) {
  return g.Op("Range", {first, g.Op("Add", {first, count}), g.Int(1)});
}

Value SplitHeads(GraphBuilder& g, const Value& rows, const Value& batch, HeadShape heads) {
  const Value shape = g.Op("Concat", {batch, g.Ints({-1, heads.count, heads.width})}, {{"axis", int64_t{0}}});
  return g.Op("Transpose", {g.Op("Reshape", {rows, shape})}, {{"perm", kSwapLengthAndHeads}});
}

Value AttendHeads(GraphBuilder& g, const Value& q, const KeyValue& kv, const Value& bias, HeadShape heads,
                  double scale) {
  Value scores = g.Op("MatMul", {q, g.Op("Transpose", {kv.key}, {{"perm", kSwapLengthAndWidth}})});
  if (scale != 1.0) scores = g.Op("Mul", {scores, g.Float(static_cast<float>(scale))});
  if (!bias.name.empty()) scores = g.Op("Add", {scores, bias});
  const Value mixed = g.Op("MatMul", {g.Op("Softmax", {scores}, {{"axis", int64_t{-1}}}), kv.value});
  return g.Op("Reshape",
              {g.Op("Transpose", {mixed}, {{"perm", kSwapLengthAndHeads}}), g.Ints({-1, heads.total()})});
}

KeyValue AppendTo(GraphBuilder& g, const KeyValue& past, const KeyValue& now) {
  return {g.Op("Concat", {past.key, now.key}, {{"axis", int64_t{2}}}),
          g.Op("Concat", {past.value, now.value}, {{"axis", int64_t{2}}})};
}

KeyValue CacheInput(GraphBuilder& g, const std::string& prefix, HeadShape heads, const char* length) {
  const std::vector<Dim> dims = {kBatchAxis, heads.count, length, heads.width};
  const Value key = g.Input(prefix + ".key", DType::kFp32, dims);
  return {key, g.Input(prefix + ".value", DType::kFp32, dims)};
}

void CacheOutput(GraphBuilder& g, const std::string& prefix, const KeyValue& kv, HeadShape heads,
                 const char* length) {
  const std::vector<Dim> dims = {kBatchAxis, heads.count, length, heads.width};
  g.Output(prefix + ".key", kv.key, DType::kFp32, dims);
  g.Output(prefix + ".value", kv.value, DType::kFp32, dims);
}

Value CausalSight(GraphBuilder& g, const Value& queries, const Value& keys) {
  return g.Op("LessOrEqual", {g.Op("Unsqueeze", {keys, g.Ints({0, 1, 2})}),
                              g.Op("Unsqueeze", {queries, g.Ints({0, 1, 3})})});
}

Value MaskSight(GraphBuilder& g, const Value& mask) {
  const Value sees = g.Op("Cast", {mask}, {{"to", onnx::DataType(DType::kBool)}});
  return g.Op("Unsqueeze", {sees, g.Ints({1, 2})});
}

Value SightToBias(GraphBuilder& g, const Value& sight) {
  return g.Op("Where", {sight, g.Float(0.0F), g.Float(std::numeric_limits<float>::lowest())});
}

}  // namespace mlos::convert
