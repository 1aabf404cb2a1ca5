// SPDX-License-Identifier: Apache-2.0
// The requests that are with one worker process: slots of its control memory, from the submission of a call to its answer.
// The other side is worker/call_pool.h.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "infer/request.h"
#include "plugin/quarantine.h"
#include "resources/thread_boost.h"
#include "worker/link/channel.h"
#include "worker/link/layout.h"
#include "worker/link/payload.h"

namespace mlos::plugin {

// One request on its way through a worker. Shared by the thread that runs it, the supervisor and, weakly, its cancel token.
struct RemoteCall {
  Request request;
  std::unique_ptr<ResponseSink> sink;
  int64_t started_ns = 0;
  std::optional<RequestDigest> digest;  // known when the quarantine was active
  uint64_t listener = 0;
  std::shared_ptr<const resources::ThreadBoost> boost;  // of the worker, for the life of the call

  // True for the one who answers the sink.
  bool Claim() { return !claimed_.exchange(true); }
  bool claimed() const { return claimed_.load(); }

  std::atomic<int64_t> stop_ns{0};  // when it was cancelled; 0 = not

  // Guarded by the mutex of the link that has the call.
  uint64_t id = 0;
  uint32_t slot = 0;
  std::byte* request_block = nullptr;
  uint32_t attempts = 0;

  // Of the supervisor's thread.
  std::string text;
  bool refused = false;  // the sink wants no more text

 private:
  std::atomic<bool> claimed_{false};
};

// Thread-safe. Lives as long as a call of it.
class WorkerLink {
 public:
  // `spin_ns`: how long WaitFor looks before it sleeps.
  WorkerLink(std::shared_ptr<worker::Channel> channel, std::shared_ptr<os::SharedMemory> control,
             std::shared_ptr<os::SharedMemory> output, std::shared_ptr<worker::SharedArena> inputs,
             const ModelInterface& interface, int64_t spin_ns);

  // Gives the call, whose inputs must lie in inputs(), to the worker. kFailedPrecondition when that is dead or retired; kUnavailable
  // when there is no room.
  Status Submit(const std::shared_ptr<RemoteCall>& call, worker::Waiter waiter);

  enum class Outcome { kDone, kDead, kTimeout };
  // Sleeps until the worker has answered, is dead, or the time (CLOCK_MONOTONIC) has come.
  Outcome WaitFor(const RemoteCall& call, int64_t until_ns);
  // How long answers took lately; negative when there was none yet.
  int64_t usual_ns() const { return usual_ns_.load(std::memory_order_relaxed); }
  // From now on the worker tells of the answer by message. False when it is there already.
  bool Detach(const RemoteCall& call);
  // The answer of a call that is done; frees its slot. Nothing when someone else has taken it.
  std::optional<Result<worker::DecodedResponse>> Take(const std::shared_ptr<RemoteCall>& call);
  // Submits nothing from now on (kFailedPrecondition); what is with the worker goes on.
  void Retire();
  // Asks the worker to stop; does nothing for a call that is not with it.
  void Cancel(const RemoteCall& call);

  std::shared_ptr<RemoteCall> Find(uint64_t call_id);
  std::vector<std::shared_ptr<RemoteCall>> Calls();

  struct Lost {
    std::shared_ptr<RemoteCall> call;
    bool started = false;   // the plugin had it
    bool answered = false;  // the answer is there: Take it
  };
  // The worker is dead: nothing is submitted any more, sleepers wake with kDead. What was with it.
  std::vector<Lost> Die();

  const std::shared_ptr<worker::SharedArena>& inputs() const { return inputs_; }
  uint64_t heartbeat() const { return header().heartbeat.load(std::memory_order_relaxed); }
  const worker::ControlHeader& header() const { return control_view_.header(); }

 private:
  class OutputView;

  void Ring();
  void FreeSlot(RemoteCall& call) MLOS_REQUIRES(mu_);
  Result<worker::DecodedResponse> Read(const RemoteCall& call) const;
  bool Spin(const worker::Slot& slot);

  // Constant after construction.
  const std::shared_ptr<worker::Channel> channel_;
  const std::shared_ptr<os::SharedMemory> control_;
  const std::shared_ptr<os::SharedMemory> output_;
  const std::shared_ptr<worker::SharedArena> inputs_;
  const worker::ControlView control_view_;
  const ModelInterface& interface_;
  const int64_t spin_ns_;
  const std::shared_ptr<TensorArena> output_view_;

  std::atomic<int64_t> usual_ns_{-1};
  std::atomic<bool> dead_{false};

  Mutex mu_;
  bool retired_ MLOS_GUARDED_BY(mu_) = false;
  uint64_t last_number_ MLOS_GUARDED_BY(mu_) = 0;
  uint64_t submit_tail_ MLOS_GUARDED_BY(mu_) = 0;
  std::vector<uint32_t> free_slots_ MLOS_GUARDED_BY(mu_);
  std::array<std::shared_ptr<RemoteCall>, worker::kSlots> calls_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::plugin
