// SPDX-License-Identifier: Apache-2.0
#include "serving/server.h"

namespace mlos::serving {

std::vector<WorkerStatus> Server::ListWorkers() {
  std::vector<WorkerStatus> workers;
  for (const model::Snapshot& snapshot : registry_->List()) {
    if (snapshot.model == nullptr || snapshot.model->instance == nullptr) continue;
    const plugin::Instance& instance = *snapshot.model->instance;
    const plugin::InstanceStats stats = instance.stats();
    workers.push_back(
        {snapshot.model->id, snapshot.model->plugin_id, stats.pid, stats.restarts, instance.sandbox()});
  }
  return workers;
}

}  // namespace mlos::serving
