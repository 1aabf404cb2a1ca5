// SPDX-License-Identifier: Apache-2.0
// The one table from Status to HTTP.
#pragma once

#include <string_view>

#include "base/status.h"

namespace mlos::frontend {

// 200 for kOk; 499 (the client closed the request) for kCancelled.
int HttpStatusOf(Code code);

// "Not Found"; "Error" for a status this server never sends.
std::string_view HttpReason(int status);

// Seconds for Retry-After; 0 where the client should not simply retry.
int RetryAfterSeconds(int status);

}  // namespace mlos::frontend
