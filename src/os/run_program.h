// SPDX-License-Identifier: Apache-2.0
// Running another program to its end.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::os {

struct RunOptions {
  double timeout_s = 600;                          // then it is killed, with the processes it started
  size_t max_output_bytes = 16U << 20U;            // of each stream; what comes after is dropped
  const std::atomic<bool>* interrupted = nullptr;  // may be null; when it becomes true the program is killed
  // False: what the program writes to standard error goes where this process's goes.
  bool capture_error = true;
  // Variables it gets besides this process's.
  std::vector<std::pair<std::string, std::string>> environment;
};

struct ProgramResult {
  int exit_status = 0;  // meaningful when signal is 0
  int signal = 0;       // that ended it
  std::string output;
  std::string error;
};

// No shell: `arguments` arrive as they are. Standard input is empty. kNotFound when there is no such file, kDeadlineExceeded,
// kCancelled.
Result<ProgramResult> RunProgram(const std::filesystem::path& program,
                                 const std::vector<std::string>& arguments, const RunOptions& options);

// The program of that name in one of the folders of $PATH; kNotFound.
Result<std::filesystem::path> FindProgram(const std::string& name);

}  // namespace mlos::os
