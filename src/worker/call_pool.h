// SPDX-License-Identifier: Apache-2.0
// The threads of a worker that take requests out of the control memory, run them and write the answers back.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "plugin/instance.h"
#include "worker/link/channel.h"
#include "worker/link/layout.h"
#include "worker/link/shared_arena.h"

namespace mlos::worker {

// What the host has shared with this process.
struct SharedParts {
  std::shared_ptr<os::SharedMemory> control;
  std::shared_ptr<os::SharedMemory> input;  // read-only here
  std::shared_ptr<SharedArena> output;
};

// One thread looks or sleeps for every request that may come: when the last idle one takes a request, another is started.
class CallPool {
 public:
  // `instance` and `channel` must outlive this.
  CallPool(SharedParts parts, Channel& channel, plugin::Instance& instance, uint32_t max_threads,
           uint32_t spin_us);
  // Waits for running calls.
  ~CallPool();
  CallPool(const CallPool&) = delete;
  CallPool& operator=(const CallPool&) = delete;

  // Asks the call to stop, when it runs.
  void Cancel(uint64_t call_id);

 private:
  friend class CallSink;
  struct Running {
    uint64_t call_id = 0;
    std::shared_ptr<CancelToken> cancel;  // null: the slot is not running
  };

  void Loop();
  void StartThread() MLOS_REQUIRES(mu_);
  // A slot to serve; false when there is none.
  bool Take(uint32_t* index);
  bool LookFor(uint32_t* index);
  bool WorthLooking();
  void Sleep();
  void Serve(uint32_t index);
  Result<Request> Read(const Slot& slot) const;
  void Finish(uint32_t index, uint64_t call_id, const Status& status, Response response);
  void Write(Slot& slot, const Status& status, Response* response);

  // Constant after construction.
  const SharedParts parts_;
  const ControlView control_;
  Channel& channel_;
  plugin::Instance& instance_;
  const uint32_t max_threads_;
  const int64_t spin_ns_;
  const std::shared_ptr<TensorArena> borrowed_;

  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> idle_{0};
  std::atomic<uint32_t> misses_{0};  // looks in vain, since one that was not

  Mutex take_mu_;
  uint64_t head_ MLOS_GUARDED_BY(take_mu_) = 0;

  Mutex mu_;
  std::vector<std::thread> threads_ MLOS_GUARDED_BY(mu_);
  std::array<Running, kSlots> running_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::worker
