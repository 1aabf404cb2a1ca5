// SPDX-License-Identifier: Apache-2.0
#include "serving/trace_ring.h"

#include <utility>

namespace mlos::serving {

void TraceRing::Add(std::unique_ptr<Trace> trace) {
  if (trace == nullptr || ring_.empty()) return;
  MutexLock lock(mu_);
  ring_[next_] = std::move(trace);
  next_ = (next_ + 1) % ring_.size();
}

Result<Trace> TraceRing::Find(const std::string& request_id) const {
  MutexLock lock(mu_);
  for (size_t back = 1; back <= ring_.size(); ++back) {
    const std::unique_ptr<Trace>& trace = ring_[(next_ + ring_.size() - back) % ring_.size()];
    if (trace != nullptr && trace->request_id == request_id) return *trace;
  }
  return NotFound("request '" + request_id + "' is not among the last " + std::to_string(ring_.size()) +
                  " inferences that were answered");
}

}  // namespace mlos::serving
