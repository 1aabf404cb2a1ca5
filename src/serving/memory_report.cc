// SPDX-License-Identifier: Apache-2.0
// The part of Server that is about memory: what is loaded, what it takes, and the verbs that change it.
#include <utility>

#include "serving/server.h"

namespace mlos::serving {

Result<ModelStatus> Server::LoadModel(const LoadRequest& request) {
  if (!Ready()) return Unavailable("the server is shutting down: retry on another one");
  MLOS_RETURN_IF_ERROR(registry_->Get(request.model_id).status());
  if (request.pinned) MLOS_RETURN_IF_ERROR(registry_->SetPinned(request.model_id, *request.pinned));
  const Result<model::Handle> loaded =
      registry_->AcquireOrLoad(request.model_id, {.keep_alive_ns = request.keep_alive_ns});
  if (!loaded.ok()) return loaded.status();
  return GetModel((*loaded)->id);
}

Result<UnloadReport> Server::UnloadModel(const std::string& model_id) {
  MLOS_ASSIGN_OR_RETURN(const model::Registry::UnloadResult result, registry_->Unload(model_id));
  return UnloadReport{.unloaded = result.unloaded, .users = result.users};
}

Result<ModelStatus> Server::ChooseLatest(const std::string& model_id) {
  MLOS_RETURN_IF_ERROR(registry_->SetLatest(model_id));
  return GetModel(model_id);
}

MemoryStatus Server::Memory() {
  const resources::BrokerStats stats = registry_->broker().Stats();
  MemoryStatus out{.budget_bytes = stats.budget_bytes,
                   .budget_source = stats.budget_source,
                   .leased_bytes = stats.leased_bytes,
                   .shared_bytes = stats.shared_bytes,
                   .reserved_bytes = stats.reserved_bytes,
                   .waits = stats.waits,
                   .wait_ns = static_cast<int64_t>(stats.wait_ns),
                   .refused = stats.refused,
                   .corrections = stats.corrections,
                   .pressure = pressure_};
  for (const resources::Waiter& w : stats.waiting)
    out.waiting.push_back({w.who, w.bytes, w.since_ns, w.predicted_ns, w.reason});
  for (size_t i = 0; i < stats.evictions.size(); ++i) {
    out.evictions.emplace_back(resources::EvictReasonName(static_cast<resources::EvictReason>(i)),
                               stats.evictions[i]);
  }
  return out;
}

ProcessReport Server::Processes() {
  ProcessReport out{.memory = Memory()};
  for (const model::Snapshot& snapshot : registry_->List()) {
    ModelProcess process{.status = StatusOf(snapshot)};
    if (snapshot.model != nullptr) {
      const model::MeasuredMemory found = model::Measure(*snapshot.model->instance);
      process.loaded = true;
      process.pid = found.pid;
      process.restarts = snapshot.model->instance->stats().restarts;
      // Its worker starts again, or was given up.
      if (const Status health = snapshot.model->instance->health(); !health.ok())
        process.status.error = health.message();
      process.measured = found.known;
      process.private_bytes = found.private_bytes;
      process.mapped_bytes = found.mapped_bytes;
      process.pss_bytes = found.pss_bytes;
    }
    out.models.push_back(std::move(process));
  }
  return out;
}

}  // namespace mlos::serving
