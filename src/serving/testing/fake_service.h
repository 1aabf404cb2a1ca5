// SPDX-License-Identifier: Apache-2.0
// A Service for the tests of front ends: models are functions from Request to Response.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "serving/service.h"

namespace mlos::serving {

class FakeService final : public Service {
 public:
  // Owns the answer: call sink->OnDone exactly once, now or later, on any thread.
  using Handler = std::function<void(Request, std::shared_ptr<ResponseSink>)>;

  void AddModel(const std::string& id, ModelInterface interface, Handler handler) {
    Model model;
    model.status.id = id;
    model.status.name = id;
    model.status.version = "1";
    model.status.state = ModelState::kReady;
    model.status.plugin_id = "fake";
    model.status.framework = "fake";
    model.status.execution_format = "fake";
    model.status.path = "/models/" + id;
    model.status.interface = std::make_shared<const ModelInterface>(std::move(interface));
    model.handler = std::move(handler);
    MutexLock lock(mu_);
    models_[id] = std::move(model);
  }

  void set_workers(std::vector<WorkerStatus> workers) {
    MutexLock lock(mu_);
    workers_ = std::move(workers);
  }
  std::vector<WorkerStatus> ListWorkers() override {
    MutexLock lock(mu_);
    return workers_;
  }

  void set_ready(bool ready) {
    MutexLock lock(mu_);
    ready_ = ready;
  }
  // Replaces how Describe answers; for models that load first, or fail.
  void set_describe(std::function<void(const std::string&, DescribeCallback)> describe) {
    MutexLock lock(mu_);
    describe_ = std::move(describe);
  }
  void set_register(std::function<Result<ModelStatus>(const RegisterRequest&)> fn) {
    MutexLock lock(mu_);
    register_ = std::move(fn);
  }

  void Describe(const std::string& model_id, DescribeCallback done) override {
    std::function<void(const std::string&, DescribeCallback)> describe;
    {
      MutexLock lock(mu_);
      describe = describe_;
    }
    if (describe) return describe(model_id, std::move(done));
    Result<ModelStatus> status = GetModel(model_id);
    if (!status.ok()) return done(status.status());
    done(status->interface);
  }

  void Infer(Request request, std::unique_ptr<ResponseSink> sink) override {
    Handler handler;
    {
      MutexLock lock(mu_);
      const auto it = models_.find(request.model_id);
      if (it != models_.end()) handler = it->second.handler;
      ++stats_.requests_total;
    }
    if (!handler) return sink->OnDone(NotFound("model '" + request.model_id + "' is not registered"), {});
    handler(std::move(request), std::move(sink));
  }

  std::vector<ModelStatus> ListModels() override {
    MutexLock lock(mu_);
    std::vector<ModelStatus> out;
    for (const auto& [id, model] : models_) out.push_back(model.status);
    return out;
  }

  Result<ModelStatus> GetModel(const std::string& model_id) override {
    MutexLock lock(mu_);
    const auto it = models_.find(model_id);
    if (it == models_.end()) return NotFound("model '" + model_id + "' is not registered");
    return it->second.status;
  }

  std::vector<PluginStatus> ListPlugins() override {
    PluginStatus plugin{.id = "fake", .version = "1.0", .engine_version = "2.0", .path = "/plugins/fake.so"};
    plugin.formats = {"fake"};
    plugin.capabilities = {"execute"};
    for (const ModelStatus& model : ListModels()) plugin.models.push_back(model.id);
    return {plugin};
  }

  ServerStats Stats() override {
    MutexLock lock(mu_);
    return stats_;
  }
  bool Ready() override {
    MutexLock lock(mu_);
    return ready_;
  }
  void RecordTrace(std::unique_ptr<Trace> trace) override {
    MutexLock lock(mu_);
    traces_[trace->request_id] = *trace;
  }
  Result<Trace> FindTrace(const std::string& request_id) override {
    MutexLock lock(mu_);
    const auto it = traces_.find(request_id);
    if (it == traces_.end()) return NotFound("request '" + request_id + "' is not remembered");
    return it->second;
  }

  Result<ModelStatus> RegisterModel(const RegisterRequest& request) override {
    std::function<Result<ModelStatus>(const RegisterRequest&)> fn;
    {
      MutexLock lock(mu_);
      fn = register_;
    }
    if (!fn) return Unimplemented("the fake registers nothing");
    return fn(request);
  }
  Status UnregisterModel(const std::string& model_id) override {
    MutexLock lock(mu_);
    if (models_.erase(model_id) == 0) return NotFound("model '" + model_id + "' is not registered");
    return OkStatus();
  }
  Result<ModelStatus> LoadModel(const LoadRequest& request) override {
    MLOS_ASSIGN_OR_RETURN(ModelStatus status, GetModel(request.model_id));
    status.keep_alive_ns = request.keep_alive_ns.value_or(-1);
    status.pinned = request.pinned.value_or(false);
    return status;
  }
  Result<UnloadReport> UnloadModel(const std::string& model_id) override {
    MLOS_RETURN_IF_ERROR(GetModel(model_id).status());
    return UnloadReport{.unloaded = true};
  }
  Result<ModelStatus> ChooseLatest(const std::string& model_id) override { return GetModel(model_id); }
  MemoryStatus Memory() override {
    return {.budget_bytes = 1000, .budget_source = "a test", .leased_bytes = 600, .shared_bytes = 200};
  }
  ProcessReport Processes() override {
    ProcessReport report{.memory = Memory()};
    for (ModelStatus& model : ListModels()) {
      report.models.push_back({.status = std::move(model),
                               .loaded = true,
                               .pid = 4711,
                               .measured = true,
                               .private_bytes = 300,
                               .mapped_bytes = 200,
                               .pss_bytes = 400});
    }
    return report;
  }
  Result<ScanResult> ScanModels() override {
    ScanResult result;
    result.registered = {"local/new@1"};
    result.failed.emplace_back("local/bad@1", DataLoss("manifest.yaml:3: bad"));
    return result;
  }

 private:
  struct Model {
    ModelStatus status;
    Handler handler;
  };

  Mutex mu_;
  std::map<std::string, Model> models_ MLOS_GUARDED_BY(mu_);
  std::function<void(const std::string&, DescribeCallback)> describe_ MLOS_GUARDED_BY(mu_);
  std::function<Result<ModelStatus>(const RegisterRequest&)> register_ MLOS_GUARDED_BY(mu_);
  ServerStats stats_ MLOS_GUARDED_BY(mu_);
  std::map<std::string, Trace> traces_ MLOS_GUARDED_BY(mu_);
  std::vector<WorkerStatus> workers_ MLOS_GUARDED_BY(mu_);
  bool ready_ MLOS_GUARDED_BY(mu_) = true;
};

}  // namespace mlos::serving
