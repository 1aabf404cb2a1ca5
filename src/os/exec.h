// SPDX-License-Identifier: Apache-2.0
// Becoming another program.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::os {

// Replaces this process by `program`, with no signal blocked. Returns only when that fails: kNotFound when there is no such
// file.
Status Exec(const std::filesystem::path& program, const std::vector<std::string>& arguments);

}  // namespace mlos::os
