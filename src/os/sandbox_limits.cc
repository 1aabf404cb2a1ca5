// SPDX-License-Identifier: Apache-2.0
// What a process may use: open files, memory, threads, CPU time; and its place in the out-of-memory killer's order.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "os/errors.h"
#include "os/sandbox_parts.h"

namespace mlos::os::sandbox {
namespace {

// The open files of this process; empty when /proc cannot be read.
std::vector<int> OpenDescriptors() {
  std::vector<int> fds;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return fds;
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != ::dirfd(folder)) fds.push_back(fd);
  }
  ::closedir(folder);
  return fds;
}

// Empty when set.
std::string SetLimit(int resource, uint64_t value, const char* name) {
  rlimit current{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &current) != 0) return name;
  const rlim_t wanted = std::min<rlim_t>(value, current.rlim_max);
  const rlimit limit{wanted, wanted};
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 ? "" : name;
}

void Add(std::string* list, const std::string& item) {
  if (!item.empty()) list->append(list->empty() ? "" : ", ").append(item);
}

}  // namespace

Outcome CloseDescriptors(const SandboxSpec& spec) {
  int closed = 0;
  int kept = 0;
  const std::vector<int> fds = OpenDescriptors();
  if (fds.empty()) return Missing("cannot list /proc/self/fd; is /proc mounted?");
  for (const int fd : fds) {
    const bool keep =
        fd <= 2 || std::find(spec.keep_fds.begin(), spec.keep_fds.end(), fd) != spec.keep_fds.end();
    if (keep) {
      ++kept;
    } else if (::close(fd) == 0) {
      ++closed;
    }
  }
  return InForce(std::to_string(kept) + " kept, " + std::to_string(closed) + " closed");
}

Outcome RaiseOomScore(int oom_score_adj) {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return MissingErrno(errno, "open /proc/self/oom_score_adj");
  const std::string text = std::to_string(std::clamp(oom_score_adj, 0, 1000));
  const ssize_t n = ::write(fd, text.data(), text.size());
  const int error = errno;
  ::close(fd);
  if (n != static_cast<ssize_t>(text.size())) return MissingErrno(error, "write /proc/self/oom_score_adj");
  return InForce("oom_score_adj " + text);
}

Outcome ApplyLimits(const SandboxLimits& limits, bool in_user_namespace) {
  std::string failed;
  std::string set = "no core dumps";
  // 1 and not 0: with a core_pattern that is a pipe, 0 would still stream the whole process into it.
  Add(&failed, SetLimit(RLIMIT_CORE, 1, "core"));
  Add(&failed, SetLimit(RLIMIT_MSGQUEUE, 0, "message queues"));
  Add(&failed, SetLimit(RLIMIT_RTPRIO, 0, "real-time priority"));
  if (limits.open_files != 0) {
    Add(&failed, SetLimit(RLIMIT_NOFILE, limits.open_files, "open files"));
    Add(&set, std::to_string(limits.open_files) + " open files");
  }
  if (limits.private_bytes != 0) {
    // Private writable memory of every kind since Linux 4.7; read-only and shared mappings, the weights, stay out of it.
    Add(&failed, SetLimit(RLIMIT_DATA, limits.private_bytes, "private memory"));
    Add(&set, FormatBytes(limits.private_bytes) + " private memory");
  }
  if (limits.file_bytes != 0) {
    Add(&failed, SetLimit(RLIMIT_FSIZE, limits.file_bytes, "file size"));
    Add(&set, FormatBytes(limits.file_bytes) + " a file");
  }
  if (limits.cpu_seconds != 0) {
    Add(&failed, SetLimit(RLIMIT_CPU, limits.cpu_seconds, "CPU time"));
    Add(&set, std::to_string(limits.cpu_seconds) + " s of CPU time");
  }
  if (limits.threads != 0) {
    // Outside a user namespace the kernel would count every process of this user; it never counts root's.
    if (!in_user_namespace) {
      Add(&set, "threads not limited (no user namespace)");
    } else if (::getuid() == 0) {
      Add(&set, "threads not limited (the kernel exempts root)");
    } else {
      Add(&failed, SetLimit(RLIMIT_NPROC, limits.threads, "threads"));
      Add(&set, std::to_string(limits.threads) + " threads");
    }
  }
  if (!failed.empty()) return Missing("cannot limit " + failed);
  return InForce(set);
}

}  // namespace mlos::os::sandbox
