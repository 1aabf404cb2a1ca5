// SPDX-License-Identifier: Apache-2.0
// Cutting an encoded text to a maximum length without losing the special tokens around it.
#pragma once

#include <cstdint>
#include <vector>

#include "preprocess/tokenizer.h"

namespace mlos::preprocess {

// The positions of `encoding` that stay when it may have at most `max_length` tokens (0 = no limit): all special ones, and of
// the text's own tokens the first ones (the last ones when `from_left`) that still fit. In order. When not even the special
// tokens fit, the first max_length of them.
std::vector<uint32_t> KeptPositions(const EncodingView& encoding, uint32_t max_length, bool from_left);

}  // namespace mlos::preprocess
