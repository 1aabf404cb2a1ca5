// SPDX-License-Identifier: Apache-2.0
// A request target -> route and model id.
//
// A model id holds slashes and '@'; it may be sent percent-encoded or raw: the text between "/models/" and the known suffix
// is the id, then it is percent-decoded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlos::frontend {

enum class Route {
  kUnknown,
  kHealth,
  kLive,
  kReady,
  kStats,
  kPlugins,
  kDoctor,
  kModels,
  kRegister,
  kScan,
  kModel,
  kLoad,
  kUnload,
  kLatest,
  kModelReady,
  kInference,
  kRequest,
  kProcesses,
  kMetrics,
  kServer,  // "OPTIONS *"
  kCount,
};

// For metrics: "/models/{id}/inference" ...
std::string_view RouteName(Route route);
// For 405 and OPTIONS: "GET, HEAD, OPTIONS".
std::string_view RouteMethods(Route route);
// Methods are case-sensitive; OPTIONS is allowed everywhere.
bool RouteAllows(Route route, std::string_view method);

struct Target {
  Route route = Route::kUnknown;
  std::string_view path;   // as sent, without query
  std::string_view query;  // as sent, without '?'
  std::string model_id;    // decoded
  std::string request_id;  // of /requests/{id}, decoded
  std::string error;       // the target is malformed: says why
};

// Views into `target`.
Target ParseTarget(std::string_view target);

// Nothing for a '%' that two hexadecimal digits do not follow, and for a control character.
std::optional<std::string> PercentDecode(std::string_view text);

// Calls `f(name, value)` for each "name=value" of a query, still encoded.
template <typename F>
void ForEachQueryItem(std::string_view query, F&& f) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view item = query.substr(0, end);
    const size_t equals = item.find('=');
    if (!item.empty())
      f(item.substr(0, equals),
        equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1));
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
}

}  // namespace mlos::frontend
