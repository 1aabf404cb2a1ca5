// SPDX-License-Identifier: Apache-2.0
#include "os/signals.h"

#include <signal.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace mlos::os {
namespace {

sigset_t TerminationSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

Status Failed(const char* call, int error) {
  return Internal(std::string(call) + ": " + std::generic_category().message(error));
}

}  // namespace

Status BlockTermination() {
  const sigset_t set = TerminationSet();
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return error == 0 ? OkStatus() : Failed("pthread_sigmask", error);
}

Status WaitForTermination() {
  const sigset_t set = TerminationSet();
  int signal = 0;
  const int error = sigwait(&set, &signal);
  return error == 0 ? OkStatus() : Failed("sigwait", error);
}

Status IgnoreSigpipe() {
  return ::signal(SIGPIPE, SIG_IGN) == SIG_ERR ? Failed("signal", errno) : OkStatus();
}

}  // namespace mlos::os
