// SPDX-License-Identifier: Apache-2.0
// A root folder that holds only what was named: an empty tmpfs, the named paths bound into it, then the old root let go.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "os/sandbox_parts.h"

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

namespace mlos::os::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kReadOnly = 1;  // MOUNT_ATTR_*, as the kernel's interface has them
constexpr uint64_t kNoSuid = 2;
constexpr uint64_t kNoDevices = 4;
constexpr uint64_t kNoExecute = 8;
constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE
constexpr int kMaxLinks = 40;
constexpr const char* kScratch[] = {"/tmp", "/run", "/mnt", "/var", "/usr"};

struct MountAttributes {
  uint64_t set = 0;
  uint64_t clear = 0;
  uint64_t propagation = 0;
  uint64_t user_namespace = 0;
};

struct Failure {
  int error = 0;
  std::string what;
};

// What is bound where, in path order, so that a folder comes before what lies in it; and the symbolic links that lead there.
struct Layout {
  std::map<fs::path, AllowedPath> binds;
  std::map<fs::path, fs::path> links;
};

// Follows `allowed` from the present root, notes the links on the way and the place where it ends.
void Resolve(const AllowedPath& allowed, Layout* layout) {
  std::deque<fs::path> rest;
  for (const fs::path& part : allowed.path.relative_path()) rest.push_back(part);
  fs::path at = "/";
  for (int links = 0; !rest.empty();) {
    const fs::path part = rest.front();
    rest.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = at / part;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(next, error);
    if (!fs::exists(status)) return;
    if (!fs::is_symlink(status)) {
      at = next;
      continue;
    }
    const fs::path target = fs::read_symlink(next, error);
    if (error || ++links > kMaxLinks) return;
    layout->links[next] = target;
    std::deque<fs::path> parts;
    for (const fs::path& piece : target.relative_path()) parts.push_back(piece);
    rest.insert(rest.begin(), parts.begin(), parts.end());
    if (target.is_absolute()) at = "/";
  }
  if (at == "/") return;  // never the whole machine
  AllowedPath& bind = layout->binds[at];
  bind.path = at;
  bind.write |= allowed.write;
  bind.code |= allowed.code;
  bind.device |= allowed.device;
}

fs::path Under(const char* root, const fs::path& path) { return fs::path(root) / path.relative_path(); }

int MakeFolders(const fs::path& path) {
  fs::path at;
  for (const fs::path& part : path) {
    at /= part;
    if (at != "/" && ::mkdir(at.c_str(), 0755) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

int MakeTarget(const fs::path& target, bool folder) {
  if (const int error = MakeFolders(folder ? target : target.parent_path()); error != 0) return error;
  if (folder) return 0;
  const int fd = ::open(target.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0444);
  // It is there already when its folder is bound read-only.
  if (fd < 0) return errno == EROFS || errno == EACCES || errno == EPERM ? 0 : errno;
  ::close(fd);
  return 0;
}

Failure Bind(const AllowedPath& bind) {
  const fs::path from = Under("/old", bind.path);
  const fs::path to = Under("/new", bind.path);
  std::error_code code;
  if (const int error = MakeTarget(to, fs::is_directory(from, code)); error != 0)
    return {error, "make " + to.string()};
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return {errno, "bind '" + bind.path.string() + "'"};
  }
  MountAttributes attributes;
  attributes.set = kNoSuid;
  if (!bind.write && !bind.device) attributes.set |= kReadOnly;
  if (!bind.device && bind.path.native().rfind("/dev/", 0) != 0) attributes.set |= kNoDevices;
  if (!bind.code) attributes.set |= kNoExecute;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, to.c_str(), kRecursive, &attributes, sizeof attributes) != 0) {
    const int error = errno;
    return {error, error == ENOSYS ? "mount_setattr (Linux 5.12 or newer has it)"
                                   : "mount_setattr on " + to.string()};
  }
  return {};
}

// An empty tmpfs becomes the root; the machine's stands at /old, the view to be built at /new.
Failure OpenStage() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return {errno, "mount --make-rprivate /"};
  const char* stage = nullptr;
  for (const char* place : kScratch) {
    std::error_code error;
    if (stage == nullptr && fs::is_directory(fs::symlink_status(place, error))) stage = place;
  }
  if (stage == nullptr) return {ENOENT, "no folder to mount on"};
  if (::mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=4096") != 0) {
    return {errno, "mount tmpfs"};
  }
  const std::string old_root = std::string(stage) + "/old";
  const std::string new_root = std::string(stage) + "/new";
  if (::mkdir(old_root.c_str(), 0755) != 0 || ::mkdir(new_root.c_str(), 0755) != 0) return {errno, "mkdir"};
  if (::syscall(SYS_pivot_root, stage, old_root.c_str()) != 0) {
    const int error = errno;
    (void)::umount2(stage, MNT_DETACH);
    return {error, "pivot_root"};
  }
  if (::chdir("/") != 0) return {errno, "chdir"};
  return {};
}

// /new becomes the root and everything else goes out of reach.
Failure CloseStage() {
  if (::mount("/new", "/new", nullptr, MS_BIND | MS_REC, nullptr) != 0) return {errno, "bind the new root"};
  if (::chdir("/new") != 0) return {errno, "chdir"};
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return {errno, "pivot_root"};
  if (::umount2(".", MNT_DETACH) != 0) return {errno, "umount of the old root"};
  if (::chdir("/") != 0) return {errno, "chdir"};
  MountAttributes attributes;
  attributes.set = kReadOnly | kNoSuid | kNoDevices | kNoExecute;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes) != 0) {
    return {errno, "read-only root"};
  }
  return {};
}

// Back to the whole machine, so that what is missing is the mechanism and not the files.
void Undo() {
  if (::chdir("/old") == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0) (void)::umount2(".", MNT_DETACH);
  (void)::chdir("/");
}

Failure Build(const Layout& layout) {
  for (const auto& [path, bind] : layout.binds) {
    if (Failure failure = Bind(bind); failure.error != 0) return failure;
  }
  for (const auto& [path, target] : layout.links) {
    const fs::path link = Under("/new", path);
    if (const int error = MakeFolders(link.parent_path()); error != 0 && error != EROFS)
      return {error, "mkdir"};
    // A link inside a bound folder is there already.
    if (::symlink(target.c_str(), link.c_str()) != 0 && errno != EEXIST && errno != EROFS)
      return {errno, "symlink"};
  }
  return {};
}

}  // namespace

Outcome EnterMountNamespace(const std::vector<AllowedPath>& paths) {
  Layout layout;
  for (const AllowedPath& path : paths) Resolve(path, &layout);
  const fs::path before = fs::current_path();
  if (::unshare(CLONE_NEWNS) != 0) {
    const int error = errno;
    Outcome outcome = MissingErrno(error, "unshare(CLONE_NEWNS)");
    if (error == EPERM) outcome.detail += " (needs a user namespace or CAP_SYS_ADMIN)";
    return outcome;
  }
  if (const Failure failure = OpenStage(); failure.error != 0) {
    (void)::chdir(before.c_str());
    Outcome outcome = MissingErrno(failure.error, failure.what);
    if (failure.error == EACCES || failure.error == EPERM) {
      outcome.detail +=
          " (a security module may restrict user namespaces: sysctl "
          "kernel.apparmor_restrict_unprivileged_userns)";
    }
    return outcome;
  }
  Failure failure = Build(layout);
  if (failure.error == 0) failure = CloseStage();
  if (failure.error != 0) {
    Undo();
    (void)::chdir(before.c_str());
    return MissingErrno(failure.error, failure.what);
  }
  return InForce(std::to_string(layout.binds.size()) + " paths visible");
}

}  // namespace mlos::os::sandbox
