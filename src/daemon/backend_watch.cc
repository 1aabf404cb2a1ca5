// SPDX-License-Identifier: Apache-2.0
#include "daemon/backend_watch.h"

#include <utility>

namespace mlos::daemon {
namespace {

constexpr int kLookMs = 1000;

}  // namespace

Result<std::unique_ptr<BackendWatch>> BackendWatch::Start(resources::Backend& backend) {
  MLOS_ASSIGN_OR_RETURN(os::WakeEvent stop, os::WakeEvent::Create());
  std::unique_ptr<BackendWatch> watch(new BackendWatch(backend, std::move(stop)));
  if (backend.mode() != resources::RuntimeMode::kUserspace)
    watch->thread_ = std::thread([raw = watch.get()] { raw->Loop(); });
  return watch;
}

BackendWatch::~BackendWatch() {
  stop_.Set();
  if (thread_.joinable()) thread_.join();
}

void BackendWatch::Loop() {
  const int fds[] = {stop_.fd()};
  while (os::WaitReadable(fds, kLookMs) == 0 && backend_.mode() != resources::RuntimeMode::kUserspace) {
    (void)backend_.Probe();  // what does not work any more is let go of by itself
  }
}

}  // namespace mlos::daemon
