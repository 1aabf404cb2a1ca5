// SPDX-License-Identifier: Apache-2.0
// One request and its answer, as the routes see them; the connection behind it is Session's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "frontend/http/target.h"
#include "infer/request.h"

namespace mlos::frontend {

struct HttpRequest {
  std::string method;
  std::string raw_target;
  Target target;             // views into raw_target
  std::string content_type;  // media type in lower case, without parameters; "" when none was sent
  std::string request_id;
  std::string deadline_ms;       // X-Deadline-Ms, as sent
  std::string priority;          // X-Priority, as sent
  std::string model_keep_alive;  // X-Keep-Alive, as sent
  int64_t received_ns = 0;       // CLOCK_MONOTONIC of its first byte
  int minor_version = 1;
  bool keep_alive = true;
  std::string_view body;  // complete when a route sees the request; valid until the answer is sent
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  int retry_after_s = 0;  // 0: what the status says
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  // I/O thread only; valid until the answer is sent.
  virtual const HttpRequest& request() const = 0;
  // Cancelled when the client goes away. Never null.
  virtual std::shared_ptr<CancelToken> cancel() = 0;

  virtual bool OnIoThread() const = 0;
  // Runs `f` on the I/O thread, later; not at all when the connection is closed.
  virtual void Post(std::function<void()> f) = 0;

  // For the answer that follows: once its last byte is with the socket, or the client is gone, the trace is finished and remembered.
  // I/O thread only.
  virtual void SetTrace(std::unique_ptr<Trace> trace) = 0;

  // The answer: exactly one of Send and (any number of SendPiece, then EndStream). I/O thread only, except SendPiece.
  virtual void Send(HttpResponse response) = 0;
  // Any thread. Server-sent events; the first piece begins a 200 answer. False when the client is gone or too slow: stop.
  virtual bool SendPiece(std::string_view events) = 0;
  // `events` are the last ones. Begins the answer if no piece did.
  virtual void EndStream(std::string_view events) = 0;
  // True once a piece was taken: then an error can only be told inside the stream.
  virtual bool StreamBegun() const = 0;
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // On an I/O thread, with the whole request; never blocks. Answers now or later.
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;
};

}  // namespace mlos::frontend
