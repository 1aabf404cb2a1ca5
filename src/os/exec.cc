// SPDX-License-Identifier: Apache-2.0
#include "os/exec.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "os/errors.h"

namespace mlos::os {

Status Exec(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  sigset_t none;
  sigset_t before;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, &before);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(program.c_str(), argv.data());
  const int error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return ErrnoStatus(error, "run", program);
}

}  // namespace mlos::os
