// SPDX-License-Identifier: Apache-2.0
#include "infer/keep_alive.h"

#include <charconv>
#include <utility>

namespace mlos {
namespace {

constexpr double kMostSeconds = 100.0 * 365 * 86400;

}  // namespace

Result<int64_t> ParseKeepAlive(std::string_view text) {
  // Longer units first: "ms" starts with "m".
  static constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3},
                                                                   {"s", 1},     {"m", 60},    {"h", 3600}};
  const Status malformed =
      InvalidArgument("'" + std::string(text.substr(0, 64)) +
                      "' is no keep-alive: wanted seconds or a duration such as 5m or 1h30m; 0 unloads at "
                      "once, -1 keeps for ever");
  if (text == "forever") return kKeepForever;
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  if (rest.empty()) return malformed;
  double seconds = 0;
  for (bool first = true; !rest.empty(); first = false) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    // from_chars reads "-1", "inf" and "nan" as well.
    if (error != std::errc() || !(number >= 0) || rest.front() == '-' || number > 1e18) return malformed;
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    double factor = first && rest.empty() ? 1 : 0;
    for (const auto& [unit, unit_seconds] : kUnits) {
      if (factor != 0 || !rest.starts_with(unit)) continue;
      factor = unit_seconds;
      rest.remove_prefix(unit.size());
    }
    if (factor == 0) return malformed;
    seconds += number * factor;
  }
  if (negative) return seconds == 0 ? int64_t{0} : kKeepForever;
  if (seconds > kMostSeconds) return kKeepForever;
  return static_cast<int64_t>(seconds * 1e9);
}

std::string KeepAliveText(int64_t keep_alive_ns) {
  if (keep_alive_ns < 0) return "forever";
  int64_t ms = keep_alive_ns / 1'000'000;
  static constexpr std::pair<const char*, int64_t> kParts[] = {
      {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
  std::string out;
  for (const auto& [unit, size] : kParts) {
    if (ms >= size) out += std::to_string(ms / size) + unit;
    ms %= size;
  }
  return out.empty() ? "0s" : out;
}

}  // namespace mlos
