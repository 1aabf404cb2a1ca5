// SPDX-License-Identifier: Apache-2.0
#include "plugin/call.h"

#include <algorithm>

#include "base/clock.h"
#include "plugin/call_table.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

constexpr int64_t kFirstRetryNs = 1'000'000;
constexpr int64_t kLongestRetryNs = 100'000'000;

}  // namespace

Call::Call(CallContext context, Request request, std::unique_ptr<ResponseSink> sink,
           std::function<void(bool ok)> on_over)
    : context_(context),
      log_(context.library->log()),
      request_(std::move(request)),
      sink_(std::move(sink)),
      on_over_(std::move(on_over)),
      started_ns_(Clock::Real().MonotonicNs()) {}

void Call::Start() {
  id_ = CallTable::Process().Add({shared_from_this(), log_});
  Arm();
  smi_error error = EmptyError();
  const smi_code code = Invoke(CallTable::ToContext(id_), &published_, &error);
  if (code != SMI_OK) Finish(code, &error, Timing());
  HalfOver();
}

void Call::Arm() {
  // Weak: a token may be kept long after its request.
  const std::weak_ptr<Call> weak = weak_from_this();
  const auto stop = [weak](StopReason reason) {
    if (const auto call = weak.lock()) call->Stop(reason);
  };
  if (request_.deadline_ns != 0) {
    alarm_ = context_.timer->Add(request_.deadline_ns, [stop] { stop(StopReason::kDeadline); });
  }
  if (request_.cancel) listener_ = request_.cancel->AddListener([stop] { stop(StopReason::kCancelled); });
}

void Call::Disarm() {
  if (alarm_) context_.timer->Remove(*alarm_);
  if (request_.cancel) request_.cancel->RemoveListener(listener_);
}

void Call::Stop(StopReason reason) {
  {
    MutexLock lock(mu_);
    if (stop_ == StopReason::kNone) stop_ = reason;
  }
  TryCancel(kFirstRetryNs);
}

void Call::TryCancel(int64_t retry_ns) {
  MutexLock lock(mu_);
  if (finished_ || cancel_sent_ || (context_.library->capabilities() & SMI_CAP_CANCEL) == 0) return;
  smi_call* const running = __atomic_load_n(&published_, __ATOMIC_ACQUIRE);
  if (running != nullptr) {
    cancel_sent_ = true;
    context_.library->api().cancel(context_.model, running);
    return;
  }
  // The plugin is between being called and publishing its call, or never will.
  context_.timer->Add(Clock::Real().MonotonicNs() + retry_ns, [weak = weak_from_this(), retry_ns] {
    if (const auto call = weak.lock()) call->TryCancel(std::min(2 * retry_ns, kLongestRetryNs));
  });
}

bool Call::IsLate(const char* function) {
  MutexLock lock(mu_);
  if (finished_) log_->Write(LogLevel::kError, std::string(function) + " was called after done(); ignored");
  return finished_;
}

void Call::Distrust(Status why) {
  if (distrust_.ok()) distrust_ = std::move(why);
}

Status Call::Verdict(smi_code code, const smi_error* error) {
  if (!distrust_.ok()) return distrust_.WithContext("plugin '" + context_.library->id() + "'");
  StopReason stop = StopReason::kNone;
  {
    MutexLock lock(mu_);
    stop = stop_;
  }
  if (code == SMI_CANCELLED && stop == StopReason::kDeadline) {
    return DeadlineExceeded("the deadline passed while the model was running");
  }
  return StatusFromSmi(code, error, context_.library->id());
}

void Call::Finish(smi_code code, const smi_error* error, const Timing& timing) {
  {
    MutexLock sink_lock(sink_mu_);
    if (IsLate("done()")) return;
    {
      MutexLock lock(mu_);
      finished_ = true;
    }
    Disarm();
    Response response;
    response.timing = timing;
    Status status = Verdict(code, error);
    if (status.ok()) {
      status = Complete(&response).WithContext("plugin '" + context_.library->id() + "'");
    }
    response.timing.total_ns = Clock::Real().MonotonicNs() - started_ns_;
    ok_.store(status.ok());
    sink_->OnDone(std::move(status), std::move(response));
  }
  HalfOver();
}

void Call::HalfOver() {
  if (halves_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  CallTable::Process().Retire(id_);
  on_over_(ok_.load());
}

}  // namespace mlos::plugin
