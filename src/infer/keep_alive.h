// SPDX-License-Identifier: Apache-2.0
// How long a model stays loaded after its last request, as people write it. The spelling is Ollama's and Go's:
//
//   keep-alive = number                     seconds
//              | 1*( number unit )          "5m", "1h30m", "1.5h"; units ns us ms s m h
//   A leading "-" means for ever; 0 means unload at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos {

inline constexpr int64_t kKeepForever = -1;

// Nanoseconds, 0, or kKeepForever. kInvalidArgument says what was wrong. More than 100 years is for ever.
Result<int64_t> ParseKeepAlive(std::string_view text);

// "5m", "1h30m", "250ms", "0s", "forever": reads back to the same, rounded to milliseconds.
std::string KeepAliveText(int64_t keep_alive_ns);

}  // namespace mlos
