// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/target.h"

#include <algorithm>
#include <array>

namespace mlos::frontend {
namespace {

struct RouteInfo {
  Route route;
  std::string_view name;
  std::string_view methods;
};

constexpr std::array<RouteInfo, static_cast<size_t>(Route::kCount)> kRoutes = {{
    {Route::kUnknown, "unknown", "OPTIONS"},
    {Route::kHealth, "/health", "GET, HEAD, OPTIONS"},
    {Route::kLive, "/health/live", "GET, HEAD, OPTIONS"},
    {Route::kReady, "/health/ready", "GET, HEAD, OPTIONS"},
    {Route::kStats, "/stats", "GET, HEAD, OPTIONS"},
    {Route::kPlugins, "/plugins", "GET, HEAD, OPTIONS"},
    {Route::kDoctor, "/doctor", "GET, HEAD, OPTIONS"},
    {Route::kModels, "/models", "GET, HEAD, POST, OPTIONS"},
    {Route::kRegister, "/models/register", "POST, OPTIONS"},
    {Route::kScan, "/models/scan", "POST, OPTIONS"},
    {Route::kModel, "/models/{id}", "GET, HEAD, DELETE, OPTIONS"},
    {Route::kLoad, "/models/{id}/load", "POST, OPTIONS"},
    {Route::kUnload, "/models/{id}/unload", "POST, OPTIONS"},
    {Route::kLatest, "/models/{id}/latest", "POST, OPTIONS"},
    {Route::kModelReady, "/models/{id}/ready", "GET, HEAD, OPTIONS"},
    {Route::kInference, "/models/{id}/inference", "POST, OPTIONS"},
    {Route::kRequest, "/requests/{id}", "GET, HEAD, OPTIONS"},
    {Route::kProcesses, "/ps", "GET, HEAD, OPTIONS"},
    {Route::kMetrics, "/metrics", "GET, HEAD, OPTIONS"},
    {Route::kServer, "*", "OPTIONS"},
}};

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// "http://host/path" -> "/path" (RFC 9112, 3.2.2).
std::string_view StripOrigin(std::string_view target) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (!target.starts_with(scheme)) continue;
    const size_t slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  return target;
}

Route ExactRoute(std::string_view path) {
  // The rows with placeholders cannot equal a path: '{' is no path byte that a client sends unencoded and means.
  for (const RouteInfo& info : kRoutes) {
    if (info.route != Route::kUnknown && info.name.find('{') == std::string_view::npos && info.name == path) {
      return info.route;
    }
  }
  return Route::kUnknown;
}

}  // namespace

std::string_view RouteName(Route route) { return kRoutes[static_cast<size_t>(route)].name; }
std::string_view RouteMethods(Route route) { return kRoutes[static_cast<size_t>(route)].methods; }

bool RouteAllows(Route route, std::string_view method) {
  std::string_view methods = RouteMethods(route);
  while (!methods.empty()) {
    const size_t end = std::min(methods.find(", "), methods.size());
    if (methods.substr(0, end) == method) return true;
    methods.remove_prefix(std::min(end + 2, methods.size()));
  }
  return false;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = high >= 0 ? HexValue(text[i + 2]) : -1;
      if (low < 0) return std::nullopt;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return std::nullopt;
    out += c;
  }
  return out;
}

Target ParseTarget(std::string_view target) {
  Target out;
  target = StripOrigin(target);
  const size_t question = target.find('?');
  out.path = target.substr(0, question);
  if (question != std::string_view::npos) out.query = target.substr(question + 1);
  out.route = ExactRoute(out.path);
  if (out.route != Route::kUnknown) return out;
  constexpr std::string_view kRequests = "/requests/";
  if (out.path.starts_with(kRequests)) {
    out.route = Route::kRequest;
    std::optional<std::string> id = PercentDecode(out.path.substr(kRequests.size()));
    if (id && !id->empty()) {
      out.request_id = std::move(*id);
    } else {
      out.error =
          "the request id in the path is missing, not well percent-encoded, or holds a control character";
    }
    return out;
  }
  constexpr std::string_view kPrefix = "/models/";
  if (!out.path.starts_with(kPrefix)) return out;
  std::string_view id = out.path.substr(kPrefix.size());
  out.route = Route::kModel;
  for (const auto& [suffix, route] : {std::pair<std::string_view, Route>{"/inference", Route::kInference},
                                      {"/status", Route::kModel},
                                      {"/load", Route::kLoad},
                                      {"/unload", Route::kUnload},
                                      {"/latest", Route::kLatest},
                                      {"/ready", Route::kModelReady}}) {
    if (id.ends_with(suffix)) {
      id.remove_suffix(suffix.size());
      out.route = route;
      break;
    }
  }
  std::optional<std::string> decoded = PercentDecode(id);
  if (!decoded) {
    out.error = "the model id in the path is not well percent-encoded, or holds a control character";
  } else if (decoded->empty()) {
    out.error = "the path holds no model id";
  } else {
    out.model_id = std::move(*decoded);
  }
  return out;
}

}  // namespace mlos::frontend
