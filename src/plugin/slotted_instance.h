// SPDX-License-Identifier: Apache-2.0
// An instance whose executions hold CPU slots of the kernel module while they run (resources/backend.h), so that they take turns
// with those of other processes. Not used where nothing schedules: then there is nothing between a request and its model.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "base/mutex.h"
#include "plugin/backend_model.h"
#include "plugin/instance.h"
#include "resources/backend.h"

namespace mlos::plugin {

// A request waits for its slot on the thread that calls Run, with its class and deadline, until it is cancelled. A model that answers
// within a millisecond may be run by a thread that serves connections: it takes a slot when one is free, and runs without
// otherwise. Texts that one model generates share a slot, likewise, for as long as any of them is under way: their decode loop is one.
class SlottedInstance final : public Instance {
 public:
  // `boost`: the threads that call Run are those that compute, and may be raised.
  SlottedInstance(std::unique_ptr<Instance> inner, std::shared_ptr<const BackendModel> model, bool boost)
      : backend_(model->backend()), model_(std::move(model)), boost_(boost), inner_(std::move(inner)) {}

  const ModelInterface& interface() const override { return inner_->interface(); }
  const std::string& plugin_id() const override { return inner_->plugin_id(); }
  InstanceStats stats() const override { return inner_->stats(); }
  os::SandboxReport sandbox() const override { return inner_->sandbox(); }
  Status health() const override { return inner_->health(); }
  bool RunBlocks() const override { return inner_->RunBlocks(); }
  void Run(Request request, std::unique_ptr<ResponseSink> sink) override;

 private:
  class SlotSink;
  struct Shared;

  // Null: it runs without a slot. A Status: it does not run.
  Result<std::shared_ptr<resources::Execution>> Begin(const Request& request);
  std::shared_ptr<resources::Execution> HoldForTexts(const resources::ExecutionOptions& options);

  resources::Backend& backend_;
  const std::shared_ptr<const BackendModel> model_;
  const bool boost_;
  std::atomic<int64_t> usual_ns_{-1};  // how long executions took lately; -1 = not known

  Mutex mu_;
  std::weak_ptr<resources::Execution> texts_ MLOS_GUARDED_BY(mu_);

  // Last, so that running calls end first.
  std::unique_ptr<Instance> inner_;
};

}  // namespace mlos::plugin
