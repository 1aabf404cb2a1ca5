// SPDX-License-Identifier: Apache-2.0
// Facts about this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/status.h"

namespace mlos::os {

// Where the running program's file is.
Result<std::filesystem::path> ExecutablePath();

// Who runs this process.
uint32_t UserId();
uint32_t GroupId();

// CPUs this process may run on (its affinity mask); at least 1.
int AvailableCpus();

// Tells the service manager (sd_notify(3)), when there is one: "READY=1", "STOPPING=1", "STATUS=...".
void NotifyServiceManager(const std::string& state);

}  // namespace mlos::os
