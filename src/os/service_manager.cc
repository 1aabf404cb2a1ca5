// SPDX-License-Identifier: Apache-2.0
// In a file of its own: who does not call it is not linked with libsystemd and what that needs.
#include <systemd/sd-daemon.h>

#include "os/process.h"

namespace mlos::os {

void NotifyServiceManager(const std::string& state) { sd_notify(0, state.c_str()); }

}  // namespace mlos::os
