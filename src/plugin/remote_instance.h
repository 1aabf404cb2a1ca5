// SPDX-License-Identifier: Apache-2.0
// A model loaded in a worker process, which is watched and started again when it dies.
//
//   starting -> ready <-> restarting -> given up
//
// What happens to requests when the worker dies: those that were running fail with kUnavailable, those that waited for a
// thread of the worker, and those that come while it starts again, are run by the next one.
#pragma once

#include <atomic>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "plugin/instance.h"
#include "plugin/quarantine.h"
#include "plugin/restart_policy.h"
#include "plugin/weight_cache.h"
#include "plugin/worker_link.h"
#include "plugin/worker_process.h"
#include "resources/thread_boost.h"

namespace mlos::plugin {

// What the instance is made of, at every start of its worker.
struct RemoteModel {
  PluginDescription plugin;
  OptionList plugin_options;
  LoadOptions load;
  WorkerSettings settings;
  LogFn log;                           // may be empty
  std::shared_ptr<WeightCache> cache;  // null: none, or the plugin does not use it
};

class RemoteInstance final : public Instance {
 public:
  // Blocks while the model loads.
  static Result<std::unique_ptr<Instance>> Load(RemoteModel model);
  ~RemoteInstance() override;

  const ModelInterface& interface() const override { return interface_; }
  const std::string& plugin_id() const override { return model_.plugin.id; }
  InstanceStats stats() const override;
  os::SandboxReport sandbox() const override;
  Status health() const override;
  void Run(Request request, std::unique_ptr<ResponseSink> sink) override;

 private:
  enum class State { kStarting, kReady, kRestarting, kGivenUp };
  using CallPtr = std::shared_ptr<RemoteCall>;

  explicit RemoteInstance(RemoteModel model, std::shared_ptr<worker::SharedArena> inputs);

  // On the thread of the caller.
  Status Admit(Request* request, std::optional<RequestDigest>* digest);
  Status PlaceInputs(Request* request);
  // The link that has the call now, or null: it waits for the next worker, or has been answered.
  std::shared_ptr<WorkerLink> Dispatch(const CallPtr& call, worker::Waiter waiter);
  void AwaitAnswer(WorkerLink& link, const CallPtr& call);
  void OnCancel(const CallPtr& call);
  void TakeAnswer(WorkerLink& link, const CallPtr& call);
  // Answers the sink, once.
  void Answer(const CallPtr& call, Status status, Response response);

  // On the supervisor's thread.
  void Supervise(std::promise<Status> loaded);
  Status BringUp();
  Status StartWorker();
  Result<ModelInterface> LoadInWorker();
  Status AdoptInterface(ModelInterface interface);
  void BecomeReady();
  // Until the worker is dead or the instance ends; why.
  std::string Serve();
  std::optional<std::string> ReadMessages();
  std::optional<std::string> Tick();
  bool TickCall(const CallPtr& call, int64_t now_ns);
  // `reason` is empty when it died by itself. Answers how it died.
  std::string BuryWorker(const std::string& reason);
  void DropLateParked();
  void GiveUp(const std::string& reason);
  bool SleepUntil(int64_t at_ns);
  std::shared_ptr<WorkerLink> Link() const;
  int64_t WorkerPid() const;
  void Log(LogLevel level, const std::string& text) const;

  // Constant after Load.
  const RemoteModel model_;
  const std::shared_ptr<worker::SharedArena> inputs_;
  ModelInterface interface_;

  resources::ProcessBoost boost_;
  Quarantine quarantine_;
  std::atomic<bool> stopping_{false};
  std::optional<os::WakeEvent> wake_;

  // Of the supervisor's thread.
  std::unique_ptr<WeightCache::Draft> draft_;
  std::unique_ptr<WorkerProcess> process_;
  RestartPolicy policy_;
  uint64_t last_beat_ = 0;
  int64_t last_beat_ns_ = 0;
  bool has_interface_ = false;

  std::atomic<uint64_t> ok_{0};
  std::atomic<uint64_t> failed_{0};
  std::atomic<int64_t> busy_ns_{0};
  std::atomic<uint64_t> answered_by_worker_{0};

  mutable Mutex mu_;
  CondVar idle_;
  State state_ MLOS_GUARDED_BY(mu_) = State::kStarting;
  std::string reason_ MLOS_GUARDED_BY(mu_);  // of the last death
  std::shared_ptr<WorkerLink> link_ MLOS_GUARDED_BY(mu_);
  std::deque<CallPtr> parked_ MLOS_GUARDED_BY(mu_);
  uint32_t open_calls_ MLOS_GUARDED_BY(mu_) = 0;
  int64_t pid_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t restarts_ MLOS_GUARDED_BY(mu_) = 0;
  os::SandboxReport sandbox_ MLOS_GUARDED_BY(mu_);

  std::thread supervisor_;
};

}  // namespace mlos::plugin
