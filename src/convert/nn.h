// SPDX-License-Identifier: Apache-2.0
// Layers as PyTorch names and stores them, over GraphBuilder.
//
// Inside a transformer activations are rows: [batch * sequence, width], so that a linear layer is one Gemm on the weight as
// PyTorch stores it ([out, in], transB = 1) and nothing is reshaped but around attention.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "convert/graph.h"

namespace mlos::convert {

// x [rows, in] -> [rows, out]: `name`.weight [out, in] and, when the checkpoint has it, `name`.bias [out]. -1 = any size.
Value Linear(GraphBuilder& g, const Value& x, const std::string& name, int64_t in, int64_t out);
// The same with explicit tensors; `bias` may be "".
Value LinearFrom(GraphBuilder& g, const Value& x, const std::string& weight, const std::string& bias,
                 int64_t in, int64_t out);

// Over the last dimension, `name`.weight and `name`.bias [width].
Value LayerNorm(GraphBuilder& g, const Value& x, const std::string& name, int64_t width, double epsilon);

// x / sqrt(mean(x^2) + epsilon) over the last dimension, times `name`.weight [width].
Value RmsNorm(GraphBuilder& g, const Value& x, const std::string& name, int64_t width, double epsilon);

// Rows of the table `name` [count, width] by int64 ids, as FP32. A table in a narrow type is cast after the lookup, so that it
// stays mapped.
Value Embedding(GraphBuilder& g, const std::string& name, const Value& ids, int64_t count, int64_t width);

// Element-wise function by the name config.json uses: gelu, gelu_new, relu, silu, tanh ... kUnimplemented sticks for others;
// `key` is the name of the config key for that message.
Value Activation(GraphBuilder& g, const Value& x, const std::string& function, const std::string& key);

// attention_mask [batch, sequence] (1 = look, 0 = do not) -> [batch, 1, 1, sequence] to be added to scores: 0 or the lowest
// finite float. Finite, so that a row of zeros gives an even distribution and not NaN.
Value MaskToBias(GraphBuilder& g, const Value& mask);

// Sizes of one graph's activations, as values for Reshape.
struct Layout {
  Value batch_and_sequence;  // int64 [2]
  int64_t width = 0;
};
Layout LayoutOf(GraphBuilder& g, const Value& input_ids, int64_t width);
Value ToRows(GraphBuilder& g, const Value& x, int64_t width);  // [B, S, width] -> [B * S, width]
Value FromRows(GraphBuilder& g, const Layout& layout, const Value& x, int64_t width);  // back

// softmax(q k^T / sqrt(width / heads) + bias) v, all [rows, width]; `bias` broadcasts to [batch, heads, sequence, sequence];
// without a name there is none.
Value Attention(GraphBuilder& g, const Layout& layout, int64_t heads, const Value& q, const Value& k,
                const Value& v, const Value& bias);

// x[:, index] of [batch, sequence, width] -> [batch, width].
Value TakeToken(GraphBuilder& g, const Value& x, int64_t index);

}  // namespace mlos::convert
