// SPDX-License-Identifier: Apache-2.0
#include "plugin/slotted_instance.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace mlos::plugin {

using resources::Execution;
using resources::ExecutionClass;
using resources::ExecutionOptions;

namespace {

constexpr int64_t kShortNs = 1'000'000;

}  // namespace

// Ends the execution before the answer goes on.
class SlottedInstance::SlotSink final : public ResponseSink {
 public:
  SlotSink(std::unique_ptr<ResponseSink> sink, std::shared_ptr<Execution> execution,
           std::atomic<int64_t>* usual_ns)
      : sink_(std::move(sink)),
        execution_(std::move(execution)),
        usual_ns_(usual_ns),
        begun_ns_(Clock::Real().MonotonicNs()) {}

  bool OnText(std::string_view piece) override { return sink_->OnText(piece); }
  void OnDone(Status status, Response response) override {
    if (usual_ns_ != nullptr && status.ok()) {
      const int64_t took_ns = Clock::Real().MonotonicNs() - begun_ns_;
      const int64_t before_ns = usual_ns_->load(std::memory_order_relaxed);
      usual_ns_->store(before_ns < 0 ? took_ns : before_ns + (took_ns - before_ns) / 8,
                       std::memory_order_relaxed);
    }
    if (usual_ns_ != nullptr && execution_ != nullptr && !status.ok()) execution_->Fail();
    execution_.reset();
    sink_->OnDone(std::move(status), std::move(response));
  }

 private:
  const std::unique_ptr<ResponseSink> sink_;
  std::shared_ptr<Execution> execution_;
  std::atomic<int64_t>* const usual_ns_;  // null for texts, whose slot is not theirs alone
  const int64_t begun_ns_;
};

void SlottedInstance::Run(Request request, std::unique_ptr<ResponseSink> sink) {
  Result<std::shared_ptr<Execution>> execution = Begin(request);
  if (!execution.ok()) return sink->OnDone(execution.status(), {});
  std::atomic<int64_t>* const usual_ns = request.generation ? nullptr : &usual_ns_;
  inner_->Run(std::move(request),
              std::make_unique<SlotSink>(std::move(sink), std::move(*execution), usual_ns));
}

Result<std::shared_ptr<Execution>> SlottedInstance::Begin(const Request& request) {
  if (backend_.slots() == 0) return std::shared_ptr<Execution>();
  ExecutionOptions options{.model = model_->id(),
                           .execution_class = static_cast<ExecutionClass>(request.priority),
                           .deadline_ns = request.deadline_ns,
                           .threads = std::max<uint32_t>(request.n_threads, 1),
                           .boost = boost_};
  if (request.generation) return HoldForTexts(options);
  const int64_t usual_ns = usual_ns_.load(std::memory_order_relaxed);
  options.wait = usual_ns < 0 || usual_ns >= kShortNs;
  if (request.cancel) options.stop = [cancel = request.cancel] { return cancel->cancelled(); };
  Result<std::unique_ptr<Execution>> execution = backend_.Begin(options);
  if (execution.ok()) return std::shared_ptr<Execution>(std::move(*execution));
  const Code code = execution.status().code();
  if (code == Code::kDeadlineExceeded || code == Code::kCancelled) return execution.status();
  // A slot is a favour to the others; a model does not stand still for want of one.
  return std::shared_ptr<Execution>();
}

std::shared_ptr<Execution> SlottedInstance::HoldForTexts(const ExecutionOptions& options) {
  MutexLock lock(mu_);
  std::shared_ptr<Execution> held = texts_.lock();
  if (held != nullptr) return held;
  ExecutionOptions mine = options;
  mine.wait = false;
  mine.deadline_ns = 0;
  mine.boost = false;
  Result<std::unique_ptr<Execution>> execution = backend_.Begin(mine);
  if (!execution.ok()) return nullptr;
  held = std::move(*execution);
  // How long a text takes says nothing of the next one.
  held->Fail();
  texts_ = held;
  return held;
}

}  // namespace mlos::plugin
