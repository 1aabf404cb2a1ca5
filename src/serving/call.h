// SPDX-License-Identifier: Apache-2.0
// One admitted request on its way through scheduler, tokenizer, plugin and pooling.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/request.h"
#include "model/registry.h"
#include "sched/executor.h"
#include "serving/batch.h"
#include "serving/counters.h"

namespace mlos::serving {

// What the calls of one server share; outlives them.
struct CallEnvironment {
  Clock& clock;
  sched::Executor& executor;  // for models that execute
  Counters& counters;
};

// Owns the request until the plugin takes it, and the client's sink until it is answered, once.
//
//   Submit -> waits -> Run -> answered
//                `-> Drop -> answered
class Call final : public sched::Job {
 public:
  // `admitted_ns`: when the request came to the server.
  Call(const CallEnvironment& environment, model::Handle model, Request request,
       std::unique_ptr<ResponseSink> sink, int64_t admitted_ns);

  // Hands the call to the scheduler. Short texts are tokenized before, so that it knows their size and can batch them.
  static void Submit(std::unique_ptr<Call> call);

  // sched::Job
  void Run(std::unique_ptr<sched::Job> self, std::vector<std::unique_ptr<sched::Job>> others,
           sched::Execution execution) override;
  void Drop(sched::Dropped why) override;
  void OnQueued(const sched::Admission& admission) override;

 private:
  friend class CallSink;
  friend class BatchRun;

  sched::Executor& executor() const;
  sched::TaskInfo Info() const;
  sched::Inline InlineRule() const;
  void MeasureSize();
  bool cancelled() const { return request_.cancel && request_.cancel->cancelled(); }
  // The wait is over: what the execution was given goes into the trace.
  void BeginRun(const sched::Execution& execution, size_t members);
  static void RunAlone(std::unique_ptr<Call> call, sched::Execution execution);
  // Back to the scheduler, to run without others.
  static void SubmitAlone(std::unique_ptr<Call> call);
  // Fills request_.inputs from request_.texts.
  Status Tokenize();
  // From an execution that ended; the slots are given back first.
  void Answer(Status status, Response response);
  void Finish(Status status, Response response, Refusal refusal);
  // Pools, and puts the output that text clients want first.
  Status PostProcess(Response* response);
  void Mark(Stage stage);

  const CallEnvironment environment_;
  const model::Handle model_;
  const std::shared_ptr<ModelCounters> counters_;
  Request request_;
  std::unique_ptr<ResponseSink> sink_;
  std::unique_ptr<Trace> trace_;  // may be null
  const int64_t admitted_ns_;
  const int64_t deadline_ns_;
  const bool generates_;
  // Lives on when the request has gone to the plugin.
  const std::shared_ptr<CancelToken> cancel_;

  uint64_t id_ = 0;
  uint64_t listener_ = 0;
  BatchKey size_;
  bool alone_ = false;  // not in a batch
  sched::Execution execution_;
  int64_t started_ns_ = 0;
  int64_t prepare_ns_ = 0;
  bool had_text_ = false;
  uint32_t text_tokens_ = 0;
  std::vector<std::string> warnings_;
  // Kept for pooling: the mask says which tokens count.
  std::vector<NamedTensor> pooling_inputs_;
};

// Of a sched::Refusal.
Refusal RefusalOf(sched::Refusal refusal);

}  // namespace mlos::serving
