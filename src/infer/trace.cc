// SPDX-License-Identifier: Apache-2.0
#include "infer/trace.h"

#include <algorithm>

namespace mlos {

std::string_view StageName(Stage stage) {
  static constexpr std::array<std::string_view, kStages> kNames = {"read",    "decode", "load",     "admit",
                                                                   "queue",   "batch",  "dispatch", "prepare",
                                                                   "compute", "finish", "encode",   "write"};
  return stage < Stage::kCount ? kNames[static_cast<size_t>(stage)] : "unknown";
}

void Trace::Mark(Stage stage, int64_t now_ns) {
  ns[static_cast<size_t>(stage)] += std::max<int64_t>(now_ns - marked_ns, 0);
  marked_ns = std::max(now_ns, marked_ns);
}

void Trace::MarkRun(int64_t now_ns, int64_t prepare_ns, int64_t compute_ns, int64_t finish_ns) {
  int64_t left = std::max<int64_t>(now_ns - marked_ns, 0);
  // The plugin's word counts as far as there was time for it. The engine comes first: it is what people ask about.
  const auto take = [&](Stage stage, int64_t part_ns) {
    const int64_t taken = std::clamp<int64_t>(part_ns, 0, left);
    ns[static_cast<size_t>(stage)] += taken;
    left -= taken;
  };
  take(Stage::kCompute, compute_ns);
  take(Stage::kPrepare, prepare_ns);
  take(Stage::kFinish, finish_ns);
  ns[static_cast<size_t>(Stage::kDispatch)] += left;
  marked_ns = std::max(now_ns, marked_ns);
}

void Trace::Move(Stage from, Stage to, int64_t part_ns) {
  int64_t& source = ns[static_cast<size_t>(from)];
  const int64_t moved = std::clamp<int64_t>(part_ns, 0, source);
  source -= moved;
  ns[static_cast<size_t>(to)] += moved;
}

}  // namespace mlos
