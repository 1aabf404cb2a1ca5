// SPDX-License-Identifier: Apache-2.0
#include "os/child_groups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string_view>

#include "os/errors.h"
#include "os/memory_info.h"

namespace mlos::os {
namespace {

namespace fs = std::filesystem;

constexpr char kOwnLeaf[] = "mlos-core";

// Control files take one write; some of their errors come only then.
Status Write(const fs::path& file, const std::string& text) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "open", file);
  const ssize_t n = ::write(fd, text.data(), text.size());
  const int error = errno;
  ::close(fd);
  return n == static_cast<ssize_t>(text.size()) ? OkStatus()
                                                : ErrnoStatus(error, "write '" + text + "' to", file);
}

std::string Read(const fs::path& file) {
  std::string text(4096, '\0');
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const ssize_t n = ::read(fd, text.data(), text.size());
  ::close(fd);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

bool Has(const std::string& words, std::string_view word) {
  std::istringstream in(words);
  for (std::string each; in >> each;) {
    if (each == word) return true;
  }
  return false;
}

Status MakeGroup(const fs::path& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return OkStatus();
  return ErrnoStatus(errno, "make control group", path);
}

// The group of this process in version 2's tree.
Result<fs::path> OwnGroup(const fs::path& root) {
  std::istringstream lines(Read(root / "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/")) continue;
    fs::path group = root / "sys/fs/cgroup" / line.substr(4);
    if (group.filename().empty()) group = group.parent_path();
    if (::access((group / "cgroup.controllers").c_str(), R_OK) == 0) return group;
  }
  return Unimplemented("no control groups of version 2 are mounted at /sys/fs/cgroup");
}

}  // namespace

Result<std::unique_ptr<ChildGroups>> ChildGroups::Open(const fs::path& root) {
  MLOS_ASSIGN_OR_RETURN(const fs::path group, OwnGroup(root));
  const std::string controllers = Read(group / "cgroup.controllers");
  if (!Has(controllers, "memory")) {
    return Unimplemented("control group '" + group.string() +
                         "' has no memory controller; under systemd set Delegate=memory pids");
  }
  const std::string pid = std::to_string(::getpid());
  Status moved = MakeGroup(group / kOwnLeaf);
  if (moved.ok()) moved = Write(group / kOwnLeaf / "cgroup.procs", pid);
  if (!moved.ok()) {
    (void)::rmdir((group / kOwnLeaf).c_str());
    return PermissionDenied(
        "control group '" + group.string() +
        "' is not delegated to this user, under systemd set Delegate=memory pids: " + moved.message());
  }
  const Status enabled = Write(group / "cgroup.subtree_control", "+memory");
  if (!enabled.ok()) {
    (void)Write(group / "cgroup.procs", pid);
    (void)::rmdir((group / kOwnLeaf).c_str());
    return FailedPrecondition(
        "control group '" + group.string() +
        "' cannot have children with limits, perhaps because other processes are in it: " +
        enabled.message());
  }
  const bool counts_tasks = Has(controllers, "pids") && Write(group / "cgroup.subtree_control", "+pids").ok();
  return std::unique_ptr<ChildGroups>(new ChildGroups(group, counts_tasks));
}

Result<std::unique_ptr<ChildGroup>> ChildGroups::Make(const ChildGroupLimits& limits) {
  auto group = std::make_unique<ChildGroup>(
      path_ / ("worker-" + std::to_string(::getpid()) + "-" + std::to_string(++last_number_)));
  MLOS_RETURN_IF_ERROR(MakeGroup(group->path()));
  MLOS_RETURN_IF_ERROR(Write(group->path() / "memory.max", std::to_string(limits.memory_bytes)));
  // All of a worker or nothing: one that has lost a thread would hang.
  (void)Write(group->path() / "memory.oom.group", "1");
  if (limits.tasks != 0 && counts_tasks_)
    (void)Write(group->path() / "pids.max", std::to_string(limits.tasks));
  return group;
}

Status ChildGroup::Add(int64_t pid) const { return Write(path_ / "cgroup.procs", std::to_string(pid)); }

uint64_t ChildGroup::out_of_memory_kills() const {
  const Result<CgroupEvents> events = ReadCgroupEvents(path_);
  return events.ok() ? events->oom_kill : 0;
}

ChildGroup::~ChildGroup() { (void)::rmdir(path_.c_str()); }

}  // namespace mlos::os
