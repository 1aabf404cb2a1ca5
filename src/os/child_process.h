// SPDX-License-Identifier: Apache-2.0
// Another program run by this one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "os/descriptor.h"

namespace mlos::os {

// How a process ended.
struct ExitStatus {
  int code = 0;             // when signal is 0
  int signal = 0;           // the signal that ended it
  uint64_t peak_bytes = 0;  // resident memory when it was highest, mapped files included
  // "exited with status 3", "was killed by signal 11 (Segmentation fault)".
  std::string ToString() const;
};

// "NAME=value" of those variables of this process that a child gets: locale, paths, settings of engines and sanitizers. Not
// what may be a secret.
std::vector<std::string> ChildEnvironment();

// A started program, in a process group of its own, so that a Ctrl-C in the terminal of this program does not reach it.
// The destructor kills the group and waits. Not thread-safe, Kill excepted.
class ChildProcess {
 public:
  // Runs `program` with standard input from /dev/null, output and error as here, no signal blocked, and of the environment only
  // ChildEnvironment(), and of all other open files only `inherited`, under the number kInheritedFd. kNotFound when there is no such program.
  static Result<ChildProcess> Start(const std::filesystem::path& program,
                                    const std::vector<std::string>& arguments, int inherited);
  static constexpr int kInheritedFd = 3;

  ChildProcess() = default;
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  // Readable once the process has ended (pidfd_open(2)).
  int exit_fd() const { return pidfd_.get(); }
  int64_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  // SIGKILL to it and to what it started.
  void Kill() const;
  // Waits for its end, at most `timeout_ms` (negative: no limit), and collects it. Nothing when it still runs.
  std::optional<ExitStatus> Wait(int timeout_ms);

 private:
  pid_t pid_ = -1;
  Descriptor pidfd_;
};

// The kernel kills this process when the thread that started it ends, however that ends. Call it again after a change of user
// or of capabilities, which undoes it. A parent that ended before the call goes unnoticed: watch a pipe or socket too.
void EndWithParent();

// Ends this process at once: nothing is flushed, no destructor runs.
[[noreturn]] void ExitNow(int code);

}  // namespace mlos::os
