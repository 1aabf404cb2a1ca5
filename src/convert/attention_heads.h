// SPDX-License-Identifier: Apache-2.0
// Attention whose queries and keys come from different places: a decoder looks at what it has said and at the encoder's answer,
// and keeps the keys and values of both for the next step.
#pragma once

#include <cstdint>
#include <string>

#include "convert/graph.h"

namespace mlos::convert {

struct HeadShape {
  int64_t count = 0;
  int64_t width = 0;  // of one head
  int64_t total() const { return count * width; }
};

// Of all heads: FP32 [batch, count, length, width].
struct KeyValue {
  Value key;
  Value value;
};

// One dimension of x as a single int64, and as a list of one (for Concat into a shape).
Value SizeOf(GraphBuilder& g, const Value& x, int64_t axis);
Value SizesOf(GraphBuilder& g, const Value& x, int64_t axis);

// first, first + 1, ... `count` numbers (single int64s) -> int64 [count].
Value Counted(GraphBuilder& g, const Value& first, const Value& count);

// Rows [batch * length, count * width] -> [batch, count, length, width]. `batch`: int64 [1].
Value SplitHeads(GraphBuilder& g, const Value& rows, const Value& batch, HeadShape heads);

// softmax(scale * q k^T + bias) v as rows [batch * queries, count * width]; q is split. `bias` broadcasts to
// [batch, count, queries, keys]; without a name there is none.
Value AttendHeads(GraphBuilder& g, const Value& q, const KeyValue& kv, const Value& bias, HeadShape heads,
                  double scale);

// Those of the past, then those of now.
KeyValue AppendTo(GraphBuilder& g, const KeyValue& past, const KeyValue& now);

// A cache as graph input and output: `prefix`.key and `prefix`.value, the length being the axis `length`.
KeyValue CacheInput(GraphBuilder& g, const std::string& prefix, HeadShape heads, const char* length);
void CacheOutput(GraphBuilder& g, const std::string& prefix, const KeyValue& kv, HeadShape heads,
                 const char* length);

// [1, 1, queries, keys] of bool: which key is not after the query. Positions: int64 [queries], int64 [keys].
Value CausalSight(GraphBuilder& g, const Value& queries, const Value& keys);
// Mask [batch, keys] (1 = look) as bool [batch, 1, 1, keys].
Value MaskSight(GraphBuilder& g, const Value& mask);
// Bool -> what is added to scores: 0, or the lowest finite float (so that a row that sees nothing stays finite).
Value SightToBias(GraphBuilder& g, const Value& sight);

}  // namespace mlos::convert
