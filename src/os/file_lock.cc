// SPDX-License-Identifier: Apache-2.0
#include "os/file_lock.h"

#include <errno.h>
#include <sys/file.h>

#include "os/errors.h"

namespace mlos::os {

Result<FileLock> FileLock::Acquire(const std::filesystem::path& path, Kind kind, bool wait) {
  MLOS_ASSIGN_OR_RETURN(File file, File::Open(path, File::Mode::kOpenOrCreate));
  const int operation = (kind == Kind::kShared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);
  if (::flock(file.fd(), operation) != 0) return ErrnoStatus(errno, "lock", path);
  return FileLock(std::move(file));
}

}  // namespace mlos::os
