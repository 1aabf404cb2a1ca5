// SPDX-License-Identifier: Apache-2.0
// What mlos-core says of its models and their memory (GET /ps).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::client {

// Nothing = mlos-core does not know it.
struct ProcessInfo {
  std::string id;
  std::string state;  // "ready", "waiting", "loading", "failed", "registered"
  bool latest = false;
  bool pinned = false;
  bool draining = false;
  std::optional<int64_t> pid;  // nothing: in mlos-core itself
  std::optional<uint64_t> private_bytes;
  std::optional<uint64_t> mapped_bytes;
  std::optional<uint64_t> lease_private_bytes;
  std::optional<uint64_t> lease_shared_bytes;
  uint64_t queued = 0;  // requests that wait, for their turn or for the model to be loaded
  uint64_t running = 0;
  uint64_t users = 0;
  std::optional<double> p50_ms, p90_ms, p99_ms;
  std::string keep_alive;  // "5m", "forever"
  std::optional<double> expires_in_ms;
  uint64_t restarts = 0;
  uint64_t loads = 0;
  std::string waits_for;
  std::string error;
};

struct MemoryInfo {
  uint64_t budget_bytes = 0;
  std::string budget_source;
  uint64_t leased_bytes = 0;
  uint64_t shared_bytes = 0;
  uint64_t reserved_bytes = 0;
  uint64_t free_bytes = 0;
};

struct ProcessList {
  MemoryInfo memory;
  std::vector<ProcessInfo> models;
};

// kDataLoss when `json` is not what GET /ps answers.
Result<ProcessList> ParseProcesses(std::string_view json);

}  // namespace mlos::client
