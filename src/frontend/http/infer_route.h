// SPDX-License-Identifier: Apache-2.0
// POST /models/{id}/inference: describe -> decode -> Service::Infer -> encode.
#pragma once

#include <chrono>
#include <memory>

#include "frontend/http/exchange.h"
#include "serving/service.h"

namespace mlos::frontend {

// On the exchange's I/O thread. Decoding and encoding happen there; a Service that answers inline costs no thread hop.
void HandleInference(std::shared_ptr<Exchange> exchange, serving::Service& service,
                     std::chrono::milliseconds timeout);

// The answer to a failed request.
void SendStatus(Exchange& exchange, const Status& status, int64_t retry_after_ns = 0);

}  // namespace mlos::frontend
