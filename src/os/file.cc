// SPDX-License-Identifier: Apache-2.0
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "os/directory.h"
#include "os/errors.h"
#include "os/fault.h"

namespace mlos::os {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

FileInfo InfoOf(const struct stat& st) {
  FileInfo info;
  info.size_bytes = static_cast<uint64_t>(st.st_size);
  info.device = st.st_dev;
  info.inode = st.st_ino;
  info.link_count = st.st_nlink;
  info.modified_unix_ns = int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  info.changed_unix_ns = int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec;
  info.mode = st.st_mode & 07777;
  info.is_regular = S_ISREG(st.st_mode);
  info.is_directory = S_ISDIR(st.st_mode);
  return info;
}

Status WriteError(int error, const std::filesystem::path& path, uint64_t needed_bytes) {
  return IsNoSpace(error) ? NoSpace(error, path, needed_bytes) : ErrnoStatus(error, "write", path);
}

// `path` could not be finished and is gone: a full disk is told with the size of the whole, and with what is
// free now that the part is gone.
Status AfterRemoval(Status status, const std::filesystem::path& path, uint64_t size_bytes) {
  if (status.code() != Code::kResourceExhausted) return status;
  const Result<uint64_t> free_bytes = FreeBytes(path.parent_path());
  return free_bytes.ok() && *free_bytes < size_bytes ? NoSpace(ENOSPC, path, size_bytes) : status;
}

// One step of a copy inside the kernel; answers what copy_file_range answers.
ssize_t CopySome(int from, int to, const char* to_path) {
  if (const int fault = InjectedFault("write", to_path)) {
    errno = fault;
    return -1;
  }
  return ::copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
}

Status CopyThroughBuffer(const File& from, const File& to, uint64_t offset) {
  std::vector<std::byte> buffer(kChunkBytes);
  for (;;) {
    MLOS_ASSIGN_OR_RETURN(const size_t got, from.ReadAt(offset, buffer));
    if (got == 0) return OkStatus();
    MLOS_RETURN_IF_ERROR(to.WriteAt(offset, std::span(buffer).first(got)));
    offset += got;
  }
}

Status CopyBytes(const File& from, const File& to, uint64_t size_bytes) {
  if (::ioctl(to.fd(), FICLONE, from.fd()) == 0) return OkStatus();
  uint64_t copied = 0;
  for (;;) {
    const ssize_t n = CopySome(from.fd(), to.fd(), to.path().c_str());
    if (n == 0) break;
    if (n > 0) {
      copied += static_cast<uint64_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (IsNoSpace(errno)) return NoSpace(errno, to.path(), size_bytes);
    // Not between these two file systems (EXDEV, EINVAL, ENOSYS, EOPNOTSUPP): the buffer finds out whether it
    // is worse.
    return CopyThroughBuffer(from, to, copied);
  }
  // Some pseudo file systems answer 0 at once although there is something to read.
  return copied == 0 ? CopyThroughBuffer(from, to, 0) : OkStatus();
}

}  // namespace

Result<FileInfo> Stat(const std::filesystem::path& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, "look at", path);
  return InfoOf(st);
}

Result<FileInfo> StatNoFollow(const std::filesystem::path& path) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return ErrnoStatus(errno, "look at", path);
  return InfoOf(st);
}

bool Exists(const std::filesystem::path& path) {
  struct stat st;
  return ::lstat(path.c_str(), &st) == 0;
}

Result<File> File::Open(const std::filesystem::path& path, Mode mode) {
  int flags = O_CLOEXEC | O_NOCTTY | (mode == Mode::kRead ? O_RDONLY : O_RDWR | O_CREAT);
  if (mode == Mode::kCreate) flags |= O_TRUNC;
  if (mode != Mode::kRead) {
    if (const int fault = InjectedFault("open", path.c_str())) return WriteError(fault, path, 0);
  }
  int fd;
  do {
    fd = ::open(path.c_str(), flags, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return IsNoSpace(errno) ? NoSpace(errno, path, 0) : ErrnoStatus(errno, "open", path);
  return File(fd, path);
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Result<size_t> File::ReadAt(uint64_t offset, std::span<std::byte> buffer) const {
  if (offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return size_t{0};
  for (;;) {
    const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return ErrnoStatus(errno, "read", path_);
  }
}

Status File::WriteAt(uint64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    const int fault = InjectedFault("write", path_.c_str());
    if (fault != 0) return WriteError(fault, path_, data.size());
    const ssize_t n = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return WriteError(errno, path_, data.size());
    }
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return OkStatus();
}

Result<uint64_t> File::Size() const {
  struct stat st;
  if (::fstat(fd_, &st) != 0) return ErrnoStatus(errno, "look at", path_);
  return static_cast<uint64_t>(st.st_size);
}

Status File::Truncate(uint64_t size_bytes) const {
  if (const int fault = InjectedFault("truncate", path_.c_str())) return WriteError(fault, path_, size_bytes);
  if (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) return WriteError(errno, path_, size_bytes);
  return OkStatus();
}

Status File::Sync() const {
  if (const int fault = InjectedFault("sync", path_.c_str())) return WriteError(fault, path_, 0);
  // Delayed allocation may find the disk full only now.
  if (::fsync(fd_) != 0)
    return IsNoSpace(errno) ? NoSpace(errno, path_, 0) : ErrnoStatus(errno, "sync", path_);
  return OkStatus();
}

Status File::Close() {
  if (fd_ < 0) return OkStatus();
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) return WriteError(errno, path_, 0);
  return OkStatus();
}

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  MLOS_ASSIGN_OR_RETURN(const FileInfo info, Stat(path));
  if (!info.is_regular) return InvalidArgument("'" + path.string() + "' is not a regular file");
  if (info.size_bytes > max_bytes) {
    return TooLarge("'" + path.string() + "' has " + FormatBytes(info.size_bytes) + ", the limit is " +
                    FormatBytes(max_bytes));
  }
  MLOS_ASSIGN_OR_RETURN(const File file, File::Open(path, File::Mode::kRead));
  std::string out(info.size_bytes, '\0');
  size_t filled = 0;
  while (filled < out.size()) {
    auto rest = std::as_writable_bytes(std::span(out)).subspan(filled);
    MLOS_ASSIGN_OR_RETURN(const size_t got, file.ReadAt(filled, rest));
    if (got == 0) break;  // it shrank meanwhile
    filled += got;
  }
  out.resize(filled);
  return out;
}

Status ReadChunks(const std::filesystem::path& path,
                  const std::function<Status(std::span<const std::byte>)>& chunk) {
  MLOS_ASSIGN_OR_RETURN(const FileInfo info, Stat(path));
  if (!info.is_regular) return InvalidArgument("'" + path.string() + "' is not a regular file");
  MLOS_ASSIGN_OR_RETURN(const File file, File::Open(path, File::Mode::kRead));
  (void)::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<std::byte> buffer(std::clamp<uint64_t>(info.size_bytes, 1, kChunkBytes));
  for (uint64_t offset = 0;;) {
    MLOS_ASSIGN_OR_RETURN(const size_t got, file.ReadAt(offset, buffer));
    if (got == 0) return OkStatus();
    MLOS_RETURN_IF_ERROR(chunk(std::span(buffer).first(got)));
    offset += got;
  }
}

Status WriteFile(const std::filesystem::path& path, std::string_view contents, uint32_t mode) {
  const auto write = [&]() -> Status {
    MLOS_ASSIGN_OR_RETURN(File file, File::Open(path, File::Mode::kCreate));
    MLOS_RETURN_IF_ERROR(file.WriteAt(0, contents));
    if (::fchmod(file.fd(), mode) != 0) return ErrnoStatus(errno, "change the mode of", path);
    MLOS_RETURN_IF_ERROR(file.Sync());
    return file.Close();
  };
  Status status = write();
  if (status.ok()) return status;
  (void)RemoveFile(path);
  return AfterRemoval(std::move(status), path, contents.size());
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view contents, uint32_t mode) {
  std::filesystem::path temporary = path;
  temporary += "." + std::to_string(::getpid()) + ".tmp";
  MLOS_RETURN_IF_ERROR(WriteFile(temporary, contents, mode));
  if (Status status = Rename(temporary, path); !status.ok()) {
    (void)RemoveFile(temporary);
    return status;
  }
  return SyncDirectory(path.parent_path());
}

Status CopyFile(const std::filesystem::path& from, const std::filesystem::path& to) {
  MLOS_ASSIGN_OR_RETURN(const FileInfo info, Stat(from));
  if (!info.is_regular) return InvalidArgument("'" + from.string() + "' is not a regular file");
  MLOS_ASSIGN_OR_RETURN(const File source, File::Open(from, File::Mode::kRead));
  if (Exists(to)) return ErrnoStatus(EEXIST, "copy to", to);
  const auto copy = [&]() -> Status {
    MLOS_ASSIGN_OR_RETURN(File target, File::Open(to, File::Mode::kCreate));
    MLOS_RETURN_IF_ERROR(CopyBytes(source, target, info.size_bytes));
    return target.Close();
  };
  Status status = copy();
  if (status.ok()) return status;
  (void)RemoveFile(to);
  return AfterRemoval(std::move(status), to, info.size_bytes);
}

Status SyncFile(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const File file, File::Open(path, File::Mode::kRead));
  return file.Sync();
}

Status SetMode(const std::filesystem::path& path, uint32_t mode) {
  if (const int fault = InjectedFault("chmod", path.c_str()))
    return ErrnoStatus(fault, "change the mode of", path);
  if (::chmod(path.c_str(), mode) != 0) return ErrnoStatus(errno, "change the mode of", path);
  return OkStatus();
}

Status Touch(const std::filesystem::path& path) {
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0) return ErrnoStatus(errno, "mark as used", path);
  return OkStatus();
}

Result<bool> HasWriters(const std::filesystem::path& path) {
  MLOS_ASSIGN_OR_RETURN(const File file, File::Open(path, File::Mode::kRead));
  // A lease for reading is given to nobody while there is a writer. Closing the file gives it back.
  return ::fcntl(file.fd(), F_SETLEASE, F_RDLCK) != 0 && errno == EAGAIN;
}

Status HardLink(const std::filesystem::path& from, const std::filesystem::path& to) {
  int error = InjectedFault("link", to.c_str());
  if (error == 0 && ::link(from.c_str(), to.c_str()) != 0) error = errno;
  if (error == 0) return OkStatus();
  if (IsNoSpace(error)) return NoSpace(error, to, 0);
  const std::string operation = "link '" + from.string() + "' to";
  // How Linux says that a file system has no hard links.
  if (error == EPERM) return Unimplemented(ErrnoStatus(error, operation, to).message());
  return ErrnoStatus(error, operation, to);
}

Status RemoveFile(const std::filesystem::path& path) {
  if (const int fault = InjectedFault("unlink", path.c_str())) return ErrnoStatus(fault, "remove", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "remove", path);
  return OkStatus();
}

}  // namespace mlos::os
