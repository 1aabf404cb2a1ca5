// SPDX-License-Identifier: Apache-2.0
#include "model/estimate_cache.h"

#include "os/file.h"

namespace mlos::model {
namespace {

// "" when the file cannot be looked at: nothing is remembered then.
std::string KeyOf(const std::string& plugin_id, const plugin::LoadOptions& options) {
  const Result<os::FileInfo> file = os::Stat(options.model_path);
  if (!file.ok()) return "";
  std::string key = plugin_id + "|" + options.model_path.string() + "|" + std::to_string(file->device) + "|" +
                    std::to_string(file->inode) + "|" + std::to_string(file->size_bytes) + "|" +
                    std::to_string(file->modified_unix_ns) + "|" +
                    std::to_string(static_cast<int>(options.isolation));
  for (const auto& [name, value] : options.options) key += "|" + name + "=" + value;
  return key;
}

}  // namespace

Result<plugin::Estimate> EstimateCache::Get(plugin::PluginRegistry& plugins, const std::string& plugin_id,
                                            const plugin::LoadOptions& options, bool* fresh) {
  const std::string key = KeyOf(plugin_id, options);
  {
    MutexLock lock(mu_);
    const auto it = known_.find(key);
    *fresh = key.empty() || it == known_.end();
    if (!*fresh) return it->second;
  }
  return Renew(plugins, plugin_id, options);
}

Result<plugin::Estimate> EstimateCache::Renew(plugin::PluginRegistry& plugins, const std::string& plugin_id,
                                              const plugin::LoadOptions& options) {
  MLOS_ASSIGN_OR_RETURN(const plugin::Estimate estimate, plugins.EstimateModel(plugin_id, options));
  const std::string key = KeyOf(plugin_id, options);
  MutexLock lock(mu_);
  if (known_.size() >= kMost) known_.clear();
  if (!key.empty()) known_[key] = estimate;
  return estimate;
}

}  // namespace mlos::model
