// SPDX-License-Identifier: Apache-2.0
// Calls that run as one execution. Each is answered by itself: a client that goes away loses its own slice only, and when the
// execution fails every member runs again alone, so that none pays for another's input.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "infer/request.h"
#include "sched/executor.h"
#include "serving/call.h"

namespace mlos::serving {

class BatchRun final : public ResponseSink {
 public:
  // `members`: two or more, of one group, begun.
  static void Start(std::vector<std::unique_ptr<Call>> members, sched::Execution execution);
  void OnDone(Status status, Response response) override;

 private:
  BatchRun(std::vector<std::unique_ptr<Call>> members, sched::Execution execution);
  Result<Request> Join();
  void WatchCancellation(const std::shared_ptr<CancelToken>& all);
  void AnswerEach(Response response);
  void RunEachAlone();

  std::vector<std::unique_ptr<Call>> members_;
  std::vector<uint32_t> rows_;
  std::vector<uint64_t> listeners_;  // by member
  sched::Execution execution_;
};

}  // namespace mlos::serving
