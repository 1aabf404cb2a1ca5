// SPDX-License-Identifier: Apache-2.0
// Advisory locks between processes (and between threads: each FileLock counts on its own). The kernel drops
// them when the process dies, however it dies.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "os/file.h"

namespace mlos::os {

// Released by the destructor. The lock file stays.
class FileLock {
 public:
  enum class Kind { kShared, kExclusive };
  // Makes the file when it is missing. `wait = false` answers kUnavailable when another holder is in the way.
  // A signal whose handler was installed without SA_RESTART ends the wait with kCancelled.
  static Result<FileLock> Acquire(const std::filesystem::path& path, Kind kind, bool wait = true);

 private:
  explicit FileLock(File file) : file_(std::move(file)) {}
  File file_;
};

}  // namespace mlos::os
