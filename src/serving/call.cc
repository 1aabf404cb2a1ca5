// SPDX-License-Identifier: Apache-2.0
#include "serving/call.h"

#include <algorithm>
#include <utility>

namespace mlos::serving {

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

Call::Call(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink,
           std::shared_ptr<Counters> counters, Clock& clock, int64_t admitted_ns)
    : model_(std::move(model)),
      request_(std::move(request)),
      sink_(std::move(sink)),
      counters_(std::move(counters)),
      clock_(clock),
      admitted_ns_(admitted_ns) {}

void Call::Start(std::unique_ptr<Call> call) {
  call->started_ns_ = call->clock_.MonotonicNs();
  if (call->request_.cancel && call->request_.cancel->cancelled()) {
    call->Refuse(Cancelled("the client went away while the request waited"));
    return;
  }
  if (Status status = call->Tokenize(); !status.ok()) {
    call->Refuse(std::move(status));
    return;
  }
  call->prepared_ns_ = call->clock_.MonotonicNs();
  // The answer may come, and the call with its handle go, before Run returns.
  const model::Handle model = call->model_;
  Request request = std::move(call->request_);
  model->instance->Run(std::move(request), std::make_unique<CallSink>(std::move(call)));
}

void Call::Refuse(Status status) { Answer(std::move(status), {}); }

Status Call::Tokenize() {
  if (request_.texts.empty()) return OkStatus();
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
  if (status.ok()) status = PostProcess(&response);
  const int64_t now_ns = clock_.MonotonicNs();
  response.model_version = model_->version;
  response.warnings.insert(response.warnings.begin(), std::make_move_iterator(warnings_.begin()),
                           std::make_move_iterator(warnings_.end()));
  response.timing.total_ns = now_ns - admitted_ns_;
  if (started_ns_ > 0) {
    response.timing.queue_ns += started_ns_ - admitted_ns_;
    if (prepared_ns_ > 0) response.timing.prepare_ns += prepared_ns_ - started_ns_;
    if (status.ok()) model_->latency.Observe(now_ns - started_ns_);
  }
  counters_->Record(model_->id, status.ok(), response.timing.total_ns);
  sink_->OnDone(std::move(status), std::move(response));
}

}  // namespace mlos::serving
