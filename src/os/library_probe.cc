// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/dynamic_library.h"
#include "os/machine_facts.h"
#include "os/sandbox.h"

namespace mlos::os {
namespace {

Status OpenHere(const std::filesystem::path& library, const char* symbol) {
  const auto opened = DynamicLibrary::Open(library);
  if (!opened.ok()) return opened.status();
  return opened->Symbol(symbol).status();
}

}  // namespace

Status TryLibrary(const std::filesystem::path& library, const char* symbol) {
  int fds[2];
  if (::pipe(fds) != 0) return Internal(std::string("pipe: ") + ::strerror(errno));
  const pid_t child = ::fork();
  if (child < 0) {
    const int error = errno;
    ::close(fds[0]);
    ::close(fds[1]);
    return Internal(std::string("fork: ") + ::strerror(error));
  }
  if (child == 0) {
    SandboxSpec spec;
    spec.library_paths = {library.parent_path()};
    spec.keep_fds = {fds[1]};
    spec.limits.cpu_seconds = 30;
    const auto sandbox = EnterSandbox(spec);
    const Status status = sandbox.ok() ? OpenHere(library, symbol) : sandbox.status();
    (void)!::write(fds[1], status.message().data(), status.message().size());
    ::_exit(status.ok() ? 0 : 1);
  }
  ::close(fds[1]);
  std::string message;
  char buffer[1024];
  for (;;) {
    const ssize_t n = ::read(fds[0], buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    message.append(buffer, static_cast<size_t>(n));
  }
  ::close(fds[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    return Internal("opening it ended the process: " + std::string(::strsignal(WTERMSIG(status))));
  }
  if (WEXITSTATUS(status) != 0)
    return Unimplemented(message.empty() ? "opening it ended the process" : message);
  return OkStatus();
}

}  // namespace mlos::os
