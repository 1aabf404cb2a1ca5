// SPDX-License-Identifier: Apache-2.0
// The Service of one machine: model registry, scheduler and plugins behind the one door.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "model/registry.h"
#include "sched/executor.h"
#include "serving/counters.h"
#include "serving/service.h"
#include "serving/trace_ring.h"

namespace mlos::serving {

struct ServerOptions {
  int threads = 1;          // CPU threads for executions
  size_t max_queue = 1024;  // requests that wait
  bool fifo = false;        // first come, first served, to compare with: no classes, no admission, no batches
  int express_slots = 1;    // for REALTIME and for what would be late, beside `threads`
  uint32_t max_batch = 64;  // rows of a batch; 1 = no batches
  bool plan_threads = true;     // threads per execution by load and profile; false: as the model was loaded
  int execution_threads = 0;    // of each execution; 0 = as plan_threads says
  int max_sequences = 0;        // texts a model generates side by side; 0 = kUsualSequences
  size_t traces = 4096;         // requests of which it is remembered where their time went
  std::filesystem::path store;  // root of the package store, for ScanModels; empty = none
};

inline constexpr int kUsualSequences = 4;

class Server final : public Service {
 public:
  Server(std::unique_ptr<model::Registry> registry, const ServerOptions& options,
         Clock& clock = Clock::Real());
  // Answers what is queued with kUnavailable, waits for what runs.
  ~Server() override;

  // Accepting from the start; false begins the drain: new requests get kUnavailable.
  void SetReady(bool ready) { ready_.store(ready); }

  void Describe(const std::string& model_id, DescribeCallback done) override;
  void Infer(Request request, std::unique_ptr<ResponseSink> sink) override;
  std::vector<ModelStatus> ListModels() override;
  Result<ModelStatus> GetModel(const std::string& model_id) override;
  std::vector<PluginStatus> ListPlugins() override;
  ServerStats Stats() override;
  std::vector<WorkerStatus> ListWorkers() override;
  WorkerGroups DescribeWorkerGroups() override { return worker_groups_; }
  bool Ready() override { return ready_.load(); }
  Result<ModelStatus> RegisterModel(const RegisterRequest& request) override;
  Status UnregisterModel(const std::string& model_id) override;
  Result<ScanResult> ScanModels() override;
  Result<ModelStatus> LoadModel(const LoadRequest& request) override;
  Result<UnloadReport> UnloadModel(const std::string& model_id) override;
  Result<ModelStatus> ChooseLatest(const std::string& model_id) override;
  MemoryStatus Memory() override;
  ProcessReport Processes() override;
  void RecordTrace(std::unique_ptr<Trace> trace) override { traces_.Add(std::move(trace)); }
  Result<Trace> FindTrace(const std::string& request_id) override { return traces_.Find(request_id); }

  // What watches memory pressure, for MemoryStatus::pressure. Before the first request.
  void set_pressure(std::string description) { pressure_ = std::move(description); }
  void set_worker_groups(WorkerGroups groups) { worker_groups_ = std::move(groups); }

 private:
  ModelStatus StatusOf(const model::Snapshot& snapshot);
  void AddLease(const model::Snapshot& snapshot, ModelStatus* status);
  void Refuse(Request request, std::unique_ptr<ResponseSink> sink, Status status, Refusal refusal,
              int64_t admitted_ns, int64_t retry_after_ns = 0);
  // The first time a loaded model is used: what was learnt of it before, and its queue of sequences.
  void Prepare(model::LoadedModel& model);
  void Admit(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink, int64_t admitted_ns);

  // Constant after construction.
  const ServerOptions options_;
  Clock& clock_;
  const int64_t started_ns_;

  // Thread-safe by themselves.
  Counters counters_;
  TraceRing traces_;
  std::atomic<bool> ready_{true};
  std::string pressure_;
  WorkerGroups worker_groups_;

  Mutex profiles_mu_;
  // By id and version.
  std::map<std::string, std::shared_ptr<sched::ExecutionProfile>> profiles_ MLOS_GUARDED_BY(profiles_mu_);

  // Destroyed in reverse: tasks end before the registry waits for the models that they pin.
  std::unique_ptr<model::Registry> registry_;
  sched::Executor executor_;
};

}  // namespace mlos::serving
