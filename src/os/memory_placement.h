// SPDX-License-Identifier: Apache-2.0
// Where the pages of a mapping are: in memory or not, pinned, on which memory node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace mlos::os {

// `memory` begins at a page boundary in all of these.

// The pages are there and stay there. kResourceExhausted names the limit (RLIMIT_MEMLOCK).
Status PinMemory(std::span<const std::byte> memory);
Status UnpinMemory(std::span<const std::byte> memory);
// Starts reading what is not there; with `wait`, returns when it is.
Status PrefetchMemory(std::span<const std::byte> memory, bool wait);
// Pages that are in memory, in bytes.
Result<uint64_t> ResidentBytes(std::span<const std::byte> memory);
// Pages touched from now on come from `node`, only from it when `strict`. kUnimplemented where the kernel has no memory policies.
Status BindMemory(std::span<std::byte> memory, int node, bool strict);

// Online memory nodes; at least 1.
int MemoryNodes();

}  // namespace mlos::os
