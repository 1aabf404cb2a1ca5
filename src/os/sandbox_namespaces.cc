// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>

#include "os/sandbox_parts.h"

namespace mlos::os::sandbox {
namespace {

// 0 or errno.
int WriteText(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
  ::close(fd);
  return error;
}

int ReadNumber(const char* path, int fallback) {
  std::ifstream file(path);
  int value = fallback;
  file >> value;
  return file ? value : fallback;
}

// What an administrator can change when the kernel says no.
std::string WhyNoUserNamespace() {
  if (ReadNumber("/proc/sys/user/max_user_namespaces", 1) == 0)
    return " (sysctl user.max_user_namespaces is 0)";
  if (ReadNumber("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0) {
    return " (sysctl kernel.unprivileged_userns_clone is 0)";
  }
  return " (a container's seccomp profile or a security module may forbid it)";
}

std::string WhyNoRights() {
  if (ReadNumber("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 1) {
    return " (AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns, or a "
           "profile for "
           "mlos-worker)";
  }
  return " (needs a user namespace or CAP_SYS_ADMIN)";
}

Outcome Enter(int flag, const char* what, std::string detail) {
  if (::unshare(flag) == 0) return InForce(std::move(detail));
  const int error = errno;
  Outcome outcome = MissingErrno(error, std::string("unshare(") + what + ")");
  if (error == EPERM) outcome.detail += WhyNoRights();
  return outcome;
}

}  // namespace

Outcome EnterUserNamespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) {
    const int error = errno;
    Outcome outcome = MissingErrno(error, "unshare(CLONE_NEWUSER)");
    outcome.detail += WhyNoUserNamespace();
    return outcome;
  }
  // Only one's own ids exist inside; without this they would read as "nobody", which changes nothing but messages.
  int error = WriteText("/proc/self/setgroups", "deny");
  if (error == ENOENT) error = 0;
  if (error == 0)
    error = WriteText("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1");
  if (error == 0)
    error = WriteText("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1");
  return InForce("user " + std::to_string(uid) + " only" + (error == 0 ? "" : ", shown as nobody"));
}

Outcome EnterNetworkNamespace() { return Enter(CLONE_NEWNET, "CLONE_NEWNET", "no network device"); }

Outcome EnterIpcNamespace() {
  return Enter(CLONE_NEWIPC, "CLONE_NEWIPC", "own message queues and semaphores");
}

}  // namespace mlos::os::sandbox
