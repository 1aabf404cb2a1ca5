// SPDX-License-Identifier: Apache-2.0
// From a file to a socket inside the kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "os/file.h"

namespace mlos::os {

// Sends up to `bytes` of `file` from `offset`; answers how many, 0 when the non-blocking socket is full. kDataLoss when the
// file ends before `offset`.
Result<size_t> SendFile(int socket, const File& file, uint64_t offset, size_t bytes);

}  // namespace mlos::os
