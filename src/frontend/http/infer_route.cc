// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/infer_route.h"

#include <utility>

#include "base/clock.h"
#include "frontend/common/error_map.h"
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

void Answer(Exchange& exchange, const Asked& asked, const Status& status, const Response& response) {
  if (!asked.stream) {
    if (!status.ok()) return SendStatus(exchange, status);
    return exchange.Send({.body = wire::EncodeInferResponse(response, asked.context())});
  }
  if (status.ok()) return exchange.EndStream(wire::EncodeStreamDone(response, asked.context()));
  if (!exchange.StreamBegun()) return SendStatus(exchange, status);
  exchange.EndStream(wire::EncodeStreamError(status, asked.request_id));
}

class InferSink final : public ResponseSink {
 public:
  InferSink(std::shared_ptr<Exchange> exchange, Asked asked)
      : exchange_(std::move(exchange)), asked_(std::move(asked)) {}

  bool OnText(std::string_view piece) override {
    return !asked_.stream || exchange_->SendPiece(wire::EncodeStreamText(piece));
  }

  void OnDone(Status status, Response response) override {
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

void Infer(const std::shared_ptr<Exchange>& exchange, const ModelInterface& model, serving::Service& service,
           std::chrono::milliseconds timeout) {
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
  if (timeout.count() > 0) {
    request.deadline_ns =
        Clock::Real().MonotonicNs() + std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count();
  }
  asked.client_id = std::move(body->id);
  asked.generated = request.generation.has_value();
  asked.stream = body->stream;
  service.Infer(std::move(request), std::make_unique<InferSink>(exchange, std::move(asked)));
}

}  // namespace

void SendStatus(Exchange& exchange, const Status& status) {
  const HttpRequest& request = exchange.request();
  exchange.Send({.status = HttpStatusOf(status.code()),
                 .body = wire::EncodeError(status, request.target.model_id, request.request_id)});
}

void HandleInference(std::shared_ptr<Exchange> exchange, serving::Service& service,
                     std::chrono::milliseconds timeout) {
  using Described = Result<std::shared_ptr<const ModelInterface>>;
  // A copy: the answer may end the request while Describe still looks at its argument.
  const std::string model_id = exchange->request().target.model_id;
  service.Describe(model_id, [exchange, &service, timeout](Described model) {
    const auto go_on = [exchange, &service, timeout](const Described& described) {
      if (!described.ok()) return SendStatus(*exchange, described.status());
      Infer(exchange, **described, service, timeout);
    };
    if (exchange->OnIoThread()) return go_on(model);
    exchange->Post([go_on, model = std::move(model)] { go_on(model); });
  });
}

}  // namespace mlos::frontend
