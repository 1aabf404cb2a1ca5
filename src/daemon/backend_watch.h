// SPDX-License-Identifier: Apache-2.0
// Looks every second whether the kernel module is still there, so that it is let go of also while nothing runs: a module that is to
// be unloaded must not be open.
#pragma once

#include <memory>
#include <thread>

#include "os/local_socket.h"
#include "resources/backend.h"

namespace mlos::daemon {

class BackendWatch {
 public:
  // `backend` outlives it. Without a module there is nothing to watch, and no thread.
  static Result<std::unique_ptr<BackendWatch>> Start(resources::Backend& backend);
  ~BackendWatch();

 private:
  BackendWatch(resources::Backend& backend, os::WakeEvent stop) : backend_(backend), stop_(std::move(stop)) {}
  void Loop();

  resources::Backend& backend_;
  os::WakeEvent stop_;
  std::thread thread_;
};

}  // namespace mlos::daemon
