// SPDX-License-Identifier: Apache-2.0
// Root without the powers of root, and no way to get any back.
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/sandbox_parts.h"

namespace mlos::os::sandbox {
namespace {

constexpr int kBeyondLastCapability = 64;

bool GetCapabilities(__user_cap_data_struct (&data)[2]) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return ::syscall(SYS_capget, &header, data) == 0;
}

bool HoldsAny(const __user_cap_data_struct (&data)[2]) {
  return (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective |
          data[1].permitted | data[1].inheritable) != 0;
}

}  // namespace

Outcome DropCapabilities() {
  __user_cap_data_struct data[2] = {};
  if (!GetCapabilities(data)) return MissingErrno(errno, "capget");
  const bool held = HoldsAny(data);
  // Best effort: these need CAP_SETPCAP, which an ordinary user lacks and does not need.
  for (int capability = 0; capability < kBeyondLastCapability; ++capability) {
    (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  (void)::prctl(PR_SET_SECUREBITS,
                SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
                0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return MissingErrno(errno, "capset");
  if (!GetCapabilities(data) || HoldsAny(data))
    return Missing("the kernel still reports capabilities after dropping them");
  return InForce(held ? "all dropped" : "none held");
}

Outcome SetNoNewPrivileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return MissingErrno(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  return InForce("set");
}

}  // namespace mlos::os::sandbox
