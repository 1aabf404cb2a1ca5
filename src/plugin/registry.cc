// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <system_error>

#include "plugin/deadline_timer.h"
#include "plugin/instance.h"
#include "plugin/local_instance.h"
#include "plugin/plugin_library.h"
#include "plugin/smi_convert.h"

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

class LocalRegistry final : public PluginRegistry {
 public:
  Status Add(const std::filesystem::path& path, const OpenOptions& options) {
    const auto it = options.plugin_options.find(NameInFile(path));
    const OptionList none;
    MLOS_ASSIGN_OR_RETURN(
        auto library,
        PluginLibrary::Open(path, it == options.plugin_options.end() ? none : it->second, options.log));
    if (const PluginLibrary* other = Find(library->id()); other != nullptr) {
      return AlreadyExists("plugin " + path.string() + " has the id '" + library->id() + "' of " +
                           other->description().path.string());
    }
    libraries_.push_back(std::move(library));
    return OkStatus();
  }

  std::vector<PluginDescription> List() const override {
    std::vector<PluginDescription> out;
    for (const auto& library : libraries_) out.push_back(library->description());
    return out;
  }

  Result<std::string> ForFormat(const std::string& format) const override {
    std::string known;
    for (const auto& library : libraries_) {
      const std::vector<std::string>& formats = library->description().formats;
      if (std::ranges::find(formats, format) != formats.end()) return library->id();
      for (const std::string& f : formats)
        known += (known.empty() ? "" : ", ") + f + " (" + library->id() + ")";
    }
    return Unimplemented("no plugin runs models in the format '" + format +
                         "'; there are: " + (known.empty() ? "no plugins at all" : known));
  }

  Result<Estimate> EstimateModel(const std::string& plugin_id, const LoadOptions& options) override {
    MLOS_ASSIGN_OR_RETURN(const auto library, Get(plugin_id));
    const BorrowedLoadParams load(options);
    smi_estimate estimate{};
    estimate.struct_size = sizeof estimate;
    smi_error error = EmptyError();
    const smi_code code = library->api().estimate(library->plugin(), &load.params, &estimate, &error);
    if (code != SMI_OK) return StatusFromSmi(code, &error, library->id());
    return Estimate{estimate.private_bytes, estimate.mapped_bytes, estimate.device_bytes,
                    estimate.per_call_bytes};
  }

  Result<std::unique_ptr<Instance>> Load(const std::string& plugin_id, const LoadOptions& options) override {
    MLOS_ASSIGN_OR_RETURN(auto library, Get(plugin_id));
    return LocalInstance::Load(std::move(library), timer_, options);
  }

 private:
  const PluginLibrary* Find(const std::string& id) const {
    const auto it =
        std::ranges::find_if(libraries_, [&](const auto& library) { return library->id() == id; });
    return it == libraries_.end() ? nullptr : it->get();
  }

  Result<std::shared_ptr<PluginLibrary>> Get(const std::string& id) const {
    std::string known;
    for (const auto& library : libraries_) {
      if (library->id() == id) return library;
      known += (known.empty() ? "" : ", ") + library->id();
    }
    return NotFound("there is no plugin '" + id + "'; there are: " + (known.empty() ? "none" : known));
  }

  // Constant after Open. Shared with the instances, which may outlive the registry.
  std::vector<std::shared_ptr<PluginLibrary>> libraries_;
  const std::shared_ptr<DeadlineTimer> timer_ = std::make_shared<DeadlineTimer>();
};

}  // namespace

Result<std::unique_ptr<PluginRegistry>> PluginRegistry::Open(const std::vector<std::filesystem::path>& dirs,
                                                             std::vector<Status>* errors) {
  return Open(dirs, OpenOptions(), errors);
}

Result<std::unique_ptr<PluginRegistry>> PluginRegistry::Open(const std::vector<std::filesystem::path>& dirs,
                                                             OpenOptions options,
                                                             std::vector<Status>* errors) {
  auto registry = std::make_unique<LocalRegistry>();
  for (const std::filesystem::path& dir : dirs) {
    MLOS_ASSIGN_OR_RETURN(const auto files, PluginFiles(dir));
    for (const std::filesystem::path& file : files) {
      const Status added = registry->Add(file, options);
      if (!added.ok() && errors != nullptr) errors->push_back(added);
    }
  }
  return std::unique_ptr<PluginRegistry>(std::move(registry));
}

}  // namespace mlos::plugin
