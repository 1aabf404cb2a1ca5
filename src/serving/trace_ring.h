// SPDX-License-Identifier: Apache-2.0
// The traces of the last requests.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "infer/trace.h"

namespace mlos::serving {

// Keeps `capacity` traces; the oldest goes. Thread-safe.
class TraceRing {
 public:
  explicit TraceRing(size_t capacity) : ring_(capacity) {}
  void Add(std::unique_ptr<Trace> trace);
  // The last one of that request, or kNotFound.
  Result<Trace> Find(const std::string& request_id) const;

 private:
  mutable Mutex mu_;
  std::vector<std::unique_ptr<Trace>> ring_ MLOS_GUARDED_BY(mu_);
  size_t next_ MLOS_GUARDED_BY(mu_) = 0;
};

}  // namespace mlos::serving
