// SPDX-License-Identifier: Apache-2.0
// The Service of one machine: model registry, scheduler and plugins behind the one door.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/registry.h"
#include "sched/executor.h"
#include "serving/counters.h"
#include "serving/service.h"

namespace mlos::serving {

struct ServerOptions {
  int threads = 1;              // requests executed at the same time
  size_t max_queue = 1024;      // requests that wait
  std::filesystem::path store;  // root of the package store, for ScanModels; empty = none
};

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
  bool Ready() override { return ready_.load(); }
  Result<ModelStatus> RegisterModel(const RegisterRequest& request) override;
  Status UnregisterModel(const std::string& model_id) override;
  Result<ScanResult> ScanModels() override;

 private:
  ModelStatus StatusOf(const model::Snapshot& snapshot);
  void Admit(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink, int64_t admitted_ns);

  // Constant after construction.
  const ServerOptions options_;
  Clock& clock_;
  const int64_t started_ns_;
  const std::shared_ptr<Counters> counters_;

  std::atomic<bool> ready_{true};

  // Destroyed in reverse: tasks end before the registry waits for the models that they pin.
  std::unique_ptr<model::Registry> registry_;
  sched::Executor loader_;
  sched::Executor executor_;
};

}  // namespace mlos::serving
