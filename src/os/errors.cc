// SPDX-License-Identifier: Apache-2.0
#include "os/errors.h"

#include <errno.h>

#include <array>
#include <cstdio>
#include <system_error>

#include "os/directory.h"

namespace mlos::os {
namespace {

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kAlreadyExists;
    case EAGAIN:
      return Code::kUnavailable;
    case EINTR:
      return Code::kCancelled;
    case EIO:
      return Code::kDataLoss;
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
      return Code::kInvalidArgument;
    case ENOTSUP:
    case ENOSYS:
    case EXDEV:
    case EMLINK:
      return Code::kUnimplemented;
    default:
      return Code::kInternal;
  }
}

}  // namespace

bool IsNoSpace(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

Status ErrnoStatus(int error, std::string_view operation, const std::filesystem::path& path) {
  std::string reason =
      error == EROFS ? "the file system is read-only" : std::generic_category().message(error);
  return Status(CodeOf(error), std::string(operation) + " '" + path.string() + "': " + reason);
}

Status NoSpace(int error, const std::filesystem::path& path, uint64_t needed_bytes) {
  std::string message = "no room to write '" + path.string() + "': " + FormatBytes(needed_bytes) + " needed";
  if (error == EFBIG) return ResourceExhausted(message + ", above this process's file size limit");
  const Result<uint64_t> free_bytes = FreeBytes(path.parent_path());
  if (free_bytes.ok()) message += ", " + FormatBytes(*free_bytes) + " free on that file system";
  if (error == EDQUOT) message += " (disk quota exceeded)";
  return ResourceExhausted(message + "; free some space and run again, what is there already is kept");
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace mlos::os
