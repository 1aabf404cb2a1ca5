// SPDX-License-Identifier: Apache-2.0
#include "serving/call.h"

#include <algorithm>
#include <utility>

#include "serving/batch_run.h"

namespace mlos::serving {
namespace {

// Texts up to this size together are tokenized where they arrive: that takes less than a change of threads is worth waiting for.
constexpr size_t kShortTextBytes = 512;
// Sizes of texts that are not tokenized yet are kept apart from sizes of tensors.
constexpr uint64_t kTextSize = uint64_t{1} << 40;

sched::TaskClass ClassOf(Priority priority) {
  switch (priority) {
    case Priority::kRealtime:
      return sched::TaskClass::kRealtime;
    case Priority::kHigh:
      return sched::TaskClass::kHigh;
    case Priority::kNormal:
      return sched::TaskClass::kNormal;
    case Priority::kBatch:
      return sched::TaskClass::kBatch;
  }
  return sched::TaskClass::kNormal;
}

size_t TextBytes(const Request& request) {
  size_t bytes = 0;
  for (const std::string& text : request.texts) bytes += text.size();
  return bytes;
}

}  // namespace

// Receives the plugin's answer; owns the call from then on.
class CallSink final : public ResponseSink {
 public:
  explicit CallSink(std::unique_ptr<Call> call) : call_(std::move(call)) {}
  bool OnText(std::string_view piece) override { return call_->sink_->OnText(piece); }
  void OnDone(Status status, Response response) override {
    call_->Answer(std::move(status), std::move(response));
  }

 private:
  const std::unique_ptr<Call> call_;
};

Refusal RefusalOf(sched::Refusal refusal) {
  switch (refusal) {
    case sched::Refusal::kQueueFull:
      return Refusal::kQueueFull;
    case sched::Refusal::kNoTime:
      return Refusal::kTooLate;
    case sched::Refusal::kTooShort:
      return Refusal::kTooShort;
    case sched::Refusal::kPast:
    case sched::Refusal::kExpired:
      return Refusal::kExpired;
    case sched::Refusal::kCancelled:
      return Refusal::kCancelled;
    default:
      return Refusal::kNotReady;
  }
}

Call::Call(const CallEnvironment& environment, model::Handle model, Request request,
           std::unique_ptr<ResponseSink> sink, int64_t admitted_ns)
    : environment_(environment),
      model_(std::move(model)),
      counters_(environment.counters.Of(model_->id)),
      request_(std::move(request)),
      sink_(std::move(sink)),
      trace_(std::move(request_.trace)),
      admitted_ns_(admitted_ns),
      deadline_ns_(request_.deadline_ns),
      generates_(request_.generation.has_value()),
      cancel_(request_.cancel) {}

sched::Executor& Call::executor() const {
  return generates_ && model_->sequences != nullptr ? *model_->sequences : environment_.executor;
}

void Call::Mark(Stage stage) {
  if (trace_ != nullptr) trace_->Mark(stage, environment_.clock.MonotonicNs());
}

void Call::Submit(std::unique_ptr<Call> call) {
  Call& c = *call;
  c.counters_->Admitted();
  if (!c.request_.texts.empty() && TextBytes(c.request_) <= kShortTextBytes) {
    if (Status status = c.Tokenize(); !status.ok()) return c.Finish(std::move(status), {}, Refusal::kCount);
    c.Mark(Stage::kPrepare);
  }
  c.MeasureSize();
  c.Mark(Stage::kAdmit);
  c.id_ = c.executor().NewId();
  if (c.cancel_ != nullptr) {
    c.listener_ = c.cancel_->AddListener([&executor = c.executor(), id = c.id_] { executor.Cancel(id); });
  }
  sched::Executor& executor = c.executor();
  const uint64_t id = c.id_;
  const sched::TaskInfo info = c.Info();
  const sched::Inline how = c.InlineRule();
  executor.Submit(id, info, how, std::move(call));
}

void Call::SubmitAlone(std::unique_ptr<Call> call) {
  Call& c = *call;
  c.alone_ = true;
  c.started_ns_ = 0;
  c.id_ = c.executor().NewId();
  if (c.cancel_ != nullptr) {
    c.listener_ = c.cancel_->AddListener([&executor = c.executor(), id = c.id_] { executor.Cancel(id); });
  }
  sched::Executor& executor = c.executor();
  const uint64_t id = c.id_;
  const sched::TaskInfo info = c.Info();
  // This is the plugin's thread, in the middle of a call.
  executor.Submit(id, info, sched::Inline::kNever, std::move(call));
}

void Call::MeasureSize() {
  if (!request_.texts.empty()) {
    size_.row_elements = kTextSize + TextBytes(request_);
    return;
  }
  size_ = BatchKeyOf(*model_->interface, request_, reinterpret_cast<uintptr_t>(model_.get()));
  if (model_->never_batch.load(std::memory_order_relaxed) || model_->max_batch == 1) size_.group = 0;
}

sched::TaskInfo Call::Info() const {
  sched::TaskInfo info{.task_class = ClassOf(request_.priority),
                       .deadline_ns = deadline_ns_,
                       .size = {.row_elements = size_.row_elements, .rows = size_.rows},
                       .group = alone_ ? 0 : size_.group,
                       .max_rows = model_->max_batch,
                       .profile = model_->profile.get()};
  if (generates_) {
    // How long a text gets is anybody's guess: good for a wait, not for a refusal.
    info.planned_ns = model_->profile->Predict({}, 1).p50_ns;
    info.profile = nullptr;
  }
  return info;
}

sched::Inline Call::InlineRule() const {
  return generates_ || !model_->instance->RunBlocks() ? sched::Inline::kAlways : sched::Inline::kIfShort;
}

void Call::OnQueued(const sched::Admission& admission) {
  if (trace_ == nullptr) return;
  trace_->queued_before = static_cast<uint32_t>(admission.queued);
  trace_->slots_busy = static_cast<uint32_t>(admission.busy_slots);
}

void Call::Drop(sched::Dropped why) {
  if (cancel_ != nullptr) cancel_->RemoveListener(listener_);
  Mark(Stage::kQueue);
  Response response;
  response.retry_after_ns = why.retry_after_ns;
  Finish(std::move(why.status), std::move(response), RefusalOf(why.refusal));
}

void Call::BeginRun(const sched::Execution& execution, size_t members) {
  if (cancel_ != nullptr) cancel_->RemoveListener(listener_);
  counters_->Started();
  started_ns_ = environment_.clock.MonotonicNs();
  if (trace_ == nullptr) return;
  trace_->Mark(Stage::kQueue, started_ns_);
  trace_->threads = execution.threads();
  trace_->predicted_ns = execution.predicted_ns();
  trace_->slots = static_cast<uint32_t>(executor().slots());
  trace_->batch_requests = static_cast<uint32_t>(members);
  trace_->batch_rows = size_.rows;
}

void Call::Run(std::unique_ptr<sched::Job> self, std::vector<std::unique_ptr<sched::Job>> others,
               sched::Execution execution) {
  std::vector<std::unique_ptr<Call>> members;
  const auto add = [&](std::unique_ptr<sched::Job> job) {
    std::unique_ptr<Call> call(static_cast<Call*>(job.release()));
    call->BeginRun(execution, others.size() + 1);
    if (!call->cancelled()) return members.push_back(std::move(call));
    call->Finish(Cancelled("the client went away while the request waited"), {}, Refusal::kCancelled);
  };
  add(std::move(self));
  for (auto& other : others) add(std::move(other));
  if (members.empty()) return;
  members.front()->counters_->Executed();
  if (members.size() == 1) return RunAlone(std::move(members.front()), std::move(execution));
  BatchRun::Start(std::move(members), std::move(execution));
}

void Call::RunAlone(std::unique_ptr<Call> call, sched::Execution execution) {
  Call& c = *call;
  c.execution_ = std::move(execution);
  if (!c.request_.texts.empty()) {
    if (Status status = c.Tokenize(); !status.ok()) return c.Answer(std::move(status), {});
    c.Mark(Stage::kPrepare);
  }
  if (c.request_.n_threads == 0) c.request_.n_threads = c.execution_.threads();
  // The answer may come, and the call with its handle go, before Run returns.
  const model::Handle model = c.model_;
  Request request = std::move(c.request_);
  model->instance->Run(std::move(request), std::make_unique<CallSink>(std::move(call)));
}

Status Call::Tokenize() {
  const int64_t before_ns = environment_.clock.MonotonicNs();
  if (!model_->text) {
    return Unprocessable("model '" + model_->id + "' takes tensors: its package brings no tokenizer");
  }
  MLOS_ASSIGN_OR_RETURN(preprocess::EncodedText encoded,
                        model_->text->Encode(request_.texts, *model_->interface));
  had_text_ = true;
  text_tokens_ = encoded.tokens;
  warnings_ = std::move(encoded.warnings);
  if (model_->pools_text) {
    for (const NamedTensor& input : encoded.inputs)
      pooling_inputs_.push_back({input.name, input.tensor.Clone()});
  }
  request_.inputs = std::move(encoded.inputs);
  request_.texts.clear();
  prepare_ns_ = environment_.clock.MonotonicNs() - before_ns;
  return OkStatus();
}

Status Call::PostProcess(Response* response) {
  if (!had_text_) return OkStatus();
  MLOS_RETURN_IF_ERROR(model_->text->PostProcess(pooling_inputs_, &response->outputs));
  const auto wanted = std::ranges::find(response->outputs, model_->text_output, &NamedTensor::name);
  if (wanted != response->outputs.end()) std::rotate(response->outputs.begin(), wanted, wanted + 1);
  response->prompt_tokens = text_tokens_;
  return OkStatus();
}

void Call::Answer(Status status, Response response) {
  const uint32_t threads = std::max(execution_.threads(), 1U);
  const bool own = execution_.End();
  const int64_t now_ns = environment_.clock.MonotonicNs();
  if (status.ok() && own) {
    const sched::RunSize size =
        generates_ ? sched::RunSize{} : sched::RunSize{size_.row_elements, size_.rows};
    model_->profile->Observe(size, threads, now_ns - started_ns_);
  }
  if (trace_ != nullptr) {
    trace_->MarkRun(now_ns, response.timing.prepare_ns, response.timing.compute_ns,
                    response.timing.finish_ns);
    trace_->Move(Stage::kDispatch, Stage::kQueue, response.timing.queue_ns);
  }
  if (status.ok()) status = PostProcess(&response);
  Finish(std::move(status), std::move(response), Refusal::kCount);
}

void Call::Finish(Status status, Response response, Refusal refusal) {
  const int64_t now_ns = environment_.clock.MonotonicNs();
  response.model_version = model_->version;
  response.warnings.insert(response.warnings.begin(), std::make_move_iterator(warnings_.begin()),
                           std::make_move_iterator(warnings_.end()));
  response.timing.total_ns = now_ns - admitted_ns_;
  response.timing.prepare_ns += prepare_ns_;
  if (started_ns_ > 0) response.timing.queue_ns += started_ns_ - admitted_ns_;
  counters_->Answered(status.ok(), started_ns_ > 0, refusal, response.timing.total_ns);
  environment_.counters.Record(status.ok(), response.timing.total_ns);
  if (refusal != Refusal::kCount) environment_.counters.RecordRefusal(refusal);
  if (trace_ != nullptr) {
    trace_->Mark(Stage::kFinish, now_ns);
    trace_->model_version = model_->version;
    trace_->code = status.code();
    trace_->message = status.message();
    response.trace = std::move(trace_);
  }
  sink_->OnDone(std::move(status), std::move(response));
}

}  // namespace mlos::serving
