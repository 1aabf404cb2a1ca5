// SPDX-License-Identifier: Apache-2.0
// The generation parameters of a request, one key at a time.
#pragma once

#include <optional>
#include <string>

#include "infer/request.h"
#include "wire/json_cursor.h"

namespace mlos::wire {

// Reads the value at the cursor when `key` is a generation parameter (messages, max_tokens, max_new_tokens, temperature,
// top_p, top_k, min_p, seed, stop, repeat_penalty, repetition_penalty): true. Otherwise reads nothing: false. kUnprocessable
// names the parameter and its range.
Result<bool> DecodeGenerationKey(JsonCursor& cursor, const std::string& key, Generation* out);

}  // namespace mlos::wire
