// SPDX-License-Identifier: Apache-2.0
// What /metrics says: counters of this front end, and the Service's own numbers. Label sets are bounded: routes, statuses that
// this server sends, registered models.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <string>

#include "frontend/http/target.h"
#include "serving/service.h"

namespace mlos::frontend {

// Thread-safe.
class HttpMetrics {
 public:
  HttpMetrics();

  void RecordRequest(Route route, int status, int64_t duration_ns, uint64_t bytes_in, uint64_t bytes_out);
  prometheus::Gauge& in_flight() { return *in_flight_; }
  prometheus::Gauge& connections() { return *connections_; }

  // Prometheus text format 0.0.4.
  std::string Render(serving::Service& service) const;

 private:
  static constexpr size_t kStatuses = 600;

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>* requests_;
  std::array<prometheus::Histogram*, static_cast<size_t>(Route::kCount)> duration_{};
  prometheus::Counter* bytes_in_;
  prometheus::Counter* bytes_out_;
  prometheus::Gauge* in_flight_;
  prometheus::Gauge* connections_;
  // Filled as statuses occur; the family owns the counters.
  std::array<std::array<std::atomic<prometheus::Counter*>, kStatuses>, static_cast<size_t>(Route::kCount)>
      counters_{};
};

}  // namespace mlos::frontend
