// SPDX-License-Identifier: Apache-2.0
// How much memory models may take.
//
//   budget = "auto" | percent | bytes
//   percent = number "%"                    of the control group's limit, else of the machine's memory
//   bytes   = number [ unit ]               "6GB" = 6e9, "6GiB" and "6G" = 6 * 2^30; k, M, G, T
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "os/memory_info.h"

namespace mlos::resources {

struct Budget {
  uint64_t bytes = 0;
  std::string source;  // for people: "core.memory_budget", "80% of 24 GB of memory", ...
};

// "6GB" -> bytes.
Result<uint64_t> ParseBytes(std::string_view text);

// kInvalidArgument says what was wrong with `text`. "auto" leaves an eighth, at least 256 MiB and at most 4 GiB, for the
// rest of the machine or control group, but never more than half.
Result<Budget> ResolveBudget(std::string_view text, const os::MachineMemory& machine,
                             const os::CgroupMemory& cgroup);

}  // namespace mlos::resources
