// SPDX-License-Identifier: Apache-2.0
// A model loaded in this process.
#pragma once

#include <memory>

#include "base/mutex.h"
#include "plugin/call.h"
#include "plugin/deadline_timer.h"
#include "plugin/instance.h"
#include "plugin/plugin_library.h"

namespace mlos::plugin {

class LocalInstance final : public Instance {
 public:
  static Result<std::unique_ptr<Instance>> Load(std::shared_ptr<PluginLibrary> library,
                                                std::shared_ptr<DeadlineTimer> timer,
                                                const LoadOptions& options);
  ~LocalInstance() override;

  const ModelInterface& interface() const override { return interface_; }
  const std::string& plugin_id() const override { return library_->id(); }
  InstanceStats stats() const override;
  void Run(Request request, std::unique_ptr<ResponseSink> sink) override;

 private:
  LocalInstance(std::shared_ptr<PluginLibrary> library, std::shared_ptr<DeadlineTimer> timer,
                smi_model* model);
  void AwaitTurn();
  void Ended(bool ok, int64_t started_ns);
  void Unload();

  // Constant after Load.
  const std::shared_ptr<PluginLibrary> library_;
  const std::shared_ptr<DeadlineTimer> timer_;
  smi_model* const model_;
  ModelInterface interface_;
  bool concurrent_ = false;

  // Guarded by mu_.
  mutable Mutex mu_;
  CondVar turn_;
  CondVar idle_;
  uint32_t waiting_ MLOS_GUARDED_BY(mu_) = 0;
  uint32_t running_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t ok_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t failed_ MLOS_GUARDED_BY(mu_) = 0;
  int64_t busy_ns_ MLOS_GUARDED_BY(mu_) = 0;
};

// `options` as SMI wants them. The strings of `options` and the returned object must outlive `params`.
struct BorrowedLoadParams {
  explicit BorrowedLoadParams(const LoadOptions& options);
  std::string package_dir;
  std::string path;
  std::vector<smi_option> options;
  smi_load_params params{};
};

// What the plugin expects the model to take.
Result<Estimate> EstimateWith(const PluginLibrary& library, const LoadOptions& options);

}  // namespace mlos::plugin
