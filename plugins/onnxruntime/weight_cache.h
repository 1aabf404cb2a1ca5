// SPDX-License-Identifier: Apache-2.0
// The folder with optimised graphs and packed weights, shared by every process that loads the same model
// (docs/formats/weight-cache.md). Knows files and records; what is in the files is cache_build.h's business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache_entry.h"
#include "files.h"
#include "onnx_file.h"

struct smi_plugin;

namespace mlos_ort {

struct ModelOptions;

// Which entry a model has.
struct CacheKey {
  std::string facts;  // see cache_entry.h
  std::string name;   // folder, from the facts' digest
};

class WeightCache {
 public:
  static constexpr char kGraph[] = "model.onnx";
  static constexpr char kWeights[] = "weights.bin";

  // `root` may be missing; nothing is made before it is needed. With `may_write` false entries are only read. With a
  // `build_root` new entries are made there, whatever `may_write` says, and an entry that is used is told by an empty file
  // "use-<name>" there: this process may not write to `root`, and its host moves them in.
  WeightCache(std::string root, uint64_t limit_bytes, bool may_write, std::string build_root,
              const smi_plugin& plugin);

  // Nothing when a file of the model cannot be looked at.
  std::optional<CacheKey> KeyOf(const std::string& model_path, const OnnxFile& model,
                                const ModelOptions& options) const;

  enum class State {
    kAbsent,    // not there, not of this version, or damaged (logged): may be built
    kReady,     // the files are what was written
    kUnusable,  // tried before: this model cannot be cached
  };
  struct Found {
    State state = State::kAbsent;
    std::string graph;  // path, when kReady
    uint64_t bytes = 0;
    std::string why;  // when kUnusable
  };
  // Files that were written to since they were checked last are read as a whole. Marks the entry as used, in the cache or
  // in the build folder.
  Found Find(const CacheKey& key) const;

  // --- building: all of it under the entry's lock ---

  bool may_build() const { return may_write_ || !build_root_.empty(); }
  uint64_t limit_bytes() const { return limit_bytes_; }
  // Nothing, and errno says why, when the cache cannot be written or another builder did not end in time.
  std::optional<FileLock> Lock(const CacheKey& key) const;
  // A new folder to build in; empty, and errno says why, when there can be none.
  std::string MakeScratch() const;
  // Turns the scratch folder into the entry, in the place of what was there; `unusable` when not empty instead of files.
  // The reason when that failed.
  std::optional<std::string> Publish(const CacheKey& key, const std::string& scratch,
                                     const std::string& unusable) const;
  void Discard(const std::string& scratch) const;
  // Removes what was used longest ago until the limit is kept (never `keep`), and what dead builders left.
  void Collect(const std::string& keep) const;

  // Where entries are made.
  const std::string& build_root() const { return build_root_.empty() ? root_ : build_root_; }
  // The graph of an entry that was made here, wherever the host has moved it since.
  std::string Locate(const std::string& graph) const;

 private:
  bool IsIntact(const std::string& folder, CacheEntry* entry) const;
  void Log(int32_t level, const std::string& message) const;

  const std::string root_;
  const uint64_t limit_bytes_;
  const bool may_write_;  // to root_
  const std::string build_root_;
  const smi_plugin& plugin_;
};

}  // namespace mlos_ort
