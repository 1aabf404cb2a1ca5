// SPDX-License-Identifier: Apache-2.0
// name@version -> model. Keeps registrations, loads models once however many ask, and lets the requests in flight on an old
// model finish before it goes.
//
//   registered --Acquire/Register--> loading --ok--> ready --Unregister--> gone
//                                       `--error--> failed --Acquire--> loading
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "model/catalog.h"
#include "model/loaded_model.h"
#include "model/reaper.h"
#include "plugin/instance.h"

namespace mlos::model {

enum class State { kRegistered, kLoading, kReady, kFailed };

// Pins the model; may be dropped on any thread, a plugin's own included.
using Handle = std::shared_ptr<LoadedModel>;

struct Snapshot {
  Registration registration;
  State state = State::kRegistered;
  std::string error;  // kFailed
  Handle model;       // kReady
};

// Thread-safe.
class Registry {
 public:
  // Takes up every registration of the catalog, unloaded.
  static Result<std::unique_ptr<Registry>> Open(std::unique_ptr<Catalog> catalog,
                                                std::unique_ptr<plugin::PluginRegistry> plugins);
  // Waits until every handle is dropped and every model is unloaded.
  ~Registry();

  // Loads, then remembers; on failure nothing changes. Blocks.
  Result<Handle> Register(Registration registration);
  // Forgets, then waits until the last handle is dropped and the model is unloaded.
  Status Unregister(const std::string& id);

  // Never blocks. The handle when the model is ready, null when it must be loaded first, kNotFound for an unknown id.
  Result<Handle> AcquireReady(const std::string& id);
  // Blocks while the model loads; callers of the same model share one load.
  Result<Handle> AcquireOrLoad(const std::string& id);

  std::vector<Snapshot> List() const;
  Result<Snapshot> Get(const std::string& id) const;
  plugin::PluginRegistry& plugins() { return *plugins_; }

 private:
  struct Entry {
    Registration registration;
    State state = State::kRegistered;
    Status error;
    Handle model;
    // Becomes ready when `model` is destroyed.
    std::shared_future<void> gone;
  };

  Registry(std::unique_ptr<Catalog> catalog, std::unique_ptr<plugin::PluginRegistry> plugins);
  Result<Handle> LoadInto(const std::shared_ptr<Entry>& entry);
  Status UnknownModel(const std::string& id) const MLOS_REQUIRES(mu_);
  Snapshot SnapshotOf(const Entry& entry) const MLOS_REQUIRES(mu_);

  // Constant after construction.
  const std::unique_ptr<Catalog> catalog_;
  const std::unique_ptr<plugin::PluginRegistry> plugins_;

  // Serialises Register and Unregister, so that the catalog and the map agree.
  Mutex change_mu_;

  mutable Mutex mu_;
  CondVar load_finished_;
  std::map<std::string, std::shared_ptr<Entry>> entries_ MLOS_GUARDED_BY(mu_);

  // Last: models end before the plugins do.
  Reaper reaper_;
};

// "hf/x" means "hf/x@latest".
std::string CanonicalModelId(const std::string& id);

// The canonical id, or kInvalidArgument: the grammar is package/ref.h's.
Result<std::string> ParseModelId(const std::string& id);

// A registration for every package of the store under `root`.
Result<std::vector<Registration>> FindInstalled(const std::filesystem::path& root);

}  // namespace mlos::model
