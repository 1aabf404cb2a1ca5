// SPDX-License-Identifier: Apache-2.0
#include "os/signals.h"

#include <signal.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace mlos::os {
namespace {

sigset_t SetOf(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

Status Failed(const char* call, int error) {
  return Internal(std::string(call) + ": " + std::generic_category().message(error));
}

}  // namespace

Status BlockSignals(std::initializer_list<int> signals) {
  const sigset_t set = SetOf(signals);
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return error == 0 ? OkStatus() : Failed("pthread_sigmask", error);
}

Result<int> WaitForSignal(std::initializer_list<int> signals) {
  const sigset_t set = SetOf(signals);
  int signal = 0;
  const int error = sigwait(&set, &signal);
  if (error != 0) return Failed("sigwait", error);
  return signal;
}

Status IgnoreSigpipe() { return ::signal(SIGPIPE, SIG_IGN) == SIG_ERR ? Failed("signal", errno) : OkStatus(); }

}  // namespace mlos::os
