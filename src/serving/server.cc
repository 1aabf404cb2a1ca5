// SPDX-License-Identifier: Apache-2.0
#include "serving/server.h"

#include <algorithm>
#include <utility>

#include "serving/call.h"

namespace mlos::serving {
namespace {

// Loads read files and build graphs: two at a time keep a slow one from blocking the rest.
constexpr int kLoaderThreads = 2;

ModelState StateOf(model::State state) {
  switch (state) {
    case model::State::kRegistered:
      return ModelState::kRegistered;
    case model::State::kLoading:
      return ModelState::kLoading;
    case model::State::kReady:
      return ModelState::kReady;
    case model::State::kFailed:
      return ModelState::kFailed;
  }
  return ModelState::kFailed;
}

sched::TaskClass ClassOf(Priority priority) {
  switch (priority) {
    case Priority::kRealtime:
      return sched::TaskClass::kRealtime;
    case Priority::kHigh:
      return sched::TaskClass::kHigh;
    case Priority::kNormal:
      return sched::TaskClass::kNormal;
    case Priority::kBatch:
      return sched::TaskClass::kBatch;
  }
  return sched::TaskClass::kNormal;
}

Status Draining() { return Unavailable("the server is shutting down: retry on another one"); }

}  // namespace

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kRegistered:
      return "registered";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string_view RefusalName(Refusal refusal) {
  static constexpr std::array<std::string_view, kRefusals> kNames = {"queue_full", "too_late",  "too_short",
                                                                     "expired",    "cancelled", "not_ready"};
  return refusal < Refusal::kCount ? kNames[static_cast<size_t>(refusal)] : "unknown";
}

Server::Server(std::unique_ptr<model::Registry> registry, const ServerOptions& options, Clock& clock)
    : options_(options),
      clock_(clock),
      started_ns_(clock.MonotonicNs()),
      counters_(std::make_shared<Counters>()),
      registry_(std::move(registry)),
      loader_({.threads = kLoaderThreads, .max_queue = options.max_queue, .inline_below_ns = 0}, clock),
      executor_({.threads = options.threads, .max_queue = options.max_queue}, clock) {}

Server::~Server() { SetReady(false); }

void Server::Describe(const std::string& model_id, DescribeCallback done) {
  Result<model::Handle> ready = registry_->AcquireReady(model_id);
  if (!ready.ok()) {
    done(ready.status());
    return;
  }
  if (*ready != nullptr) {
    done((*ready)->interface);
    return;
  }
  auto shared = std::make_shared<DescribeCallback>(std::move(done));
  loader_.Submit({.run =
                      [this, model_id, shared] {
                        Result<model::Handle> loaded = registry_->AcquireOrLoad(model_id);
                        if (loaded.ok()) {
                          (*shared)((*loaded)->interface);
                        } else {
                          (*shared)(loaded.status());
                        }
                      },
                  .drop = [shared](const Status& status) { (*shared)(status); }});
}

void Server::Infer(Request request, std::unique_ptr<ResponseSink> sink) {
  const int64_t admitted_ns = clock_.MonotonicNs();
  const auto refuse = [&](Status status) {
    counters_->RecordRefused(clock_.MonotonicNs() - admitted_ns);
    sink->OnDone(std::move(status), {});
  };
  if (!Ready()) return refuse(Draining());
  if (request.deadline_ns > 0 && request.deadline_ns <= admitted_ns) {
    return refuse(DeadlineExceeded("the deadline passed before the request arrived"));
  }
  Result<model::Handle> ready = registry_->AcquireReady(request.model_id);
  if (!ready.ok()) return refuse(ready.status());
  if (*ready != nullptr) {
    Admit(std::move(*ready), std::move(request), std::move(sink), admitted_ns);
    return;
  }
  // std::function wants copyable captures.
  struct Waiting {
    Request request;
    std::unique_ptr<ResponseSink> sink;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{std::move(request), std::move(sink)});
  const auto fail = [this, waiting, admitted_ns](Status status) {
    counters_->RecordRefused(clock_.MonotonicNs() - admitted_ns);
    waiting->sink->OnDone(std::move(status), {});
  };
  loader_.Submit({.deadline_ns = waiting->request.deadline_ns,
                  .run =
                      [this, waiting, fail, admitted_ns] {
                        Result<model::Handle> loaded = registry_->AcquireOrLoad(waiting->request.model_id);
                        if (!loaded.ok()) return fail(loaded.status());
                        Admit(std::move(*loaded), std::move(waiting->request), std::move(waiting->sink),
                              admitted_ns);
                      },
                  .drop = fail});
}

void Server::Admit(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink,
                   int64_t admitted_ns) {
  const int64_t predicted_ns = model->latency.predicted_ns();
  const sched::TaskClass task_class = ClassOf(request.priority);
  const int64_t deadline_ns = request.deadline_ns;
  // The plugin of a language model queues and batches its sequences itself and answers later.
  const bool generates = request.generation.has_value();
  auto call = std::make_unique<Call>(std::move(model), std::move(request), std::move(sink), counters_, clock_,
                                     admitted_ns);
  if (generates) {
    Call::Start(std::move(call));
    return;
  }
  auto shared = std::make_shared<std::unique_ptr<Call>>(std::move(call));
  executor_.Submit({.task_class = task_class,
                    .deadline_ns = deadline_ns,
                    .predicted_ns = predicted_ns,
                    .run = [shared] { Call::Start(std::move(*shared)); },
                    .drop = [shared](Status status) { (*shared)->Refuse(std::move(status)); }});
}

ModelStatus Server::StatusOf(const model::Snapshot& snapshot) {
  const model::Registration& r = snapshot.registration;
  const Totals totals = counters_->model(r.id);
  ModelStatus status{.id = r.id,
                     .state = StateOf(snapshot.state),
                     .error = snapshot.error,
                     .plugin_id = r.plugin_id,
                     .framework = r.framework,
                     .execution_format = r.execution_format,
                     .path = r.path,
                     .description = r.description,
                     .requests_ok = totals.ok,
                     .requests_failed = totals.failed,
                     .registered_unix_ns = r.registered_unix_ns};
  if (snapshot.model != nullptr) {
    const model::LoadedModel& m = *snapshot.model;
    status.name = m.name;
    status.version = m.version;
    status.plugin_id = m.plugin_id;
    status.framework = m.framework;
    status.execution_format = m.execution_format;
    status.interface = m.interface;
    status.load_ns = m.load_ns;
  }
  return status;
}

std::vector<ModelStatus> Server::ListModels() {
  std::vector<ModelStatus> out;
  for (const model::Snapshot& snapshot : registry_->List()) out.push_back(StatusOf(snapshot));
  return out;
}

Result<ModelStatus> Server::GetModel(const std::string& model_id) {
  MLOS_ASSIGN_OR_RETURN(const model::Snapshot snapshot, registry_->Get(model_id));
  return StatusOf(snapshot);
}

std::vector<PluginStatus> Server::ListPlugins() {
  const std::vector<model::Snapshot> models = registry_->List();
  std::vector<PluginStatus> out;
  for (const plugin::PluginDescription& p : registry_->plugins().List()) {
    PluginStatus status{.id = p.id,
                        .version = p.version,
                        .engine_version = p.engine_version,
                        .path = p.path.string(),
                        .formats = p.formats,
                        .frameworks = p.frameworks,
                        .capabilities = p.capabilities};
    for (const model::Snapshot& m : models) {
      if (m.model != nullptr && m.model->plugin_id == p.id) status.models.push_back(m.registration.id);
    }
    out.push_back(std::move(status));
  }
  return out;
}

ServerStats Server::Stats() {
  const Totals totals = counters_->all();
  return {.requests_total = totals.ok + totals.failed,
          .requests_ok = totals.ok,
          .requests_failed = totals.failed,
          .latency_sum_ns = totals.latency_sum_ns,
          .uptime_ns = clock_.MonotonicNs() - started_ns_,
          .queued = executor_.queued() + loader_.queued(),
          .running = executor_.running() + loader_.running()};
}

Result<ModelStatus> Server::RegisterModel(const RegisterRequest& request) {
  if (!Ready()) return Draining();
  if (request.model_id.empty()) return InvalidArgument("model_id is missing");
  MLOS_ASSIGN_OR_RETURN(const std::string id, model::ParseModelId(request.model_id));
  std::filesystem::path path = request.path;
  if (path.empty() && !request.manifest_path.empty())
    path = std::filesystem::path(request.manifest_path).parent_path();
  if (path.empty()) return InvalidArgument("path is missing: the package folder or the model file");
  if (!path.is_absolute()) return InvalidArgument("path '" + path.string() + "' is not absolute");
  const Status loaded = registry_
                            ->Register({.id = id,
                                        .path = path.lexically_normal().string(),
                                        .plugin_id = request.plugin_id,
                                        .execution_format = request.execution_format,
                                        .framework = request.framework,
                                        .description = request.description})
                            .status();
  // A damaged file that the client names is the client's to mend, not a fault of the server's.
  if (loaded.code() == Code::kDataLoss) return Unprocessable(loaded.message());
  if (!loaded.ok()) return loaded;
  return GetModel(id);
}

Status Server::UnregisterModel(const std::string& model_id) {
  MLOS_RETURN_IF_ERROR(registry_->Unregister(model_id));
  counters_->Forget(model::CanonicalModelId(model_id));
  return OkStatus();
}

Result<ScanResult> Server::ScanModels() {
  ScanResult result;
  if (options_.store.empty()) return result;
  MLOS_ASSIGN_OR_RETURN(const std::vector<model::Registration> installed,
                        model::FindInstalled(options_.store));
  for (const model::Registration& package : installed) {
    if (registry_->Get(package.id).ok()) continue;
    const Result<ModelStatus> status = RegisterModel({.model_id = package.id, .path = package.path});
    if (status.ok()) {
      result.registered.push_back(package.id);
    } else {
      result.failed.emplace_back(package.id, status.status());
    }
  }
  return result;
}

}  // namespace mlos::serving
