// SPDX-License-Identifier: Apache-2.0
// Writing what is quicker made again than waited for.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/status.h"

namespace mlos::os {

// Readers see the old contents or the new ones, never a part, as with WriteFileAtomically; but nothing is synced: after a crash of the machine
// the file may be empty. Mode 0644.
Status ReplaceFile(const std::filesystem::path& path, std::string_view contents);

}  // namespace mlos::os
