// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/routes.h"

#include "base/clock.h"
#include "frontend/http/control_json.h"
#include "frontend/http/infer_route.h"
#include "frontend/http/memory_json.h"
#include "frontend/http/trace_json.h"
#include "wire/json_response.h"

namespace mlos::frontend {
namespace {

void SendError(Exchange& exchange, int status, std::string_view code, const std::string& message) {
  const HttpRequest& request = exchange.request();
  exchange.Send({.status = status,
                 .body = wire::EncodeError(code, message, request.target.model_id, request.request_id)});
}

// "" is what a client sends that does not care; form-urlencoded is what curl -d sends when it is not told otherwise.
bool IsJsonType(const std::string& type) {
  return type.empty() || type == "application/json" || type == "text/json" ||
         type == "application/x-www-form-urlencoded";
}

bool TypeAllowed(const HttpRequest& request) {
  if (request.method != "POST" || IsJsonType(request.content_type)) return true;
  return request.target.route == Route::kInference && request.content_type == "application/octet-stream";
}

}  // namespace

Routes::Routes(serving::Service& service, ServerShared& shared, RunControl run_control)
    : service_(service), shared_(shared), run_control_(std::move(run_control)) {}

void Routes::Handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  const Target& target = request.target;
  if (!target.error.empty()) return SendError(*exchange, 400, "invalid_argument", target.error);
  if (request.method == "OPTIONS") return exchange->Send({.status = 204});
  if (target.route == Route::kUnknown) {
    return SendError(*exchange, 404, "not_found",
                     "no route '" + std::string(target.path.substr(0, 200)) +
                         "'; there are /health, /stats, /plugins, /doctor, /models, /models/{id}, "
                         "/models/{id}/inference, /models/{id}/load, /models/{id}/unload, "
                         "/models/{id}/latest, /models/{id}/ready, /requests/{id}, /ps, /metrics");
  }
  if (!RouteAllows(target.route, request.method)) {
    return SendError(*exchange, 405, "method_not_allowed",
                     request.method + " is not for " + std::string(RouteName(target.route)) +
                         ", which takes " + std::string(RouteMethods(target.route)));
  }
  if (!TypeAllowed(request)) {
    return SendError(*exchange, 415, "unsupported_media_type",
                     "Content-Type '" + request.content_type + "': send application/json" +
                         (target.route == Route::kInference ? " or application/octet-stream" : ""));
  }
  Dispatch(exchange);
}

void Routes::Dispatch(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  switch (request.target.route) {
    case Route::kInference:
      return HandleInference(exchange, service_, shared_.config.request_timeout);
    case Route::kRegister:
      return Register(exchange);
    case Route::kScan:
      return Control(exchange, [this]() -> Result<std::string> {
        MLOS_ASSIGN_OR_RETURN(const serving::ScanResult result, service_.ScanModels());
        return EncodeScan(result);
      });
    case Route::kLoad:
    case Route::kUnload:
    case Route::kLatest:
      return Verb(exchange);
    case Route::kProcesses:
      return Control(exchange, [this]() -> Result<std::string> {
        return EncodeProcesses(service_.Processes(), Clock::Real().MonotonicNs());
      });
    case Route::kModel:
      if (request.method == "DELETE") {
        return Control(exchange, [this, id = request.target.model_id]() -> Result<std::string> {
          MLOS_RETURN_IF_ERROR(service_.UnregisterModel(id));
          return EncodeUnregistered(id);
        });
      }
      return Get(*exchange);
    case Route::kModels:
      if (request.method == "POST") return Register(exchange);
      return Get(*exchange);
    default:
      return Get(*exchange);
  }
}

void Routes::Get(Exchange& exchange) {
  const bool ready = service_.Ready() && !shared_.draining.load();
  switch (exchange.request().target.route) {
    case Route::kHealth:
      return exchange.Send({.body = EncodeHealth(shared_.config.version, shared_.config.runtime(), ready,
                                                 Clock::Real().UnixNs() / 1'000'000'000)});
    case Route::kLive:
      return exchange.Send({.body = R"({"status":"alive"})"});
    case Route::kReady:
      if (ready) return exchange.Send({.body = R"({"status":"ready"})"});
      return SendError(exchange, 503, "unavailable", "starting or shutting down");
    case Route::kStats:
      return exchange.Send({.body = EncodeStats(service_.Stats(), port_.load())});
    case Route::kPlugins:
      return exchange.Send({.body = EncodePlugins(service_.ListPlugins())});
    case Route::kDoctor:
      return exchange.Send({.body = EncodeDoctor(shared_.config.version, service_)});
    case Route::kModels:
      return exchange.Send({.body = EncodeModels(service_.ListModels())});
    case Route::kModel: {
      const Result<serving::ModelStatus> model = service_.GetModel(exchange.request().target.model_id);
      if (!model.ok()) return SendStatus(exchange, model.status());
      return exchange.Send({.body = EncodeModel(*model)});
    }
    case Route::kModelReady: {
      const Result<serving::ModelStatus> model = service_.GetModel(exchange.request().target.model_id);
      if (!model.ok()) return SendStatus(exchange, model.status());
      const bool answers = ready && model->state == serving::ModelState::kReady;
      return exchange.Send({.status = answers ? 200 : 503, .body = EncodeModelReady(*model)});
    }
    case Route::kRequest: {
      const Result<Trace> trace = service_.FindTrace(exchange.request().target.request_id);
      if (!trace.ok()) return SendStatus(exchange, trace.status());
      return exchange.Send({.body = EncodeTrace(*trace)});
    }
    case Route::kMetrics:
      return exchange.Send({.body = shared_.metrics.Render(service_),
                            .content_type = "text/plain; version=0.0.4; charset=utf-8"});
    default:
      return SendError(exchange, 500, "internal", "a route without a function");
  }
}

// What changes whether a model is loaded. These block.
void Routes::Verb(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  const std::string id = request.target.model_id;
  Result<serving::LoadRequest> load = serving::LoadRequest{};
  if (request.target.route == Route::kLoad) load = DecodeLoad(request.body, id);
  if (!load.ok()) return SendStatus(*exchange, load.status());
  Control(exchange,
          [this, id, route = request.target.route, load = std::move(load).value()]() -> Result<std::string> {
            if (route == Route::kLoad) {
              MLOS_ASSIGN_OR_RETURN(const serving::ModelStatus model, service_.LoadModel(load));
              return EncodeLoaded(model);
            }
            if (route == Route::kUnload) {
              MLOS_ASSIGN_OR_RETURN(const serving::UnloadReport report, service_.UnloadModel(id));
              return EncodeUnloaded(id, report);
            }
            MLOS_ASSIGN_OR_RETURN(const serving::ModelStatus model, service_.ChooseLatest(id));
            return EncodeLatest(model);
          });
}

void Routes::Register(const std::shared_ptr<Exchange>& exchange) {
  Result<serving::RegisterRequest> request = DecodeRegister(exchange->request().body);
  if (!request.ok()) return SendStatus(*exchange, request.status());
  Control(exchange, [this, request = std::move(request).value()]() -> Result<std::string> {
    MLOS_ASSIGN_OR_RETURN(const serving::ModelStatus model, service_.RegisterModel(request));
    return EncodeRegistered(model, request.manifest_path);
  });
}

void Routes::Control(const std::shared_ptr<Exchange>& exchange, std::function<Result<std::string>()> work) {
  run_control_([exchange, work = std::move(work)] {
    const auto result = std::make_shared<Result<std::string>>(work());
    exchange->Post([exchange, result] {
      if (!result->ok()) return SendStatus(*exchange, result->status());
      exchange->Send({.body = std::move(*result).value()});
    });
  });
}

}  // namespace mlos::frontend
