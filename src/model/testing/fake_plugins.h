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
  std::atomic<int> loads{0};
  std::atomic<int> alive{0};
};

class FakeInstance final : public Instance {
 public:
  explicit FakeInstance(FakePluginState& state) : state_(state) { ++state_.alive; }
  ~FakeInstance() override { --state_.alive; }
  const ModelInterface& interface() const override { return state_.interface; }
  const std::string& plugin_id() const override { return id_; }
  InstanceStats stats() const override { return {}; }
  void Run(Request request, std::unique_ptr<ResponseSink> sink) override {
    state_.run(std::move(request), std::move(sink));
  }

 private:
  FakePluginState& state_;
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
  Result<Estimate> EstimateModel(const std::string&, const LoadOptions&) override { return Estimate{}; }
  Result<std::unique_ptr<Instance>> Load(const std::string& plugin_id, const LoadOptions&) override {
    if (plugin_id != "fake") return NotFound("no plugin '" + plugin_id + "'");
    MLOS_RETURN_IF_ERROR(state_.before_load());
    ++state_.loads;
    return std::unique_ptr<Instance>(std::make_unique<FakeInstance>(state_));
  }

 private:
  FakePluginState& state_;
};

}  // namespace mlos::plugin
