// SPDX-License-Identifier: Apache-2.0
#include "plugin/remote_instance.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "plugin/input_check.h"

namespace mlos::plugin {

using worker::Waiter;

namespace {

constexpr size_t kMaxParked = 1024;
constexpr uint32_t kMaxAttempts = 3;
// How long after its deadline a worker may still answer that it passed.
constexpr int64_t kLateNs = 100'000'000;
// How long a worker may take to see that a request was cancelled before the host answers in its place.
constexpr int64_t kCancelNs = 1'000'000'000;

// A model that answers faster than this may be run by a thread that serves connections; such a thread does not wait longer than
// the second time for a worker that has stopped.
constexpr int64_t kShortNs = 1'000'000;
constexpr int64_t kPatienceNs = 20'000'000;

int64_t NowNs() { return Clock::Real().MonotonicNs(); }

}  // namespace

RemoteInstance::RemoteInstance(RemoteModel model)
    : model_(std::move(model)),
      boost_(model_.settings.boost),
      arenas_(model_.backend, model_.backend_model,
              [this](const std::string& text) { Log(LogLevel::kWarning, text); }),
      policy_(model_.settings.max_crashes) {}

Result<std::unique_ptr<Instance>> RemoteInstance::Load(RemoteModel model) {
  std::unique_ptr<RemoteInstance> instance(new RemoteInstance(std::move(model)));
  MLOS_ASSIGN_OR_RETURN(instance->wake_, os::WakeEvent::Create());
  std::promise<Status> loaded;
  std::future<Status> result = loaded.get_future();
  instance->supervisor_ = std::thread(
      [raw = instance.get(), promise = std::move(loaded)]() mutable { raw->Supervise(std::move(promise)); });
  MLOS_RETURN_IF_ERROR(result.get());
  return std::unique_ptr<Instance>(std::move(instance));
}

RemoteInstance::~RemoteInstance() {
  {
    MutexLock lock(mu_);
    while (open_calls_ > 0) idle_.Wait(mu_);
  }
  stopping_.store(true);
  if (wake_) wake_->Set();
  if (supervisor_.joinable()) supervisor_.join();
  // Interfaces that somebody still has keep no arena.
  input_arena_->Use(nullptr);
}

InstanceStats RemoteInstance::stats() const {
  InstanceStats out;
  out.calls_ok = ok_.load();
  out.calls_failed = failed_.load();
  out.busy_ns = busy_ns_.load();
  MutexLock lock(mu_);
  out.running = open_calls_;
  out.pid = pid_;
  out.restarts = restarts_;
  if (link_ != nullptr) {
    const worker::ControlHeader& header = link_->header();
    out.tokens_prompt = header.tokens_prompt.load(std::memory_order_relaxed);
    out.tokens_generated = header.tokens_generated.load(std::memory_order_relaxed);
    out.private_bytes = header.private_bytes.load(std::memory_order_relaxed);
  }
  return out;
}

int64_t RemoteInstance::WorkerPid() const {
  MutexLock lock(mu_);
  return pid_;
}

os::SandboxReport RemoteInstance::sandbox() const {
  MutexLock lock(mu_);
  return sandbox_;
}

Status RemoteInstance::health() const {
  MutexLock lock(mu_);
  if (state_ == State::kReady) return OkStatus();
  return Unavailable(reason_);
}

void RemoteInstance::Run(Request request, std::unique_ptr<ResponseSink> sink) {
  auto call = std::make_shared<RemoteCall>();
  call->started_ns = NowNs();
  std::shared_ptr<worker::SharedArena> inputs;
  {
    MutexLock lock(mu_);
    ++open_calls_;
    inputs = inputs_;
  }
  Status admitted = Admit(&request, &call->digest, inputs);
  call->request = std::move(request);
  call->sink = std::move(sink);
  if (!admitted.ok()) return Answer(call, std::move(admitted), {});
  if (call->request.cancel) {
    // Weak: a token may be kept long after its request.
    call->listener = call->request.cancel->AddListener([this, weak = std::weak_ptr(call)] {
      if (const CallPtr cancelled = weak.lock(); cancelled && !cancelled->claimed()) OnCancel(cancelled);
    });
  }
  if (call->request.priority <= Priority::kHigh) call->boost = boost_.Hold(WorkerPid());
  const bool generates = call->request.generation.has_value();
  const auto link = Dispatch(call, generates ? Waiter::kSocket : Waiter::kNone);
  if (link != nullptr && !generates) AwaitAnswer(*link, call);
}

Status RemoteInstance::Admit(Request* request, std::optional<RequestDigest>* digest,
                             const std::shared_ptr<worker::SharedArena>& inputs) {
  MLOS_RETURN_IF_ERROR(CheckRequest(interface_, *request));
  if (quarantine_.active()) {
    *digest = DigestOf(*request);
    if (const auto death = quarantine_.Refusal(**digest)) {
      return Unprocessable("this request is quarantined: it has ended the model's worker " +
                           std::to_string(Quarantine::kLives) + " times (the last one " + *death +
                           "); send other inputs");
    }
  }
  return PlaceInputs(request, inputs);
}

Status RemoteInstance::PlaceInputs(Request* request, const std::shared_ptr<worker::SharedArena>& inputs) {
  for (NamedTensor& input : request->inputs) {
    const std::span<const std::byte> data = input.tensor.data();
    if (data.empty() || inputs->OffsetOf(data.data(), data.size())) continue;
    MLOS_ASSIGN_OR_RETURN(Tensor copy,
                          Tensor::Copy(input.tensor.dtype(), input.tensor.shape(), data, inputs));
    if (copy.arena() != inputs.get()) {
      return Unavailable("the shared memory for inputs is full (" + std::to_string(data.size()) +
                         " bytes wanted for '" + input.name + "'): retry later");
    }
    input.tensor = std::move(copy);
  }
  return OkStatus();
}

std::shared_ptr<WorkerLink> RemoteInstance::Dispatch(const CallPtr& call, Waiter waiter) {
  while (true) {
    std::shared_ptr<WorkerLink> link;
    Status refused;
    {
      MutexLock lock(mu_);
      if (state_ == State::kReady) {
        link = link_;
      } else if (state_ == State::kGivenUp || parked_.size() >= kMaxParked ||
                 call->attempts >= kMaxAttempts) {
        refused = Unavailable(reason_ + ": retry later");
      } else {
        parked_.push_back(call);
        return nullptr;
      }
    }
    if (link == nullptr) {
      Answer(call, std::move(refused), {});
      return nullptr;
    }
    // It may have waited for this worker in an arena of another one.
    Status submitted = PlaceInputs(&call->request, link->inputs());
    if (submitted.ok()) submitted = link->Submit(call, waiter);
    if (submitted.ok()) return link;
    if (submitted.code() != Code::kFailedPrecondition) {
      Answer(call, std::move(submitted), {});
      return nullptr;
    }
    // The worker died a moment ago, and the supervisor is about to say so; or another one has taken its place.
    MutexLock lock(mu_);
    if (state_ == State::kReady && link_ == link) {
      parked_.push_back(call);
      return nullptr;
    }
  }
}

void RemoteInstance::AwaitAnswer(WorkerLink& link, const CallPtr& call) {
  const int64_t deadline_ns = call->request.deadline_ns;
  const bool is_short = link.usual_ns() >= 0 && link.usual_ns() < kShortNs;
  while (true) {
    int64_t until_ns = NowNs() + (is_short ? kPatienceNs : kCancelNs);
    if (deadline_ns != 0) until_ns = std::min(until_ns, deadline_ns + kLateNs);
    switch (link.WaitFor(*call, until_ns)) {
      case WorkerLink::Outcome::kDone:
        return TakeAnswer(link, call);
      case WorkerLink::Outcome::kDead:
        // The supervisor answers, or has the next worker run it.
        return;
      case WorkerLink::Outcome::kTimeout:
        break;
    }
    const int64_t stop_ns = call->stop_ns.load();
    if (is_short) {
      // The supervisor takes the answer.
      if (!link.Detach(*call)) TakeAnswer(link, call);
      return;
    }
    const bool late = deadline_ns != 0 && NowNs() >= deadline_ns + kLateNs;
    if (!late && (stop_ns == 0 || NowNs() < stop_ns + kCancelNs)) continue;
    // The worker ends with it when it can; until then the call keeps its slot and its inputs.
    const bool done = !link.Detach(*call);
    link.Cancel(*call);
    Answer(call,
           late ? DeadlineExceeded("the deadline passed while the model was running")
                : Cancelled("cancelled while the model was running"),
           {});
    if (done) TakeAnswer(link, call);
    return;
  }
}

void RemoteInstance::OnCancel(const CallPtr& call) {
  call->stop_ns.store(NowNs());
  std::shared_ptr<WorkerLink> links[2];
  {
    MutexLock lock(mu_);
    links[0] = link_;
    links[1] = leaving_link_;
  }
  for (const auto& link : links) {
    if (link != nullptr) link->Cancel(*call);
  }
  // For one that waits for the next worker.
  wake_->Set();
}

void RemoteInstance::TakeAnswer(WorkerLink& link, const CallPtr& call) {
  auto taken = link.Take(call);
  if (!taken) return;
  if (!taken->ok()) return Answer(call, taken->status().WithContext("plugin '" + plugin_id() + "'"), {});
  worker::DecodedResponse& decoded = taken->value();
  answered_by_worker_.fetch_add(1, std::memory_order_relaxed);
  if (call->digest) quarantine_.Clear(*call->digest);
  decoded.response.text = std::move(call->text);
  if (call->refused && decoded.status.ok())
    decoded.status = Cancelled("the receiver of the text refused more");
  const Generation* generation = call->request.generation ? &*call->request.generation : nullptr;
  const size_t outputs = decoded.response.outputs.size();
  if (decoded.status.ok() && generation == nullptr && outputs == 0 && !interface_.outputs.empty()) {
    decoded.status = Internal("plugin '" + plugin_id() + "': the worker's answer has no outputs");
  }
  Answer(call, std::move(decoded.status), std::move(decoded.response));
}

void RemoteInstance::Answer(const CallPtr& call, Status status, Response response) {
  if (!call->Claim()) return;
  if (call->request.cancel) call->request.cancel->RemoveListener(call->listener);
  const int64_t took_ns = NowNs() - call->started_ns;
  response.timing.total_ns = took_ns;
  (status.ok() ? ok_ : failed_).fetch_add(1, std::memory_order_relaxed);
  busy_ns_.fetch_add(took_ns, std::memory_order_relaxed);
  call->sink->OnDone(std::move(status), std::move(response));
  // Notified under the lock: the destructor may run as soon as it is free.
  MutexLock lock(mu_);
  if (--open_calls_ == 0) idle_.NotifyAll();
}

}  // namespace mlos::plugin
