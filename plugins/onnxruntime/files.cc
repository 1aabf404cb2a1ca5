// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>
#include <vector>

#include "digest.h"
#include "smi/plugin_util.h"

namespace mlos_ort {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr int64_t kPollNs = 10'000'000;

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : fd_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

ssize_t ReadSome(int fd, void* to, size_t size) {
  ssize_t got = 0;
  do {
    got = read(fd, to, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

std::optional<Stamp> StampOf(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return Stamp{static_cast<uint64_t>(info.st_size), Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim),
               static_cast<uint64_t>(info.st_ino)};
}

std::optional<std::string> ReadSmallFile(const std::string& path, uint64_t limit) {
  const File file(path, O_RDONLY | O_NONBLOCK);
  struct stat info{};
  if (!file.ok() || fstat(file.fd(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<uint64_t>(info.st_size) > limit) {
    return std::nullopt;
  }
  std::string out(static_cast<size_t>(info.st_size), '\0');
  size_t size = 0;
  while (size < out.size()) {
    const ssize_t got = ReadSome(file.fd(), out.data() + size, out.size() - size);
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  out.resize(size);
  return out;
}

std::optional<uint64_t> DigestOf(const std::string& path) {
  const File file(path, O_RDONLY);
  if (!file.ok()) return std::nullopt;
  std::vector<std::byte> chunk(kChunk);
  Digest digest;
  for (;;) {
    const ssize_t got = ReadSome(file.fd(), chunk.data(), chunk.size());
    if (got < 0) return std::nullopt;
    if (got == 0) return digest.value();
    digest.Add({chunk.data(), static_cast<size_t>(got)});
  }
}

bool WriteDurably(const std::string& path, std::string_view bytes) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (!file.ok()) return false;
  while (!bytes.empty()) {
    const ssize_t put = write(file.fd(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return fsync(file.fd()) == 0;
}

bool SyncFolder(const std::string& path) {
  const File folder(path, O_RDONLY | O_DIRECTORY);
  return folder.ok() && fsync(folder.fd()) == 0;
}

bool Seal(const std::string& path) {
  const File file(path, O_RDONLY);
  if (!file.ok()) return false;
  // In a sandbox modes cannot be changed; there the host does it.
  if (fchmod(file.fd(), 0444) != 0 && errno != EPERM) return false;
  return fsync(file.fd()) == 0;
}

uint64_t FreeBytes(const std::string& path) {
  struct statvfs info{};
  if (statvfs(path.c_str(), &info) != 0) return 0;
  uint64_t bytes = 0;
  return __builtin_mul_overflow(uint64_t{info.f_bavail}, uint64_t{info.f_frsize}, &bytes) ? UINT64_MAX
                                                                                          : bytes;
}

void Touch(const std::string& path) { utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

std::optional<FileLock> FileLock::Take(const std::string& path, int64_t timeout_ms) {
  File file(path, O_RDWR | O_CREAT, 0644);
  if (!file.ok()) return std::nullopt;
  const int64_t until_ns = smi_now_ns() + timeout_ms * 1'000'000;
  while (flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || smi_now_ns() >= until_ns) return std::nullopt;
    const timespec pause = {0, kPollNs};
    nanosleep(&pause, nullptr);
  }
  return FileLock(file.Release());
}

FileLock::~FileLock() {
  if (file_ >= 0) close(file_);
}

}  // namespace mlos_ort
