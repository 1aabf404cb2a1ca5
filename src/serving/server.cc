// SPDX-License-Identifier: Apache-2.0
#include "serving/server.h"

#include <algorithm>
#include <utility>

#include "serving/call.h"

namespace mlos::serving {
namespace {

ModelState StateOf(model::State state) {
  switch (state) {
    case model::State::kRegistered:
      return ModelState::kRegistered;
    case model::State::kWaiting:
      return ModelState::kWaiting;
    case model::State::kLoading:
      return ModelState::kLoading;
    case model::State::kReady:
      return ModelState::kReady;
    case model::State::kFailed:
      return ModelState::kFailed;
  }
  return ModelState::kFailed;
}

sched::ExecutorOptions ExecutorOptionsOf(const ServerOptions& options) {
  sched::ExecutorOptions out;
  out.scheduler = options.fifo ? sched::SchedulerOptions::Fifo(options.threads, options.max_queue)
                               : sched::SchedulerOptions{.slots = options.threads,
                                                         .express_slots = options.express_slots,
                                                         .max_queue = options.max_queue,
                                                         .plan_threads = options.plan_threads,
                                                         .max_batch_rows = options.max_batch};
  out.scheduler.fixed_threads = options.execution_threads;
  return out;
}

// Sequences are handed over, not worked on: one thread does it.
sched::ExecutorOptions SequenceOptionsOf(const ServerOptions& options) {
  sched::ExecutorOptions out;
  out.scheduler.slots = options.max_sequences > 0 ? options.max_sequences : kUsualSequences;
  out.scheduler.express_slots = 0;
  out.scheduler.max_queue = options.max_queue;
  out.scheduler.plan_threads = false;
  out.scheduler.max_batch_rows = 1;
  if (options.fifo) out.scheduler.order = sched::Order::kArrival;
  out.threads = 1;
  return out;
}

Status Draining() { return Unavailable("the server is shutting down: retry on another one"); }

}  // namespace

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kRegistered:
      return "registered";
    case ModelState::kWaiting:
      return "waiting";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "failed";
  }
  return "unknown";
}

Server::Server(std::unique_ptr<model::Registry> registry, const ServerOptions& options, Clock& clock)
    : options_(options),
      clock_(clock),
      started_ns_(clock.MonotonicNs()),
      traces_(options.traces),
      registry_(std::move(registry)),
      executor_(ExecutorOptionsOf(options), clock) {}

Server::~Server() {
  SetReady(false);
  // Models that become ready after this would be handed to an executor that has ended.
  registry_->Close();
}

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
  // A model that was loaded before needs no loading to be described.
  if (Result<model::Snapshot> known = registry_->Get(model_id); known.ok() && known->interface != nullptr) {
    done(known->interface);
    return;
  }
  registry_->Acquire(model_id, {}, [done = std::move(done)](const Result<model::Handle>& loaded, int64_t) {
    if (loaded.ok()) {
      done((*loaded)->interface);
    } else {
      done(loaded.status());
    }
  });
}

void Server::Refuse(Request request, std::unique_ptr<ResponseSink> sink, Status status, Refusal refusal,
                    int64_t admitted_ns, int64_t retry_after_ns) {
  const int64_t now_ns = clock_.MonotonicNs();
  counters_.Record(false, now_ns - admitted_ns);
  if (refusal != Refusal::kCount) counters_.RecordRefusal(refusal);
  Response response;
  response.retry_after_ns = retry_after_ns;
  if (request.trace != nullptr) {
    request.trace->Mark(Stage::kAdmit, now_ns);
    request.trace->code = status.code();
    request.trace->message = status.message();
    response.trace = std::move(request.trace);
  }
  sink->OnDone(std::move(status), std::move(response));
}

void Server::Infer(Request request, std::unique_ptr<ResponseSink> sink) {
  const int64_t admitted_ns = clock_.MonotonicNs();
  const auto refuse = [&](Status status, Refusal refusal) {
    Refuse(std::move(request), std::move(sink), std::move(status), refusal, admitted_ns);
  };
  if (request.trace != nullptr) {
    request.trace->request_id = request.request_id;
    request.trace->model_id = request.model_id;
    request.trace->priority = PriorityName(request.priority);
  }
  if (!Ready()) return refuse(Draining(), Refusal::kNotReady);
  if (request.deadline_ns > 0 && request.deadline_ns <= admitted_ns) {
    return refuse(DeadlineExceeded("the deadline passed before the request arrived"), Refusal::kExpired);
  }
  Result<model::Handle> ready = registry_->AcquireReady(request.model_id);
  if (!ready.ok()) return refuse(ready.status(), Refusal::kCount);
  if (*ready != nullptr) {
    if (request.keep_alive_ns) (*ready)->keep_alive_ns.store(*request.keep_alive_ns);
    Admit(std::move(*ready), std::move(request), std::move(sink), admitted_ns);
    return;
  }
  // std::function wants copyable captures.
  struct Waiting {
    Request request;
    std::unique_ptr<ResponseSink> sink;
  };
  model::AcquireOptions acquire{
      .deadline_ns = request.deadline_ns, .cancel = request.cancel, .keep_alive_ns = request.keep_alive_ns};
  const std::string model_id = request.model_id;
  auto waiting = std::make_shared<Waiting>(Waiting{std::move(request), std::move(sink)});
  registry_->Acquire(model_id, std::move(acquire),
                     [this, waiting, admitted_ns](Result<model::Handle> loaded, int64_t retry_after_ns) {
                       if (waiting->request.trace != nullptr)
                         waiting->request.trace->Mark(Stage::kLoad, clock_.MonotonicNs());
                       if (loaded.ok()) {
                         return Admit(std::move(*loaded), std::move(waiting->request),
                                      std::move(waiting->sink), admitted_ns);
                       }
                       const Refusal refusal =
                           loaded.status().code() == Code::kDeadlineExceeded ? Refusal::kExpired
                           : loaded.status().code() == Code::kCancelled      ? Refusal::kCancelled
                                                                             : Refusal::kNotReady;
                       Refuse(std::move(waiting->request), std::move(waiting->sink), loaded.status(), refusal,
                              admitted_ns, retry_after_ns);
                     });
}

void Server::Prepare(model::LoadedModel& model) {
  if (model.prepared.load(std::memory_order_acquire)) return;
  MutexLock lock(profiles_mu_);
  if (model.prepared.load(std::memory_order_relaxed)) return;
  std::shared_ptr<sched::ExecutionProfile>& known = profiles_[model.id + "#" + model.version];
  if (known == nullptr) {
    known = model.profile;
  } else {
    model.profile = known;
  }
  if (model.interface->generates)
    model.sequences = std::make_unique<sched::Executor>(SequenceOptionsOf(options_), clock_);
  model.prepared.store(true, std::memory_order_release);
}

void Server::Admit(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink,
                   int64_t admitted_ns) {
  Prepare(*model);
  Call::Submit(std::make_unique<Call>(CallEnvironment{clock_, executor_, counters_}, std::move(model),
                                      std::move(request), std::move(sink), admitted_ns));
}

ModelStatus Server::StatusOf(const model::Snapshot& snapshot) {
  const model::Registration& r = snapshot.registration;
  const std::shared_ptr<ModelCounters> counters = counters_.Of(r.id);
  const Totals totals = counters->totals();
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
                     .activity = counters->activity(),
                     .load_ns = snapshot.load_ns,
                     .registered_unix_ns = r.registered_unix_ns,
                     .is_latest = snapshot.is_latest,
                     .pinned = r.pinned,
                     .draining = snapshot.draining,
                     .keep_alive_ns = r.keep_alive_ns.value_or(registry_->options().keep_alive_ns),
                     .waiters = snapshot.waiters,
                     .waits_for = snapshot.waits_for,
                     .predicted_wait_ns = snapshot.predicted_ns,
                     .loads = snapshot.loads,
                     .unloads = snapshot.unloads};
  status.interface = snapshot.interface;
  if (snapshot.interface != nullptr) {
    status.name = snapshot.facts.name;
    status.version = snapshot.facts.version;
    status.plugin_id = snapshot.facts.plugin_id;
    status.framework = snapshot.facts.framework;
    status.execution_format = snapshot.facts.execution_format;
  }
  if (snapshot.model != nullptr) {
    const model::LoadedModel& m = *snapshot.model;
    AddLease(snapshot, &status);
    status.isolation = m.isolation;
    status.batching = m.batching;
    status.max_batch = m.max_batch == 0 ? options_.max_batch : std::min(m.max_batch, options_.max_batch);
    if (m.prepared.load(std::memory_order_acquire)) {
      status.activity.predicts = m.profile->predictions() > 0;
      status.activity.prediction_error = m.profile->prediction_error();
    }
    if (const Status health = m.instance->health(); !health.ok()) {
      status.state = ModelState::kFailed;
      status.error = health.message();
    }
  }
  return status;
}

void Server::AddLease(const model::Snapshot& snapshot, ModelStatus* status) {
  const model::LoadedModel& m = *snapshot.model;
  const resources::LeaseInfo lease = registry_->broker().Info(m.lease.id());
  status->lease_private_bytes = lease.private_bytes;
  status->lease_shared_bytes = lease.shared_bytes;
  status->users = m.users.load();
  status->keep_alive_ns = m.keep_alive_ns.load();
  if (status->users == 0 && status->keep_alive_ns >= 0 && !status->pinned) {
    const int64_t idle_ns = clock_.MonotonicNs() - m.last_used_ns.load();
    status->expires_in_ns = std::max<int64_t>(status->keep_alive_ns - idle_ns, 0);
  }
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
  const Totals totals = counters_.all();
  return {.requests_total = totals.ok + totals.failed,
          .requests_ok = totals.ok,
          .requests_failed = totals.failed,
          .latency_sum_ns = totals.latency_sum_ns,
          .uptime_ns = clock_.MonotonicNs() - started_ns_,
          .queued = executor_.queued() + registry_->waiting(),
          .running = executor_.running(),
          .refused = counters_.refused()};
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
  model::Registration registration{.id = id,
                                   .path = path.lexically_normal().string(),
                                   .plugin_id = request.plugin_id,
                                   .execution_format = request.execution_format,
                                   .framework = request.framework,
                                   .description = request.description,
                                   .keep_alive_ns = request.keep_alive_ns,
                                   .pinned = request.pinned,
                                   .isolation = request.isolation,
                                   .batching = request.batching,
                                   .max_batch = request.max_batch};
  MLOS_RETURN_IF_ERROR(model::CheckServing(registration));
  model::SwapReport swap;
  const Status loaded = registry_->Register(std::move(registration), &swap).status();
  // A damaged file that the client names is the client's to mend, not a fault of the server's.
  if (loaded.code() == Code::kDataLoss) return Unprocessable(loaded.message());
  if (!loaded.ok()) return loaded;
  MLOS_ASSIGN_OR_RETURN(ModelStatus status, GetModel(id));
  status.note = swap.note;
  return status;
}

Status Server::UnregisterModel(const std::string& model_id) {
  MLOS_RETURN_IF_ERROR(registry_->Unregister(model_id));
  counters_.Forget(model::CanonicalModelId(model_id));
  MutexLock lock(profiles_mu_);
  std::erase_if(profiles_, [prefix = model::CanonicalModelId(model_id) + "#"](const auto& known) {
    return known.first.starts_with(prefix);
  });
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
