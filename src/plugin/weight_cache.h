// SPDX-License-Identifier: Apache-2.0
// The host's part of the weight cache (docs/formats/weight-cache.md). A worker reads the whole cache and writes none of it: it
// makes entries in a draft, a folder of its own, and the host moves in what is an entry of that worker's model.
//
//   <dir>/<plugin>/<entry>/     what workers read
//   <dir>/making/mlos-XXXXXX/   of one host: its lock, its drafts, and what is on its way in or out
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "os/directory.h"
#include "os/file_lock.h"
#include "plugin/instance.h"
#include "plugin/weight_cache_record.h"

namespace mlos::plugin {

// Thread-safe.
class WeightCache {
 public:
  // Makes the folders, and removes what hosts that died left. Only the plugins named (as in their file's name) have a cache.
  static Result<std::shared_ptr<WeightCache>> Open(const std::filesystem::path& dir, uint64_t limit_bytes,
                                                   std::set<std::string> plugins = {"onnxruntime"});

  // A folder for one worker, removed with all that is left in it.
  class Draft {
   public:
    explicit Draft(std::filesystem::path folder) : folder_(std::move(folder)) {}
    ~Draft() { (void)os::RemoveTree(folder_); }
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    const std::filesystem::path& folder() const { return folder_; }

   private:
    const std::filesystem::path folder_;
  };
  Result<std::unique_ptr<Draft>> NewDraft();

  bool Serves(const std::string& plugin) const { return plugins_.contains(plugin); }
  std::filesystem::path EntriesOf(const std::string& plugin) const { return dir_ / plugin; }
  // Options of a plugin that runs in this process and writes the cache itself.
  OptionList LocalOptions() const;
  // Of one in a worker. Without a draft it makes nothing, but counts on making an entry where it estimates.
  OptionList WorkerOptions(const Draft* draft) const;

  // While it lives nobody else loads the same model file, so that an entry is made once. Blocks.
  class Turn {
   public:
    Turn(WeightCache& cache, std::string key) : cache_(cache), key_(std::move(key)) {}
    ~Turn() { cache_.EndTurn(key_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    WeightCache& cache_;
    const std::string key_;
  };
  std::unique_ptr<Turn> TakeTurn(const std::filesystem::path& model);

  // After a worker has loaded `model_path`: notes which entry it uses, moves in the one it has made, and removes what was used
  // longest ago until the limit is kept. What is no entry of that model stays where it is, and the Status says why.
  Status TakeIn(const Draft& draft, const std::string& plugin, const std::filesystem::path& model_path);

 private:
  WeightCache(std::filesystem::path dir, uint64_t limit_bytes, std::set<std::string> plugins)
      : dir_(std::move(dir)), limit_bytes_(limit_bytes), plugins_(std::move(plugins)) {}

  std::filesystem::path NewPath(const char* what);
  void EndTurn(const std::string& key);
  Status MoveIn(const std::filesystem::path& made, const std::string& name, const std::string& plugin,
                const std::filesystem::path& model_path);
  Status Publish(const std::filesystem::path& own, const std::string& name, const CacheRecord& record,
                 const std::filesystem::path& root);
  void MarkUsed(const std::filesystem::path& entry) const;
  void Collect(const std::filesystem::path& root, const std::string& keep);

  // Constant after Open.
  const std::filesystem::path dir_;
  const uint64_t limit_bytes_;
  const std::set<std::string> plugins_;
  std::optional<os::TemporaryDirectory> own_;  // making/mlos-XXXXXX
  std::optional<os::FileLock> lock_;

  std::atomic<uint64_t> last_number_{0};
  Mutex mu_;
  CondVar turn_ended_;
  std::set<std::string> turns_ MLOS_GUARDED_BY(mu_);
};

// What a worker of the plugin at `library` is started with, so that it reads the cache and builds in the draft, which may be null.
void AddCache(const WeightCache& cache, const std::filesystem::path& library, const WeightCache::Draft* draft,
              WorkerSettings* settings, OptionList* options);

}  // namespace mlos::plugin
