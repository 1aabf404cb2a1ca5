// SPDX-License-Identifier: Apache-2.0
// Plugins that do what a test says, without shared libraries.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plugin/instance.h"

namespace mlos::plugin {

// Shared by the test and the fakes; outlives them all.
struct FakePluginState {
  ModelInterface interface;
  // What Run does; the default answers OK with nothing.
  std::function<void(Request, std::unique_ptr<ResponseSink>)> run =
      [](const Request&, std::unique_ptr<ResponseSink> sink) { sink->OnDone(OkStatus(), {}); };
  std::function<Status()> before_load = [] { return OkStatus(); };
  // What the plugin estimates, and what a model then says it takes; 0 = it says nothing.
  std::function<Estimate(const LoadOptions&)> estimate = [](const LoadOptions&) { return Estimate{}; };
  std::function<uint64_t(const LoadOptions&)> takes = [](const LoadOptions&) { return uint64_t{0}; };
  std::atomic<int> loads{0};
  std::atomic<int> alive{0};
  std::atomic<uint64_t> taken_bytes{0};  // by all that are alive
  std::atomic<uint64_t> most_taken_bytes{0};
};

class FakeInstance final : public Instance {
 public:
  FakeInstance(FakePluginState& state, const LoadOptions& options)
      : state_(state), path_(options.model_path), takes_(state.takes(options)) {
    ++state_.alive;
    const uint64_t all = state_.taken_bytes += takes_;
    uint64_t most = state_.most_taken_bytes.load();
    while (all > most && !state_.most_taken_bytes.compare_exchange_weak(most, all)) {
    }
  }
  ~FakeInstance() override {
    state_.taken_bytes -= takes_;
    --state_.alive;
  }
  const std::filesystem::path& path() const { return path_; }
  const ModelInterface& interface() const override { return state_.interface; }
  const std::string& plugin_id() const override { return id_; }
  InstanceStats stats() const override { return {.private_bytes = takes_}; }
  void Run(Request request, std::unique_ptr<ResponseSink> sink) override {
    state_.run(std::move(request), std::move(sink));
  }

 private:
  FakePluginState& state_;
  const std::filesystem::path path_;
  const uint64_t takes_;
  const std::string id_ = "fake";
};

// One plugin, "fake", for formats "onnx" and "gguf".
class FakePluginRegistry final : public PluginRegistry {
 public:
  explicit FakePluginRegistry(FakePluginState& state) : state_(state) {}
  std::vector<PluginDescription> List() const override {
    return {{.id = "fake", .version = "1", .formats = {"onnx", "gguf"}, .capabilities = {"execute"}}};
  }
  Result<std::string> ForFormat(const std::string& format) const override {
    if (format == "onnx" || format == "gguf") return std::string("fake");
    return Unimplemented("no plugin executes '" + format + "'");
  }
  Result<Estimate> EstimateModel(const std::string&, const LoadOptions& options) override {
    return state_.estimate(options);
  }
  Result<std::unique_ptr<Instance>> Load(const std::string& plugin_id, const LoadOptions& options) override {
    if (plugin_id != "fake") return NotFound("no plugin '" + plugin_id + "'");
    MLOS_RETURN_IF_ERROR(state_.before_load());
    ++state_.loads;
    return std::unique_ptr<Instance>(std::make_unique<FakeInstance>(state_, options));
  }

 private:
  FakePluginState& state_;
};

}  // namespace mlos::plugin
