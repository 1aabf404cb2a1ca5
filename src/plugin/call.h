// SPDX-License-Identifier: Apache-2.0
// One running execute() or generate(): what both have in common. How it ends is decided here, once.
//
//   created -> armed -> (stopped) -> finished
//
// A call is over when both the plugin's function has returned and done() has been handled, in either order.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "base/status.h"
#include "infer/request.h"
#include "plugin/deadline_timer.h"
#include "plugin/plugin_library.h"
#include "smi/smi.h"

namespace mlos::plugin {

// What a call needs of the loaded model.
struct CallContext {
  const PluginLibrary* library = nullptr;
  smi_model* model = nullptr;
  DeadlineTimer* timer = nullptr;
};

// Thread-safe. Owned by shared pointers: the starter, the call table, listeners (weakly).
class Call : public std::enable_shared_from_this<Call> {
 public:
  // `on_over` is called once, when the call is over (see above); nothing of the call is used afterwards.
  Call(CallContext context, Request request, std::unique_ptr<ResponseSink> sink,
       std::function<void(bool ok)> on_over);
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Hands the call to the plugin and answers the sink if the plugin refuses it. Once.
  void Start();

 protected:
  // Calls the plugin; `slot` is where it publishes its smi_call, `ctx` what its sink functions get first.
  virtual smi_code Invoke(void* ctx, smi_call** slot, smi_error* error) = 0;
  // Turns what the plugin has delivered into an answer; called when done() came with SMI_OK.
  virtual Status Complete(Response* response) MLOS_REQUIRES(sink_mu_) = 0;

  // For done(): the first time ends the call, later times are logged. `code` and `error` are the plugin's.
  void Finish(smi_code code, const smi_error* error, const Timing& timing);
  // For the other sink functions, under sink_mu_: true, and logged, when the call has ended already.
  bool IsLate(const char* function);
  // Remembers why the plugin's answer is worthless and what the sink gets in its place; the first reason stays.
  void Distrust(Status why) MLOS_REQUIRES(sink_mu_);

  // Of these, only log_ may be used when the call is over: the model may be gone.
  const CallContext context_;
  const std::shared_ptr<const PluginLog> log_;
  Request request_;
  // Held while a sink function runs: a plugin that overlaps them gets them one after another.
  Mutex sink_mu_;
  const std::unique_ptr<ResponseSink> sink_;

 private:
  enum class StopReason { kNone, kCancelled, kDeadline };

  void Arm();
  void Disarm();
  void Stop(StopReason reason);
  void TryCancel(int64_t retry_ns);
  void HalfOver();
  Status Verdict(smi_code code, const smi_error* error) MLOS_REQUIRES(sink_mu_);

  const std::function<void(bool ok)> on_over_;
  const int64_t started_ns_;
  uint64_t id_ = 0;

  // Set by Arm before the plugin is called.
  uint64_t listener_ = 0;
  std::optional<DeadlineTimer::Key> alarm_;

  // Guarded by mu_, which is never held while a sink function of the host runs.
  Mutex mu_;
  bool finished_ MLOS_GUARDED_BY(mu_) = false;
  bool cancel_sent_ MLOS_GUARDED_BY(mu_) = false;
  StopReason stop_ MLOS_GUARDED_BY(mu_) = StopReason::kNone;

  // Written by the plugin, possibly on another thread (smi_publish_call).
  smi_call* published_ = nullptr;
  Status distrust_ MLOS_GUARDED_BY(sink_mu_);
  std::atomic<int> halves_left_{2};
  std::atomic<bool> ok_{false};
};

}  // namespace mlos::plugin
