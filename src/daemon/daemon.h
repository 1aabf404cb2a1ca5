// SPDX-License-Identifier: Apache-2.0
// mlos-core put together: plugins, registry, server, front ends.
#pragma once

#include <cstdio>
#include <memory>
#include <vector>

#include "base/status.h"
#include "daemon/access_log.h"
#include "daemon/backend_watch.h"
#include "daemon/config.h"
#include "frontend/http/server.h"
#include "resources/backend.h"
#include "resources/memory_broker.h"
#include "resources/pressure_guard.h"
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
  Status OpenAccessLog();
  Status OpenBroker();
  void OpenWorkerGroups();
  Status OpenServer();
  void Preload();

  Config config_;
  // Destroyed in reverse: the front end goes before what it serves and where it logs.
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> access_file_{nullptr, std::fclose};  // null: standard error
  std::unique_ptr<AccessLogWriter> access_log_;  // null: the log level leaves requests out
  std::unique_ptr<resources::Backend> backend_;
  os::CgroupMemory cgroup_;  // as this process found it
  std::shared_ptr<os::ChildGroups> worker_groups_;
  serving::Service::WorkerGroups worker_groups_report_;
  std::unique_ptr<resources::MemoryBroker> broker_;
  std::unique_ptr<serving::Server> server_;
  std::unique_ptr<resources::PressureGuard> pressure_;
  std::unique_ptr<frontend::HttpServer> http_;
  std::unique_ptr<BackendWatch> backend_watch_;
};

}  // namespace mlos::daemon
