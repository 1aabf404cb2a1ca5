// SPDX-License-Identifier: Apache-2.0
// How urgent a client says its request is: priority and time allowed, whatever the dialect that carries them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "infer/request.h"

namespace mlos::frontend {

// X-Priority. kInvalidArgument names what is allowed. "" = not said.
Result<std::optional<Priority>> ReadPriorityHeader(std::string_view value);

// X-Deadline-Ms: milliseconds that the client still has, a decimal number. 0 and less: its deadline has passed. "" = not said.
Result<std::optional<int64_t>> ReadDeadlineHeader(std::string_view value);  // nanoseconds

// When a request that came at `received_ns` must be answered, CLOCK_MONOTONIC: the earliest of the server's own limit and of the
// times the client gave (nanoseconds from then on); 0 = none of them is set.
int64_t DeadlineNs(int64_t received_ns, int64_t server_limit_ns, std::optional<int64_t> header_ns,
                   std::optional<int64_t> body_ns);

}  // namespace mlos::frontend
