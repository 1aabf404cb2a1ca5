// SPDX-License-Identifier: Apache-2.0
// Landlock: the kernel's own rules about paths, TCP, signals and abstract sockets, which any user may put on itself.
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "os/sandbox_parts.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

namespace mlos::os::sandbox {
namespace {

// From the kernel's interface (include/uapi/linux/landlock.h); written here because the headers of the build machine may be
// older than the kernel it runs on.
constexpr uint64_t kExecute = 1ULL << 0;
constexpr uint64_t kWriteFile = 1ULL << 1;
constexpr uint64_t kReadFile = 1ULL << 2;
constexpr uint64_t kReadDir = 1ULL << 3;
constexpr uint64_t kTruncate = 1ULL << 14;
constexpr uint64_t kIoctlDevice = 1ULL << 15;
constexpr uint64_t kMakeDevices = (1ULL << 6) | (1ULL << 11);
constexpr uint64_t kFirstAbi = (1ULL << 13) - 1;  // all rights of the first version
constexpr uint64_t kRefer = 1ULL << 13;
constexpr uint64_t kFileRights = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;
constexpr uint64_t kBindAndConnectTcp = 3;
constexpr uint64_t kScopeAbstractSocketsAndSignals = 3;

struct Ruleset {
  uint64_t files;
  uint64_t network;  // since version 4
  uint64_t scoped;   // since version 6
};
struct [[gnu::packed]] PathRule {
  uint64_t allowed;
  int32_t parent_fd;
};
constexpr int kRulePathBeneath = 1;
constexpr int kGetVersion = 1;

uint64_t FileRights(long abi) {
  uint64_t rights = kFirstAbi;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDevice;
  return rights;
}

uint64_t RightsOf(const AllowedPath& path, bool is_folder) {
  uint64_t rights = kReadFile | kReadDir;
  if (path.write) rights |= ~uint64_t{0} & ~kExecute & ~kIoctlDevice & ~kMakeDevices;
  if (path.device) rights |= kWriteFile | kIoctlDevice;
  return is_folder ? rights : rights & kFileRights;
}

// Returns errno, 0 when done or when the path is not there.
int AddRule(int ruleset, const AllowedPath& path, uint64_t handled) {
  const int fd = ::open(path.path.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  struct stat info{};
  int error = 0;
  if (::fstat(fd, &info) != 0) {
    error = errno;
  } else {
    const PathRule rule{RightsOf(path, S_ISDIR(info.st_mode)) & handled, fd};
    if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0) error = errno;
  }
  ::close(fd);
  return error;
}

std::string Describe(long abi) {
  std::string text = "version " + std::to_string(abi) + ": paths";
  if (abi >= 4) text += ", TCP";
  if (abi >= 5) text += ", device controls";
  if (abi >= 6) text += ", signals, abstract sockets";
  return text;
}

}  // namespace

Outcome RestrictWithLandlock(const std::vector<AllowedPath>& paths) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kGetVersion);
  if (abi < 0 && errno == EOPNOTSUPP) {
    return Missing("in the kernel but disabled; add landlock to lsm= on the kernel's command line");
  }
  if (abi < 0)
    return Missing("not in this kernel (Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK has it)");
  const Ruleset rules{FileRights(abi), abi >= 4 ? kBindAndConnectTcp : 0,
                      abi >= 6 ? kScopeAbstractSocketsAndSignals : 0};
  const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, size, 0));
  if (ruleset < 0) return MissingErrno(errno, "landlock_create_ruleset");
  for (const AllowedPath& path : paths) {
    if (const int error = AddRule(ruleset, path, rules.files); error != 0) {
      ::close(ruleset);
      return MissingErrno(error, "landlock rule for '" + path.path.string() + "'");
    }
  }
  const long done = ::syscall(SYS_landlock_restrict_self, ruleset, 0);
  const int error = errno;
  ::close(ruleset);
  if (done != 0) return MissingErrno(error, "landlock_restrict_self");
  return InForce(Describe(abi));
}

}  // namespace mlos::os::sandbox
