// SPDX-License-Identifier: Apache-2.0
#include "client/processes.h"

#include <simdjson.h>

namespace mlos::client {
namespace {

namespace dom = simdjson::dom;

std::string Text(dom::element object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

template <typename T>
std::optional<T> Maybe(dom::element object, const char* key) {
  T value{};
  if (object[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

uint64_t Uint(dom::element object, const char* key) { return Maybe<uint64_t>(object, key).value_or(0); }
bool Flag(dom::element object, const char* key) { return Maybe<bool>(object, key).value_or(false); }

ProcessInfo ReadModel(dom::element m) {
  return {.id = Text(m, "id"),
          .state = Text(m, "state"),
          .latest = Flag(m, "latest"),
          .pinned = Flag(m, "pinned"),
          .draining = Flag(m, "draining"),
          .pid = Maybe<int64_t>(m, "pid"),
          .private_bytes = Maybe<uint64_t>(m, "private_bytes"),
          .mapped_bytes = Maybe<uint64_t>(m, "mapped_bytes"),
          .lease_private_bytes = Maybe<uint64_t>(m, "lease_private_bytes"),
          .lease_shared_bytes = Maybe<uint64_t>(m, "lease_shared_bytes"),
          .queued = Uint(m, "queued") + Uint(m, "waiting"),
          .running = Uint(m, "running"),
          .users = Uint(m, "users"),
          .p50_ms = Maybe<double>(m, "p50_ms"),
          .p90_ms = Maybe<double>(m, "p90_ms"),
          .p99_ms = Maybe<double>(m, "p99_ms"),
          .keep_alive = Text(m, "keep_alive"),
          .expires_in_ms = Maybe<double>(m, "expires_in_ms"),
          .restarts = Uint(m, "restarts"),
          .loads = Uint(m, "loads"),
          .waits_for = Text(m, "waits_for"),
          .error = Text(m, "error")};
}

}  // namespace

Result<ProcessList> ParseProcesses(std::string_view json) {
  dom::parser parser;
  dom::element root;
  dom::element memory;
  dom::array models;
  if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS || !root.is_object() ||
      root["memory"].get(memory) != simdjson::SUCCESS || !memory.is_object() ||
      root["models"].get(models) != simdjson::SUCCESS) {
    return DataLoss("the answer of mlos-core to GET /ps has no 'memory' or no 'models'");
  }
  ProcessList out;
  out.memory = {.budget_bytes = Uint(memory, "budget_bytes"),
                .budget_source = Text(memory, "budget_source"),
                .leased_bytes = Uint(memory, "leased_bytes"),
                .shared_bytes = Uint(memory, "shared_bytes"),
                .reserved_bytes = Uint(memory, "reserved_bytes"),
                .free_bytes = Uint(memory, "free_bytes")};
  for (dom::element model : models) {
    if (model.is_object()) out.models.push_back(ReadModel(model));
  }
  return out;
}

}  // namespace mlos::client
