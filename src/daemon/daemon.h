// SPDX-License-Identifier: Apache-2.0
// mlos-core put together: plugins, registry, server, front ends.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "daemon/config.h"
#include "frontend/http/server.h"
#include "serving/server.h"

namespace mlos::daemon {

class Daemon {
 public:
  // Serves when it returns.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config);
  // Refuses new requests, lets those in flight finish until the drain timeout, then closes.
  void Stop();

 private:
  Daemon() = default;

  Config config_;
  // Destroyed in reverse: the front end goes before what it serves.
  std::unique_ptr<serving::Server> server_;
  std::unique_ptr<frontend::HttpServer> http_;
};

}  // namespace mlos::daemon
