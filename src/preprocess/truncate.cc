// SPDX-License-Identifier: Apache-2.0
#include "preprocess/truncate.h"

#include <algorithm>

namespace mlos::preprocess {

std::vector<uint32_t> KeptPositions(const EncodingView& encoding, uint32_t max_length, bool from_left) {
  const size_t size = encoding.ids.size();
  std::vector<uint32_t> kept;
  if (max_length == 0 || size <= max_length) {
    kept.resize(size);
    for (uint32_t i = 0; i < size; ++i) kept[i] = i;
    return kept;
  }
  const auto special =
      static_cast<size_t>(std::count(encoding.special_mask.begin(), encoding.special_mask.end(), 1U));
  const size_t own = size - special;
  const size_t own_kept = special >= max_length ? 0 : std::min<size_t>(own, max_length - special);
  const size_t skipped_first = from_left ? own - own_kept : 0;
  size_t own_seen = 0;
  for (uint32_t i = 0; i < size && kept.size() < max_length; ++i) {
    if (encoding.special_mask[i] == 1) {
      kept.push_back(i);
      continue;
    }
    if (own_seen >= skipped_first && own_seen < skipped_first + own_kept) kept.push_back(i);
    ++own_seen;
  }
  return kept;
}

}  // namespace mlos::preprocess
