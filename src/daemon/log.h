// SPDX-License-Identifier: Apache-2.0
// The daemon's log: one line an event, to standard error or a file. Never request bodies.
#pragma once

#include "base/status.h"
#include "daemon/config.h"

namespace mlos::daemon {

// Sets up spdlog's default logger. Under systemd lines carry the journal's priority prefix instead of a time.
Status StartLog(const Config& config);

}  // namespace mlos::daemon
