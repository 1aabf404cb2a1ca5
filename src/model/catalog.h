// SPDX-License-Identifier: Apache-2.0
// The registrations, on disk: what survives a restart. SQLite, one row per model id.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::model {

struct Registration {
  std::string id;         // "namespace/name@version"
  std::string path;       // package folder or model file, absolute
  std::string plugin_id;  // empty = by execution format
  std::string execution_format;
  std::string framework;
  std::string description;
  int64_t registered_unix_ns = 0;
  // How long it stays loaded without requests; negative = for ever; unset = the server's default.
  std::optional<int64_t> keep_alive_ns;
  bool pinned = false;  // never unloaded to make room, nor under memory pressure
  // As in package::ServingSpec; empty and 0: what the package's manifest says, else the server's default.
  std::string isolation;
  std::string batching;
  uint32_t max_batch = 0;
};

// Thread-safe.
class Catalog {
 public:
  virtual ~Catalog() = default;
  // Creates the file when it is missing; ":memory:" keeps nothing. kDataLoss when the file is not a registry of ours, and
  // the file is left alone.
  static Result<std::unique_ptr<Catalog>> Open(const std::filesystem::path& file);
  // Inserts or replaces; on disk when it returns OK.
  virtual Status Put(const Registration& registration) = 0;
  // OK also when there is no such row.
  virtual Status Remove(const std::string& id) = 0;
  // Sorted by id.
  virtual Result<std::vector<Registration>> List() = 0;
  // "namespace/name" -> the id that its "latest" means. An empty id forgets.
  virtual Status PutLatest(const std::string& name, const std::string& id) = 0;
  virtual Result<std::map<std::string, std::string>> ListLatest() = 0;
};

}  // namespace mlos::model
