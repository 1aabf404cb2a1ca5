// SPDX-License-Identifier: Apache-2.0
#include "frontend/common/urgency.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace mlos::frontend {
namespace {

// A year: longer is meant as "none".
constexpr double kLongestMs = 365.0 * 24 * 3600 * 1000;

std::string Shown(std::string_view value) { return "'" + std::string(value.substr(0, 64)) + "'"; }

}  // namespace

Result<std::optional<Priority>> ReadPriorityHeader(std::string_view value) {
  if (value.empty()) return std::optional<Priority>();
  const std::optional<Priority> priority = ParsePriority(value);
  if (!priority) {
    return InvalidArgument("X-Priority: " + Shown(value) + " is unknown, wanted one of " +
                           std::string(kPriorityNames));
  }
  return priority;
}

Result<std::optional<int64_t>> ReadDeadlineHeader(std::string_view value) {
  if (value.empty()) return std::optional<int64_t>();
  double ms = 0;
  const char* const end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, ms);
  if (error != std::errc() || at != end || !std::isfinite(ms)) {
    return InvalidArgument("X-Deadline-Ms: " + Shown(value) +
                           ", wanted the milliseconds that are left, for example 250");
  }
  return std::optional<int64_t>(static_cast<int64_t>(std::clamp(ms, -1.0, kLongestMs) * 1e6));
}

int64_t DeadlineNs(int64_t received_ns, int64_t server_limit_ns, std::optional<int64_t> header_ns,
                   std::optional<int64_t> body_ns) {
  std::optional<int64_t> least;
  if (server_limit_ns > 0) least = server_limit_ns;
  for (const std::optional<int64_t>& each : {header_ns, body_ns}) {
    if (each && (!least || *each < *least)) least = each;
  }
  // 1 is in the past; 0 would mean none.
  return least ? std::max<int64_t>(received_ns + *least, 1) : 0;
}

}  // namespace mlos::frontend
