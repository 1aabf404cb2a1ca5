// SPDX-License-Identifier: Apache-2.0
// A model loaded in a worker process, which is watched and started again when it dies.
//
//   starting -> ready <-> restarting -> given up
//
// What happens to requests when the worker dies: those that were running fail with kUnavailable, those that waited for a
// thread of the worker, and those that come while it starts again, are run by the next one.
//
// When the worker's arenas are to go (the kernel module they lie in is gone, or has no more memory), the next one is started beside it and
// gets the requests from then on; the worker ends when it has answered what it had. No request fails, and memory is needed for two
// meanwhile, of one model at a time.
#pragma once

#include <atomic>
#include <deque>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "plugin/arena_source.h"
#include "plugin/backend_model.h"
#include "plugin/input_arena.h"
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
  LogFn log;                                          // may be empty
  std::shared_ptr<WeightCache> cache;                 // null: none, or the plugin does not use it
  resources::Backend* backend = nullptr;              // of the arenas; may be null
  std::shared_ptr<const BackendModel> backend_model;  // likewise
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

  // Input arenas, and what holds their memory.
  struct Inputs {
    std::shared_ptr<worker::SharedArena> arena;
    ArenaBuffer buffer;
  };
  // A worker process and the requests with it. For the supervisor's thread.
  struct Worker {
    std::unique_ptr<WeightCache::Draft> draft;  // goes after the process
    std::unique_ptr<WorkerProcess> process;
    Inputs inputs;
    ArenaBuffer outputs;
    std::shared_ptr<WorkerLink> link;  // null: it takes no requests yet
    uint64_t last_beat = 0;
    int64_t last_beat_ns = 0;
    int64_t unload_ns = 0;  // when it was asked to end; 0 = not
  };

  explicit RemoteInstance(RemoteModel model);

  // On the thread of the caller.
  Status Admit(Request* request, std::optional<RequestDigest>* digest,
               const std::shared_ptr<worker::SharedArena>& inputs);
  Status PlaceInputs(Request* request, const std::shared_ptr<worker::SharedArena>& inputs);
  // The link that has the call now, or null: it waits for the next worker, or has been answered.
  std::shared_ptr<WorkerLink> Dispatch(const CallPtr& call, worker::Waiter waiter);
  void AwaitAnswer(WorkerLink& link, const CallPtr& call);
  void OnCancel(const CallPtr& call);
  void TakeAnswer(WorkerLink& link, const CallPtr& call);
  // Answers the sink, once.
  void Answer(const CallPtr& call, Status status, Response response);

  // On the supervisor's thread.
  void Supervise(std::promise<Status> loaded);
  Result<Inputs> MakeInputs();
  // A worker that has loaded the model. Looks after those that are there meanwhile.
  Result<Worker> BringUp();
  Status StartProcess(Worker* worker);
  Result<ModelInterface> LoadInWorker(const Worker& worker);
  Status AdoptInterface(ModelInterface interface);
  void BecomeReady(Worker worker);
  // Until the worker is dead or the instance ends; why.
  std::string Serve();
  // One look at a worker without waiting: a reason when it must go, empty when it went by itself.
  std::optional<std::string> LookAfter(Worker& worker);
  std::optional<std::string> ReadMessages(Worker& worker);
  std::optional<std::string> Tick(Worker& worker);
  bool TickCall(WorkerLink& link, const CallPtr& call, int64_t now_ns);
  bool WantsOtherArenas();
  void Replace();
  void LookAfterLeaving();
  // `reason` is empty when it died by itself. Answers how it died.
  std::string BuryWorker(const std::string& reason);
  // Ends the process; what was with it is answered, or goes to the next worker. Logs and answers how it died.
  std::string End(Worker worker, const std::string& reason);
  void DropLateParked();
  void GiveUp(const std::string& reason);
  bool SleepUntil(int64_t at_ns);
  int64_t WorkerPid() const;
  void Log(LogLevel level, const std::string& text) const;

  // Constant after Load.
  const RemoteModel model_;
  ModelInterface interface_;
  // Puts into inputs_; of the interface, for those who make requests.
  const std::shared_ptr<InputArena> input_arena_ = std::make_shared<InputArena>();

  resources::ProcessBoost boost_;
  Quarantine quarantine_;
  std::atomic<bool> stopping_{false};
  std::optional<os::WakeEvent> wake_;

  // Of the supervisor's thread.
  ArenaSource arenas_;
  Inputs inputs_kept_;               // of the last worker that was ready
  Worker worker_;                    // without a process while it is dead
  std::optional<Worker> leaving_;    // another one has taken its place; ends when it has answered
  std::optional<std::string> lost_;  // how worker_ was lost while its successor started
  int64_t next_replacement_ns_ = 0;  // not before
  int64_t replacement_wait_ns_ = 0;  // grows while successors fail
  RestartPolicy policy_;
  bool has_interface_ = false;

  std::atomic<uint64_t> ok_{0};
  std::atomic<uint64_t> failed_{0};
  std::atomic<int64_t> busy_ns_{0};
  std::atomic<uint64_t> answered_by_worker_{0};

  mutable Mutex mu_;
  CondVar idle_;
  State state_ MLOS_GUARDED_BY(mu_) = State::kStarting;
  std::string reason_ MLOS_GUARDED_BY(mu_);  // of the last death
  std::shared_ptr<worker::SharedArena> inputs_
      MLOS_GUARDED_BY(mu_);  // where inputs are put; that of link_ when there is one
  std::shared_ptr<WorkerLink> link_ MLOS_GUARDED_BY(mu_);
  std::shared_ptr<WorkerLink> leaving_link_ MLOS_GUARDED_BY(mu_);
  std::deque<CallPtr> parked_ MLOS_GUARDED_BY(mu_);
  uint32_t open_calls_ MLOS_GUARDED_BY(mu_) = 0;
  int64_t pid_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t restarts_ MLOS_GUARDED_BY(mu_) = 0;
  os::SandboxReport sandbox_ MLOS_GUARDED_BY(mu_);

  std::thread supervisor_;
};

}  // namespace mlos::plugin
