// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/infer_route.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "frontend/common/error_map.h"
#include "frontend/common/urgency.h"
#include "infer/keep_alive.h"
#include "wire/json_infer.h"
#include "wire/json_response.h"

namespace mlos::frontend {
namespace {

// What the answer needs of the request, which may be gone by then.
struct Asked {
  std::string model_id;
  std::string request_id;
  std::string client_id;
  bool include_outputs = true;
  bool generated = false;
  bool stream = false;

  wire::ResponseContext context() const {
    return {.model_id = model_id,
            .request_id = request_id,
            .client_id = client_id,
            .include_outputs = include_outputs,
            .generated = generated};
  }
};

// Hands the trace over: what came until now was the way back, and the encoding.
void Encoded(Exchange& exchange, std::unique_ptr<Trace> trace) {
  if (trace == nullptr) return;
  trace->Mark(Stage::kEncode, Clock::Real().MonotonicNs());
  exchange.SetTrace(std::move(trace));
}

void Answer(Exchange& exchange, const Asked& asked, const Status& status, Response& response) {
  std::unique_ptr<Trace> trace = std::move(response.trace);
  if (trace != nullptr) trace->Mark(Stage::kDispatch, Clock::Real().MonotonicNs());
  if (!status.ok() && !(asked.stream && exchange.StreamBegun())) {
    Encoded(exchange, std::move(trace));
    return SendStatus(exchange, status, response.retry_after_ns);
  }
  if (!asked.stream) {
    std::string body = wire::EncodeInferResponse(response, asked.context());
    Encoded(exchange, std::move(trace));
    return exchange.Send({.body = std::move(body)});
  }
  const std::string events = status.ok() ? wire::EncodeStreamDone(response, asked.context())
                                         : wire::EncodeStreamError(status, asked.request_id);
  Encoded(exchange, std::move(trace));
  exchange.EndStream(events);
}

class InferSink final : public ResponseSink {
 public:
  InferSink(std::shared_ptr<Exchange> exchange, Asked asked, serving::Service& service)
      : exchange_(std::move(exchange)), asked_(std::move(asked)), service_(service) {}

  bool OnText(std::string_view piece) override {
    return !asked_.stream || exchange_->SendPiece(wire::EncodeStreamText(piece));
  }

  void OnDone(Status status, Response response) override {
    // The client is gone: nothing will be written.
    if (status.code() == Code::kCancelled && response.trace != nullptr)
      service_.RecordTrace(std::move(response.trace));
    if (exchange_->OnIoThread()) return Answer(*exchange_, asked_, status, response);
    struct Result {
      Asked asked;
      Status status;
      Response response;
    };
    auto result = std::make_shared<Result>(std::move(asked_), std::move(status), std::move(response));
    // The exchange holds itself while the task waits.
    exchange_->Post([exchange = exchange_, result = std::move(result)] {
      Answer(*exchange, result->asked, result->status, result->response);
    });
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  Asked asked_;
  serving::Service& service_;
};

Status ReadQuery(std::string_view query, Asked* asked) {
  Status status;
  ForEachQueryItem(query, [&](std::string_view name, std::string_view value) {
    if (name != "include_outputs") {
      status = InvalidArgument("unknown query parameter '" + std::string(name) + "'; known: include_outputs");
    } else if (value == "true" || value == "1") {
      asked->include_outputs = true;
    } else if (value == "false" || value == "0") {
      asked->include_outputs = false;
    } else {
      status = InvalidArgument("include_outputs: wanted true or false, got '" + std::string(value) + "'");
    }
  });
  return status;
}

bool IsBinary(const HttpRequest& request) { return request.content_type == "application/octet-stream"; }

// Priority and deadline: of the headers, of the body, and the server's own limit.
Status ReadUrgency(const HttpRequest& http, const wire::InferBody& body, std::chrono::milliseconds timeout,
                   Request* request) {
  MLOS_ASSIGN_OR_RETURN(const std::optional<Priority> priority, ReadPriorityHeader(http.priority));
  MLOS_ASSIGN_OR_RETURN(const std::optional<int64_t> header_ns, ReadDeadlineHeader(http.deadline_ms));
  if (priority && body.priority && *priority != *body.priority) {
    return InvalidArgument("X-Priority is '" + std::string(PriorityName(*priority)) +
                           "', parameters.priority '" + std::string(PriorityName(*body.priority)) +
                           "': send one of them");
  }
  request->priority = body.priority.value_or(priority.value_or(Priority::kNormal));
  const int64_t limit_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count();
  std::optional<int64_t> body_ns;
  if (body.timeout_us > 0) body_ns = body.timeout_us * 1000;
  request->deadline_ns = DeadlineNs(http.received_ns, limit_ns, header_ns, body_ns);
  if (request->trace != nullptr && request->deadline_ns != 0)
    request->trace->deadline_after_ns = request->deadline_ns - http.received_ns;
  return OkStatus();
}

// How long the model stays loaded after this request.
Status ReadKeepAlive(const HttpRequest& http, const wire::InferBody& body, Request* request) {
  request->keep_alive_ns = body.keep_alive_ns;
  if (http.model_keep_alive.empty()) return OkStatus();
  const Result<int64_t> header = ParseKeepAlive(http.model_keep_alive);
  if (!header.ok()) return header.status().WithContext("X-Keep-Alive");
  if (body.keep_alive_ns && *body.keep_alive_ns != *header)
    return InvalidArgument("X-Keep-Alive and keep_alive differ: send one of them");
  request->keep_alive_ns = *header;
  return OkStatus();
}

std::unique_ptr<Trace> BeginTrace(const HttpRequest& http) {
  auto trace = std::make_unique<Trace>();
  trace->Begin(http.received_ns);
  const int64_t now_ns = Clock::Real().MonotonicNs();
  trace->received_unix_ns = Clock::Real().UnixNs() - (now_ns - http.received_ns);
  trace->Mark(Stage::kRead, now_ns);
  return trace;
}

void Infer(const std::shared_ptr<Exchange>& exchange, const ModelInterface& model, serving::Service& service,
           std::chrono::milliseconds timeout, std::unique_ptr<Trace> trace) {
  const HttpRequest& http = exchange->request();
  Asked asked{.model_id = http.target.model_id, .request_id = http.request_id};
  if (const Status status = ReadQuery(http.target.query, &asked); !status.ok())
    return SendStatus(*exchange, status);
  if (http.body.empty()) {
    return SendStatus(*exchange, InvalidArgument("the request has no body; send the inputs as JSON"));
  }
  Result<wire::InferBody> body =
      IsBinary(http) ? wire::DecodeInferBytes(http.body, model) : wire::DecodeInferJson(http.body, model);
  if (!body.ok()) return SendStatus(*exchange, body.status());

  Request request;
  request.model_id = http.target.model_id;
  request.request_id = http.request_id;
  request.inputs = std::move(body->inputs);
  request.texts = std::move(body->texts);
  request.generation = std::move(body->generation);
  request.outputs = std::move(body->outputs);
  request.cancel = exchange->cancel();
  request.trace = std::move(trace);
  if (const Status status = ReadUrgency(http, *body, timeout, &request); !status.ok())
    return SendStatus(*exchange, status);
  if (const Status status = ReadKeepAlive(http, *body, &request); !status.ok())
    return SendStatus(*exchange, status);
  request.trace->Mark(Stage::kDecode, Clock::Real().MonotonicNs());
  asked.client_id = std::move(body->id);
  asked.generated = request.generation.has_value();
  asked.stream = body->stream;
  service.Infer(std::move(request), std::make_unique<InferSink>(exchange, std::move(asked), service));
}

}  // namespace

void SendStatus(Exchange& exchange, const Status& status, int64_t retry_after_ns) {
  const HttpRequest& request = exchange.request();
  const auto seconds =
      static_cast<int>(std::clamp<int64_t>((retry_after_ns + 999'999'999) / 1'000'000'000, 0, 3600));
  exchange.Send({.status = HttpStatusOf(status.code()),
                 .body = wire::EncodeError(status, request.target.model_id, request.request_id),
                 .retry_after_s = seconds});
}

void HandleInference(std::shared_ptr<Exchange> exchange, serving::Service& service,
                     std::chrono::milliseconds timeout) {
  using Described = Result<std::shared_ptr<const ModelInterface>>;
  // A copy: the answer may end the request while Describe still looks at its argument.
  const std::string model_id = exchange->request().target.model_id;
  auto trace = std::make_shared<std::unique_ptr<Trace>>(BeginTrace(exchange->request()));
  service.Describe(model_id, [exchange, &service, timeout, trace](Described model) {
    const auto go_on = [exchange, &service, timeout, trace](const Described& described) {
      if (!described.ok()) return SendStatus(*exchange, described.status());
      Infer(exchange, **described, service, timeout, std::move(*trace));
    };
    if (exchange->OnIoThread()) return go_on(model);
    exchange->Post([go_on, trace, model = std::move(model)] {
      (*trace)->Mark(Stage::kLoad, Clock::Real().MonotonicNs());
      go_on(model);
    });
  });
}

}  // namespace mlos::frontend
