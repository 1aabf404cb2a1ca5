// SPDX-License-Identifier: Apache-2.0
#include "model/registry.h"

#include <utility>

#include "base/clock.h"
#include "package/ref.h"
#include "package/store.h"

namespace mlos::model {

std::string CanonicalModelId(const std::string& id) {
  return id.find('@') == std::string::npos ? id + "@latest" : id;
}

Result<std::string> ParseModelId(const std::string& id) {
  MLOS_ASSIGN_OR_RETURN(const package::ModelRef ref, package::ParseModelRef(id));
  return ref.ToString();
}

Result<std::vector<Registration>> FindInstalled(const std::filesystem::path& root) {
  MLOS_ASSIGN_OR_RETURN(const std::unique_ptr<package::Store> store, package::Store::Open(root));
  MLOS_ASSIGN_OR_RETURN(const std::vector<package::InstalledPackage> packages, store->List());
  std::vector<Registration> out;
  for (const package::InstalledPackage& package : packages) {
    out.push_back({.id = package.ref.ToString(), .path = package.dir.string()});
  }
  return out;
}

Result<std::unique_ptr<Registry>> Registry::Open(std::unique_ptr<Catalog> catalog,
                                                 std::unique_ptr<plugin::PluginRegistry> plugins) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<Registration> rows, catalog->List());
  std::unique_ptr<Registry> registry(new Registry(std::move(catalog), std::move(plugins)));
  MutexLock lock(registry->mu_);
  for (const Registration& row : rows) {
    auto entry = std::make_shared<Entry>();
    entry->registration = row;
    registry->entries_[row.id] = std::move(entry);
  }
  return registry;
}

Registry::Registry(std::unique_ptr<Catalog> catalog, std::unique_ptr<plugin::PluginRegistry> plugins)
    : catalog_(std::move(catalog)), plugins_(std::move(plugins)) {}

Registry::~Registry() {
  std::map<std::string, std::shared_ptr<Entry>> entries;
  MutexLock lock(mu_);
  entries.swap(entries_);
}

Result<Handle> Registry::Register(Registration registration) {
  registration.id = CanonicalModelId(registration.id);
  MutexLock change(change_mu_);
  MLOS_ASSIGN_OR_RETURN(std::unique_ptr<LoadedModel> loaded, LoadModel(registration, *plugins_));
  if (registration.registered_unix_ns == 0) registration.registered_unix_ns = Clock::Real().UnixNs();
  MLOS_RETURN_IF_ERROR(catalog_->Put(registration));
  auto entry = std::make_shared<Entry>();
  entry->registration = std::move(registration);
  entry->state = State::kReady;
  std::tie(entry->model, entry->gone) = reaper_.Share(std::move(loaded));
  const Handle handle = entry->model;
  MutexLock lock(mu_);
  entries_[entry->registration.id] = std::move(entry);
  return handle;
}

Status Registry::Unregister(const std::string& id) {
  const std::string key = CanonicalModelId(id);
  MutexLock change(change_mu_);
  std::shared_future<void> gone;
  std::shared_ptr<Entry> entry;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return UnknownModel(key);
    entry = it->second;
    while (entry->state == State::kLoading) load_finished_.Wait(mu_);
  }
  MLOS_RETURN_IF_ERROR(catalog_->Remove(key));
  {
    MutexLock lock(mu_);
    entries_.erase(key);
    gone = entry->gone;
    entry->model = nullptr;
    entry->state = State::kFailed;
    entry->error = NotFound("model '" + key + "' was unregistered");
  }
  if (gone.valid()) gone.wait();
  return OkStatus();
}

Result<Handle> Registry::AcquireReady(const std::string& id) {
  MutexLock lock(mu_);
  auto it = entries_.find(id);
  if (it == entries_.end()) it = entries_.find(CanonicalModelId(id));
  if (it == entries_.end()) return UnknownModel(id);
  return it->second->model;
}

Result<Handle> Registry::AcquireOrLoad(const std::string& id) {
  std::shared_ptr<Entry> entry;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(CanonicalModelId(id));
    if (it == entries_.end()) return UnknownModel(id);
    entry = it->second;
    while (entry->state == State::kLoading) load_finished_.Wait(mu_);
    if (entry->state == State::kReady) return entry->model;
    if (entry->error.code() == Code::kNotFound && !entries_.contains(entry->registration.id))
      return entry->error;
    entry->state = State::kLoading;
  }
  return LoadInto(entry);
}

Result<Handle> Registry::LoadInto(const std::shared_ptr<Entry>& entry) {
  Result<std::unique_ptr<LoadedModel>> loaded = LoadModel(entry->registration, *plugins_);
  MutexLock lock(mu_);
  load_finished_.NotifyAll();
  if (!loaded.ok()) {
    entry->state = State::kFailed;
    entry->error = loaded.status().WithContext("loading model '" + entry->registration.id + "'");
    return entry->error;
  }
  std::tie(entry->model, entry->gone) = reaper_.Share(std::move(loaded).value());
  entry->state = State::kReady;
  entry->error = OkStatus();
  return entry->model;
}

Status Registry::UnknownModel(const std::string& id) const {
  std::string known;
  int shown = 0;
  for (const auto& [other, entry] : entries_) {
    if (++shown > 5) {
      known += ", ...";
      break;
    }
    known += (known.empty() ? "" : ", ") + other;
  }
  return NotFound("model '" + id + "' is not registered; registered: " + (known.empty() ? "none" : known));
}

Snapshot Registry::SnapshotOf(const Entry& entry) const {
  return {.registration = entry.registration,
          .state = entry.state,
          .error = entry.error.ok() ? "" : entry.error.message(),
          .model = entry.model};
}

std::vector<Snapshot> Registry::List() const {
  MutexLock lock(mu_);
  std::vector<Snapshot> out;
  for (const auto& [id, entry] : entries_) out.push_back(SnapshotOf(*entry));
  return out;
}

Result<Snapshot> Registry::Get(const std::string& id) const {
  MutexLock lock(mu_);
  const auto it = entries_.find(CanonicalModelId(id));
  if (it == entries_.end()) return UnknownModel(id);
  return SnapshotOf(*it->second);
}

}  // namespace mlos::model
