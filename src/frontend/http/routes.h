// SPDX-License-Identifier: Apache-2.0
// Every route: which function answers it, on which thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "frontend/http/exchange.h"
#include "frontend/http/session.h"
#include "serving/service.h"

namespace mlos::frontend {

// Runs control work, which blocks, off the I/O threads.
using RunControl = std::function<void(std::function<void()>)>;

class Routes final : public RequestHandler {
 public:
  Routes(serving::Service& service, ServerShared& shared, RunControl run_control);

  void Handle(std::shared_ptr<Exchange> exchange) override;
  // For /stats; known once the server listens.
  void set_port(uint16_t port) { port_.store(port); }

 private:
  void Dispatch(const std::shared_ptr<Exchange>& exchange);
  void Get(Exchange& exchange);
  void Verb(const std::shared_ptr<Exchange>& exchange);
  void Register(const std::shared_ptr<Exchange>& exchange);
  // Runs `work` on a control thread and sends what it returns.
  void Control(const std::shared_ptr<Exchange>& exchange, std::function<Result<std::string>()> work);

  serving::Service& service_;
  ServerShared& shared_;
  const RunControl run_control_;
  std::atomic<uint16_t> port_{0};
};

}  // namespace mlos::frontend
