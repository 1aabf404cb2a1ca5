// SPDX-License-Identifier: Apache-2.0
#include "os/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "os/errors.h"
#include "os/fault.h"
#include "os/file.h"

namespace mlos::os {
namespace {

std::filesystem::path ParentOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

bool IsDirectory(const std::filesystem::path& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

std::filesystem::path SystemTemporary() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::temp_directory_path(error);
  return error ? std::filesystem::path("/tmp") : path;
}

Status RenameError(int error, const std::filesystem::path& from, const std::filesystem::path& to) {
  if (IsNoSpace(error)) return NoSpace(error, to, 0);
  return ErrnoStatus(error, "rename '" + from.string() + "' to", to);
}

Status RemoveTreeInside(const std::filesystem::path& path) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0)
    return errno == ENOENT ? OkStatus() : ErrnoStatus(errno, "look at", path);
  if (!S_ISDIR(st.st_mode)) return RemoveFile(path);
  MLOS_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path));
  for (const std::string& name : names) MLOS_RETURN_IF_ERROR(RemoveTreeInside(path / name));
  int error = InjectedFault("unlink", path.c_str());
  if (error == 0 && ::rmdir(path.c_str()) != 0) error = errno;
  return error == 0 || error == ENOENT ? OkStatus() : ErrnoStatus(error, "remove", path);
}

Status MakeDirectoriesOnce(const std::filesystem::path& path) {
  if (path.empty() || IsDirectory(path)) return OkStatus();
  const std::filesystem::path parent = ParentOf(path);
  if (parent != path) MLOS_RETURN_IF_ERROR(MakeDirectoriesOnce(parent));
  int error = InjectedFault("mkdir", path.c_str());
  if (error == 0 && ::mkdir(path.c_str(), 0777) != 0) error = errno;
  if (error == EEXIST && IsDirectory(path)) return OkStatus();
  if (IsNoSpace(error)) return NoSpace(error, path, 0);
  if (error != 0) return ErrnoStatus(error, "make folder", path);
  return SyncDirectory(parent);
}

}  // namespace

Status MakeDirectories(const std::filesystem::path& path) {
  // Whoever removes empty folders may take the parent between two steps: then the steps are taken again.
  constexpr int kTries = 100;
  Status made = MakeDirectoriesOnce(path);
  for (int i = 1; i < kTries && made.code() == Code::kNotFound; ++i) made = MakeDirectoriesOnce(path);
  return made;
}

Status SyncDirectory(const std::filesystem::path& path) {
  const std::filesystem::path dir = path.empty() ? std::filesystem::path(".") : path;
  if (const int fault = InjectedFault("sync", dir.c_str())) return ErrnoStatus(fault, "sync folder", dir);
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open folder", dir);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // EINVAL: a file system that keeps no folders to sync.
  if (error == 0 || error == EINVAL) return OkStatus();
  return IsNoSpace(error) ? NoSpace(error, dir, 0) : ErrnoStatus(error, "sync folder", dir);
}

Result<std::vector<std::string>> ListDirectory(const std::filesystem::path& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), &::closedir);
  if (dir == nullptr) return ErrnoStatus(errno, "list folder", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) return ErrnoStatus(errno, "list folder", path);
  std::sort(names.begin(), names.end());
  return names;
}

Status Rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  int error = InjectedFault("rename", to.c_str());
  if (error == 0 && ::rename(from.c_str(), to.c_str()) != 0) error = errno;
  return error == 0 ? OkStatus() : RenameError(error, from, to);
}

Status Exchange(const std::filesystem::path& a, const std::filesystem::path& b) {
  int error = InjectedFault("exchange", b.c_str());
  if (error == 0 && ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) != 0)
    error = errno;
  if (error == 0) return OkStatus();
  if (error == EINVAL || error == ENOSYS || error == ENOTSUP) {
    return Unimplemented("exchange '" + a.string() + "' and '" + b.string() + "': not on this file system");
  }
  return RenameError(error, a, b);
}

Status RemoveTree(const std::filesystem::path& path) { return RemoveTreeInside(path); }

Status RemoveDirectoryIfEmpty(const std::filesystem::path& path) {
  int error = InjectedFault("unlink", path.c_str());
  if (error == 0 && ::rmdir(path.c_str()) != 0) error = errno;
  if (error == 0 || error == ENOENT || error == ENOTEMPTY || error == EEXIST) return OkStatus();
  return ErrnoStatus(error, "remove folder", path);
}

Result<uint64_t> FreeBytes(const std::filesystem::path& path) {
  std::filesystem::path existing = path.empty() ? std::filesystem::path(".") : path;
  struct statvfs vfs;
  while (::statvfs(existing.c_str(), &vfs) != 0) {
    if (errno == EINTR) continue;
    const std::filesystem::path parent = ParentOf(existing);
    if (errno != ENOENT || parent == existing || existing == ".")
      return ErrnoStatus(errno, "look at the file system of", path);
    existing = parent;
  }
  return static_cast<uint64_t>(vfs.f_bavail) * vfs.f_frsize;
}

TemporaryDirectory::TemporaryDirectory() : TemporaryDirectory(SystemTemporary()) {}

TemporaryDirectory::TemporaryDirectory(const std::filesystem::path& parent) {
  std::string pattern = (parent / "mlos-XXXXXX").string();
  if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  if (!path_.empty()) (void)RemoveTree(path_);
}

}  // namespace mlos::os
