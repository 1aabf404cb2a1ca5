// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 front end: mlOS's own routes over serving::Service (docs/formats/http.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "frontend/common/access_log.h"
#include "frontend/common/limits.h"
#include "serving/service.h"

namespace mlos::frontend {

struct HttpConfig {
  // Addresses (not names) to listen on, each with `port`. "::1" is skipped when the machine has no IPv6 and another host works.
  std::vector<std::string> hosts = {"127.0.0.1", "::1"};
  uint16_t port = 8080;     // 0: a free one, the same for all hosts
  std::string unix_path;    // also listen here; empty: no. A stale socket file is replaced. Mode 0600.
  int io_threads = 0;       // 0: chosen from the number of CPUs
  int control_threads = 2;  // register, unregister, scan
  Limits limits;
  // Value of Access-Control-Allow-Origin: empty (default) sends no CORS header, so that a web page elsewhere cannot use the
  // server through its visitor's browser; "*" or one origin opens it.
  std::string cors_origin;
  std::string version = "0.0.0";  // of mlos-core: Server header and /health
  // For /health: what of the kernel module is used now, and why no more of it. Any thread.
  struct Runtime {
    std::string mode;
    std::string why;
  };
  std::function<Runtime()> runtime = [] { return Runtime{"userspace", ""}; };
  std::chrono::milliseconds request_timeout{0};  // deadline of every inference; 0 = none
  AccessLog access_log;                          // may be empty
};

struct Endpoint {
  std::string host;   // an address, or the path of a unix socket
  uint16_t port = 0;  // 0 for a unix socket
};

// Thread-safe.
class HttpServer {
 public:
  // Listens and serves when it returns. `service` must outlive the server. kFailedPrecondition when the port is in use;
  // kInvalidArgument for a bad host; kPermissionDenied for a port the process may not have.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpConfig& config, serving::Service& service);

  virtual ~HttpServer() = default;

  // What it really listens on.
  virtual std::vector<Endpoint> endpoints() const = 0;

  // Stops accepting, lets requests in flight finish (their answers say "Connection: close"), closes idle connections;
  // what still runs at the deadline is cancelled and closed. Returns when all is closed; later calls do nothing.
  // The destructor does the same with a deadline of zero.
  virtual void Drain(std::chrono::milliseconds deadline) = 0;
};

}  // namespace mlos::frontend
