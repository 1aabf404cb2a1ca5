// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <system_error>

#include "os/process.h"
#include "plugin/arena_source.h"
#include "plugin/backend_model.h"
#include "plugin/deadline_timer.h"
#include "plugin/instance.h"
#include "plugin/local_instance.h"
#include "plugin/plugin_library.h"
#include "plugin/remote_instance.h"
#include "plugin/slotted_instance.h"
#include "plugin/smi_convert.h"
#include "plugin/weight_cache.h"

namespace mlos::plugin {
namespace {

bool IsPluginFile(const std::filesystem::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  std::error_code ignored;
  return name.starts_with("libmlos_") && name.ends_with(".so") && entry.is_regular_file(ignored);
}

Result<std::vector<std::filesystem::path>> PluginFiles(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> out;
  std::error_code error;
  if (!std::filesystem::exists(dir, error)) return out;
  std::filesystem::directory_iterator it(dir, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (IsPluginFile(*it)) out.push_back(it->path());
  }
  if (error) return Unavailable("cannot read the plugin folder " + dir.string() + ": " + error.message());
  std::ranges::sort(out);
  return out;
}

// What the backend lists a model under: the reference of an installed package (".../namespace/name/@label"), else the file's name.
std::string BackendName(const LoadOptions& options) {
  const std::string label = options.package_dir.filename().string();
  if (!label.starts_with('@')) return options.model_path.filename().string();
  const std::filesystem::path name = options.package_dir.parent_path();
  return name.parent_path().filename().string() + "/" + name.filename().string() + label;
}

// A plugin as it was found. Its library is opened in this process when a model runs here, and else never.
struct Found {
  PluginDescription description;
  OptionList options;
  std::shared_ptr<PluginLibrary> library;
};

class Registry final : public PluginRegistry {
 public:
  explicit Registry(OpenOptions options) : options_(std::move(options)) {
    int32_t& spin_us = options_.worker.spin_us;
    // With one CPU there is nobody to look for.
    if (spin_us < 0) spin_us = os::AvailableCpus() > 1 ? kSpinUs : 0;
  }

  Status Add(const std::filesystem::path& path) {
    const auto it = options_.plugin_options.find(NameInFile(path));
    Found found;
    if (it != options_.plugin_options.end()) found.options = it->second;
    if (options_.isolation == Isolation::kProcess) {
      MLOS_ASSIGN_OR_RETURN(found.description, DescribeInWorker(path, found.options));
    } else {
      MLOS_ASSIGN_OR_RETURN(found.library,
                            PluginLibrary::Open(path, OptionsHere(path, found.options), options_.log));
      found.description = found.library->description();
    }
    MutexLock lock(mu_);
    if (const Found* other = Find(found.description.id); other != nullptr) {
      return AlreadyExists("plugin " + path.string() + " has the id '" + found.description.id + "' of " +
                           other->description.path.string());
    }
    found_.push_back(std::move(found));
    return OkStatus();
  }

  std::vector<PluginDescription> List() const override {
    std::vector<PluginDescription> out;
    MutexLock lock(mu_);
    for (const Found& found : found_) out.push_back(found.description);
    return out;
  }

  Result<std::string> ForFormat(const std::string& format) const override {
    std::string known;
    MutexLock lock(mu_);
    for (const Found& found : found_) {
      const PluginDescription& d = found.description;
      if (std::ranges::find(d.formats, format) != d.formats.end()) return d.id;
      for (const std::string& f : d.formats) known += (known.empty() ? "" : ", ") + f + " (" + d.id + ")";
    }
    return Unimplemented("no plugin runs models in the format '" + format +
                         "'; there are: " + (known.empty() ? "no plugins at all" : known));
  }

  Result<Estimate> EstimateModel(const std::string& plugin_id, const LoadOptions& options) override {
    MLOS_ASSIGN_OR_RETURN(const Found found, Get(plugin_id));
    if (!IsRemote(options)) {
      MLOS_ASSIGN_OR_RETURN(const auto library, OpenHere(plugin_id));
      return EstimateWith(*library, options);
    }
    WorkerSettings settings = options_.worker;
    OptionList plugin_options = found.options;
    const auto& path = found.description.path;
    if (const auto cache = CacheOf(path)) AddCache(*cache, path, nullptr, &settings, &plugin_options);
    MLOS_ASSIGN_OR_RETURN(const auto process, StartWorker(plugin_id + " estimate", settings));
    MLOS_RETURN_IF_ERROR(process->Open(path, plugin_options, &options).status());
    return process->EstimateModel(options);
  }

  Result<std::unique_ptr<Instance>> Load(const std::string& plugin_id, const LoadOptions& options) override {
    resources::Backend* const backend = options_.backend;
    std::shared_ptr<const BackendModel> model;
    if (backend != nullptr && backend->mode() != resources::RuntimeMode::kUserspace) {
      MLOS_ASSIGN_OR_RETURN(model, BackendModel::Register(*backend, BackendName(options)));
    }
    MLOS_ASSIGN_OR_RETURN(std::unique_ptr<Instance> instance, LoadAlone(plugin_id, options, model));
    if (model == nullptr || backend->slots() == 0) return instance;
    // The module raises threads of this process; those of workers are raised by the host.
    const bool boost = !IsRemote(options) && options_.worker.boost != resources::BoostMode::kOff;
    return std::unique_ptr<Instance>(
        std::make_unique<SlottedInstance>(std::move(instance), std::move(model), boost));
  }

 private:
  Result<std::unique_ptr<Instance>> LoadAlone(const std::string& plugin_id, const LoadOptions& options,
                                              std::shared_ptr<const BackendModel> model) {
    MLOS_ASSIGN_OR_RETURN(Found found, Get(plugin_id));
    if (!IsRemote(options)) {
      MLOS_ASSIGN_OR_RETURN(auto library, OpenHere(plugin_id));
      return LocalInstance::Load(std::move(library), timer_, options);
    }
    auto cache = CacheOf(found.description.path);
    return RemoteInstance::Load({std::move(found.description), std::move(found.options), options,
                                 options_.worker, options_.log, std::move(cache), options_.backend,
                                 std::move(model)});
  }

  bool IsRemote(const LoadOptions& options) const {
    const Isolation wanted = options.isolation;
    return (wanted == Isolation::kDefault ? options_.isolation : wanted) != Isolation::kNone;
  }

  // Null when the plugin does without.
  std::shared_ptr<WeightCache> CacheOf(const std::filesystem::path& path) const {
    const bool has = options_.weight_cache != nullptr && options_.weight_cache->Serves(NameInFile(path));
    return has ? options_.weight_cache : nullptr;
  }

  OptionList OptionsHere(const std::filesystem::path& path, OptionList options) const {
    const auto cache = CacheOf(path);
    if (cache == nullptr) return options;
    const OptionList more = cache->LocalOptions();
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }

  // A worker for a question, not for requests.
  Result<std::unique_ptr<WorkerProcess>> StartWorker(const std::string& title,
                                                     const WorkerSettings& settings) const {
    ArenaSource arenas(nullptr, nullptr, {});
    MLOS_ASSIGN_OR_RETURN(Arena inputs, arenas.Make(ArenaSource::Use::kInputs, kNoTensors));
    MLOS_ASSIGN_OR_RETURN(Arena outputs, arenas.Make(ArenaSource::Use::kOutputs, kNoTensors));
    auto log = [log = options_.log, title](const worker::LogLine& line) {
      if (log) log(static_cast<LogLevel>(std::min(line.level, 3U)), title, line.text);
    };
    return WorkerProcess::Start(settings, title,
                                std::make_shared<worker::SharedArena>(std::move(inputs.memory)),
                                std::move(outputs.memory), log);
  }

  Result<PluginDescription> DescribeInWorker(const std::filesystem::path& path,
                                             const OptionList& options) const {
    MLOS_ASSIGN_OR_RETURN(const auto process, StartWorker(NameInFile(path) + " describe", options_.worker));
    Result<PluginDescription> description = process->Open(path, options, nullptr);
    if (description.status().code() == Code::kInternal)
      return description.status().WithContext("plugin " + path.string());
    return description;
  }

  Result<std::shared_ptr<PluginLibrary>> OpenHere(const std::string& id) {
    MutexLock lock(mu_);
    Found& found = const_cast<Found&>(*Find(id));
    if (found.library == nullptr) {
      MLOS_ASSIGN_OR_RETURN(
          found.library,
          PluginLibrary::Open(found.description.path, OptionsHere(found.description.path, found.options),
                              options_.log));
    }
    return found.library;
  }

  const Found* Find(const std::string& id) const MLOS_REQUIRES(mu_) {
    const auto it =
        std::ranges::find_if(found_, [&](const Found& found) { return found.description.id == id; });
    return it == found_.end() ? nullptr : &*it;
  }

  Result<Found> Get(const std::string& id) const {
    std::string known;
    MutexLock lock(mu_);
    for (const Found& found : found_) {
      if (found.description.id == id) return found;
      known += (known.empty() ? "" : ", ") + found.description.id;
    }
    return NotFound("there is no plugin '" + id + "'; there are: " + (known.empty() ? "none" : known));
  }

  static constexpr uint64_t kNoTensors = 65536;
  static constexpr int32_t kSpinUs = 30;

  OpenOptions options_;  // constant after construction
  const std::shared_ptr<DeadlineTimer> timer_ = std::make_shared<DeadlineTimer>();

  mutable Mutex mu_;
  // Libraries are shared with the instances, which may outlive the registry.
  std::vector<Found> found_ MLOS_GUARDED_BY(mu_);
};

}  // namespace

Result<std::unique_ptr<PluginRegistry>> PluginRegistry::Open(const std::vector<std::filesystem::path>& dirs,
                                                             std::vector<Status>* errors) {
  return Open(dirs, OpenOptions(), errors);
}

Result<std::unique_ptr<PluginRegistry>> PluginRegistry::Open(const std::vector<std::filesystem::path>& dirs,
                                                             OpenOptions options,
                                                             std::vector<Status>* errors) {
  if (options.isolation == Isolation::kDefault) options.isolation = Isolation::kNone;
  if (options.isolation == Isolation::kProcess) {
    MLOS_ASSIGN_OR_RETURN(options.worker.program, FindWorkerProgram(options.worker));
  }
  auto registry = std::make_unique<Registry>(std::move(options));
  for (const std::filesystem::path& dir : dirs) {
    MLOS_ASSIGN_OR_RETURN(const auto files, PluginFiles(dir));
    for (const std::filesystem::path& file : files) {
      const Status added = registry->Add(file);
      if (!added.ok() && errors != nullptr) errors->push_back(added);
    }
  }
  return std::unique_ptr<PluginRegistry>(std::move(registry));
}

}  // namespace mlos::plugin
