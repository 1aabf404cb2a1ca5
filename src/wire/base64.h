// SPDX-License-Identifier: Apache-2.0
// Base64 of RFC 4648, standard alphabet, padded.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos::wire {

std::string EncodeBase64(std::string_view bytes);

// kInvalidArgument with the position for a foreign character, wrong padding or stray bits.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace mlos::wire
