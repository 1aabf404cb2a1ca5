// SPDX-License-Identifier: Apache-2.0
// One admitted request on its way through tokenizer, plugin and pooling.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/request.h"
#include "model/registry.h"
#include "serving/counters.h"

namespace mlos::serving {

// Owns the request until the plugin takes it, and the client's sink until it is answered. Exactly one of Start and Refuse
// is called, once.
class Call {
 public:
  Call(model::Handle model, Request request, std::unique_ptr<ResponseSink> sink,
       std::shared_ptr<Counters> counters, Clock& clock, int64_t admitted_ns);

  // Tokenizes when the request holds text, then hands over to the plugin; the answer may come on any thread. `call` is
  // spent.
  static void Start(std::unique_ptr<Call> call);
  void Refuse(Status status);

  const Request& request() const { return request_; }

 private:
  friend class CallSink;
  // Fills request_.inputs from request_.texts.
  Status Tokenize();
  void Answer(Status status, Response response);
  // Pools, and puts the output that text clients want first.
  Status PostProcess(Response* response);

  const model::Handle model_;
  Request request_;
  std::unique_ptr<ResponseSink> sink_;
  const std::shared_ptr<Counters> counters_;
  Clock& clock_;
  const int64_t admitted_ns_;

  int64_t started_ns_ = 0;
  int64_t prepared_ns_ = 0;
  bool had_text_ = false;
  uint32_t text_tokens_ = 0;
  std::vector<std::string> warnings_;
  // Kept for pooling: the mask says which tokens count.
  std::vector<NamedTensor> pooling_inputs_;
};

}  // namespace mlos::serving
