// SPDX-License-Identifier: Apache-2.0
// The list of files at the end of a zip archive. Inside package/ only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::package {

// Names of the entries, borrowed. Zip64 too. kDataLoss when the directory is damaged or missing (cut short).
Result<std::vector<std::string_view>> ReadZipDirectory(std::span<const std::byte> file);

}  // namespace mlos::package
