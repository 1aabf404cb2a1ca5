// SPDX-License-Identifier: Apache-2.0
#include "resources/budget.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "os/errors.h"

namespace mlos::resources {
namespace {

constexpr uint64_t kMiB = 1 << 20;

Status Malformed(std::string_view text) {
  return InvalidArgument("'" + std::string(text.substr(0, 64)) +
                         "' is no memory size: wanted auto, a percentage such as 80%, or a size such as 6GB");
}

// The number at the start of `text`, which loses it; negative when there is none.
double TakeNumber(std::string_view* text) {
  double value = -1;
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0)) return -1;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return value;
}

}  // namespace

Result<uint64_t> ParseBytes(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1.0},       {"B", 1.0},      {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},   {"GB", 1e9},
      {"TB", 1e12},    {"k", 0x1p10},   {"K", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30}, {"T", 0x1p40},
      {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
  };
  std::string_view rest = text;
  const double number = TakeNumber(&rest);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  for (const auto& [unit, factor] : kUnits) {
    if (rest != unit || number < 0) continue;
    const double bytes = number * factor;
    if (bytes >= 0x1p62) return InvalidArgument("'" + std::string(text.substr(0, 64)) + "' is too large");
    return static_cast<uint64_t>(bytes);
  }
  return Malformed(text);
}

Result<Budget> ResolveBudget(std::string_view text, const os::MachineMemory& machine,
                             const os::CgroupMemory& cgroup) {
  uint64_t whole = machine.total;
  std::string of = os::FormatBytes(machine.total) + " of memory";
  if (cgroup.version != 0 && cgroup.limit < machine.total) {
    whole = cgroup.limit;
    of = os::FormatBytes(cgroup.limit) + " that control group " + cgroup.group.string() + " allows";
  }
  if (text.empty() || text == "auto") {
    const uint64_t reserve = std::min(whole / 2, std::clamp(whole / 8, 256 * kMiB, 4096 * kMiB));
    return Budget{whole - reserve, of + " less " + os::FormatBytes(reserve)};
  }
  if (text.ends_with('%')) {
    std::string_view rest = text;
    const double percent = TakeNumber(&rest);
    if (rest != "%" || percent <= 0 || percent > 100) return Malformed(text);
    return Budget{static_cast<uint64_t>(static_cast<double>(whole) * percent / 100),
                  std::string(text) + " of " + of};
  }
  MLOS_ASSIGN_OR_RETURN(const uint64_t bytes, ParseBytes(text));
  if (bytes == 0) return InvalidArgument("a memory budget of 0 leaves no room for any model");
  return Budget{bytes, "core.memory_budget"};
}

}  // namespace mlos::resources
