// SPDX-License-Identifier: Apache-2.0
// keep_alive in a JSON body: a number of seconds or a text such as "5m" (infer/keep_alive.h).
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "wire/json_cursor.h"

namespace mlos::wire {

// Nanoseconds; negative = for ever. kInvalidArgument names the key.
Result<int64_t> ReadKeepAlive(JsonCursor& cursor, const std::string& key);

}  // namespace mlos::wire
