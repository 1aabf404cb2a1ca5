// SPDX-License-Identifier: Apache-2.0
// T5's relative positions: a bias on the scores by the bucket of the distance between key and query. T5, MPNet.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "convert/graph.h"

namespace mlos::convert {

struct RelativeBuckets {
  int64_t count = 32;
  int64_t max_distance = 128;  // from here on all distances are alike
  bool both_ways =
      true;  // keys after the query have buckets of their own; else they share that of distance 0
  int64_t table_rows = 0;  // of the weight; 0: as many as buckets
};

// kUnimplemented for counts that give no logarithmic buckets; the keys are for the message.
Status CheckBuckets(const RelativeBuckets& buckets, const std::string& count_key,
                    const std::string& distance_key);

// Bucket of key - query: exact when small, then logarithmic; in float32, as the framework counts.
int64_t RelativeBucket(int64_t distance, const RelativeBuckets& buckets);

// [1, heads, queries, keys] from the table `name` [table_rows, heads]. `queries`, `keys`: their positions, int64 [count].
Value RelativeBias(GraphBuilder& g, const std::string& name, const RelativeBuckets& buckets, int64_t heads,
                   const Value& queries, const Value& keys);

}  // namespace mlos::convert
