// SPDX-License-Identifier: Apache-2.0
#include "serving/batch_run.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace mlos::serving {

BatchRun::BatchRun(std::vector<std::unique_ptr<Call>> members, sched::Execution execution)
    : members_(std::move(members)), execution_(std::move(execution)) {
  for (const auto& member : members_) rows_.push_back(member->size_.rows);
}

void BatchRun::Start(std::vector<std::unique_ptr<Call>> members, sched::Execution execution) {
  std::unique_ptr<BatchRun> run(new BatchRun(std::move(members), std::move(execution)));
  Result<Request> joined = run->Join();
  if (!joined.ok()) return run->RunEachAlone();
  const uint32_t rows = std::accumulate(run->rows_.begin(), run->rows_.end(), uint32_t{0});
  for (const auto& member : run->members_) {
    if (member->trace_ != nullptr) member->trace_->batch_rows = rows;
    member->Mark(Stage::kBatch);
  }
  // The answer may come, and the members with their handles go, before Run returns.
  const model::Handle model = run->members_.front()->model_;
  model->instance->Run(std::move(joined).value(), std::move(run));
}

Result<Request> BatchRun::Join() {
  std::vector<const Request*> requests;
  for (const auto& member : members_) requests.push_back(&member->request_);
  Request out;
  MLOS_ASSIGN_OR_RETURN(out.inputs, JoinInputs(requests, members_.front()->model_->interface->input_arena));
  const Request& first = *requests.front();
  out.model_id = first.model_id;
  out.request_id = first.request_id;
  out.outputs = first.outputs;
  out.priority = first.priority;
  out.n_threads = first.n_threads != 0 ? first.n_threads : execution_.threads();
  // The plugin may give up when nobody waits any more.
  for (const Request* request : requests) {
    if (request->deadline_ns == 0) {
      out.deadline_ns = 0;
      break;
    }
    out.deadline_ns = std::max(out.deadline_ns, request->deadline_ns);
  }
  out.cancel = std::make_shared<CancelToken>();
  WatchCancellation(out.cancel);
  return out;
}

void BatchRun::WatchCancellation(const std::shared_ptr<CancelToken>& all) {
  const auto left = std::make_shared<std::atomic<size_t>>(members_.size());
  for (const auto& member : members_) {
    uint64_t id = 0;
    if (member->cancel_ != nullptr) {
      id = member->cancel_->AddListener([all, left] {
        if (left->fetch_sub(1) == 1) all->Cancel();
      });
    }
    listeners_.push_back(id);
  }
}

void BatchRun::OnDone(Status status, Response response) {
  for (size_t i = 0; i < listeners_.size(); ++i) {
    if (members_[i]->cancel_ != nullptr) members_[i]->cancel_->RemoveListener(listeners_[i]);
  }
  if (status.ok()) return AnswerEach(std::move(response));
  if (status.code() != Code::kCancelled && status.code() != Code::kDeadlineExceeded) return RunEachAlone();
  execution_.End();
  for (const auto& member : members_) member->Answer(status, {});
}

void BatchRun::AnswerEach(Response response) {
  Call& first = *members_.front();
  Result<std::vector<std::vector<NamedTensor>>> parts = SplitOutputs(response.outputs, rows_);
  if (!parts.ok()) {
    first.model_->never_batch.store(true);
    return RunEachAlone();
  }
  const uint32_t threads = std::max(execution_.threads(), 1U);
  if (execution_.End()) {
    const uint32_t rows = std::accumulate(rows_.begin(), rows_.end(), uint32_t{0});
    first.model_->profile->Observe({first.size_.row_elements, rows}, threads,
                                   first.environment_.clock.MonotonicNs() - first.started_ns_);
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    Response part;
    part.outputs = std::move((*parts)[i]);
    part.warnings = response.warnings;
    part.timing = response.timing;
    Status status;
    if (members_[i]->cancelled()) status = Cancelled("the client went away while the request ran");
    members_[i]->Answer(std::move(status), std::move(part));
  }
}

void BatchRun::RunEachAlone() {
  for (auto& member : members_) {
    member->Mark(Stage::kDispatch);
    member->counters_->Requeued();
    Call::SubmitAlone(std::move(member));
  }
  // Last: the executor lives while something runs.
  execution_.End();
}

}  // namespace mlos::serving
