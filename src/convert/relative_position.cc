// SPDX-License-Identifier: Apache-2.0
#include "convert/relative_position.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "convert/nn.h"

namespace mlos::convert {
namespace {

int64_t PerDirection(const RelativeBuckets& b) { return b.both_ways ? b.count / 2 : b.count; }

}  // namespace

Status CheckBuckets(const RelativeBuckets& buckets, const std::string& count_key,
                    const std::string& distance_key) {
  const int64_t exact = PerDirection(buckets) / 2;
  if (exact >= 1 && buckets.max_distance > exact) return OkStatus();
  return Unimplemented("config.json: '" + count_key + "' is " + std::to_string(buckets.count) + " and '" +
                       distance_key + "' is " + std::to_string(buckets.max_distance) +
                       "; supported: at least 4 buckets, and a distance above half of those of a direction");
}

int64_t RelativeBucket(int64_t distance, const RelativeBuckets& b) {
  const int64_t count = PerDirection(b);
  const int64_t exact = count / 2;
  const int64_t first = b.both_ways && distance > 0 ? count : 0;
  const int64_t n = b.both_ways ? std::abs(distance) : std::max<int64_t>(-distance, 0);
  if (n < exact) return first + n;
  const auto scale =
      static_cast<float>(std::log(static_cast<double>(b.max_distance) / static_cast<double>(exact)));
  const float steps =
      std::log(static_cast<float>(n) / static_cast<float>(exact)) / scale * static_cast<float>(count - exact);
  return first + std::min(exact + static_cast<int64_t>(steps), count - 1);
}

Value RelativeBias(GraphBuilder& g, const std::string& name, const RelativeBuckets& buckets, int64_t heads,
                   const Value& queries, const Value& keys) {
  const int64_t far = buckets.max_distance;
  std::vector<int64_t> table;
  for (int64_t distance = -far; distance <= far; ++distance)
    table.push_back(RelativeBucket(distance, buckets));
  const Value distance =
      g.Op("Sub", {g.Op("Unsqueeze", {keys, g.Ints({0})}), g.Op("Unsqueeze", {queries, g.Ints({1})})});
  const Value near = g.Op("Clip", {distance, g.Int(-far), g.Int(far)});
  const std::string constant = buckets.both_ways ? "buckets_both_ways" : "buckets_one_way";
  const Value bucket =
      g.Op("Gather", {g.IntTable(constant, table), g.Op("Add", {near, g.Int(far)})}, {{"axis", int64_t{0}}});
  const int64_t rows = buckets.table_rows > 0 ? buckets.table_rows : buckets.count;
  const Value bias = Embedding(g, name, bucket, rows, heads);
  return g.Op("Unsqueeze",
              {g.Op("Transpose", {bias}, {{"perm", std::vector<int64_t>{2, 0, 1}}}), g.Ints({0})});
}

}  // namespace mlos::convert
