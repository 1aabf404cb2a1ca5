// SPDX-License-Identifier: Apache-2.0
// What plugins estimated, so that a model that comes and goes is not estimated each time: that may cost a process.
#pragma once

#include <map>
#include <string>

#include "base/mutex.h"
#include "plugin/instance.h"

namespace mlos::model {

// Thread-safe. An estimate holds while the model's file is the same (device, inode, size, time of change).
class EstimateCache {
 public:
  // Asks the plugin when it is not known; *fresh says so.
  Result<plugin::Estimate> Get(plugin::PluginRegistry& plugins, const std::string& plugin_id,
                               const plugin::LoadOptions& options, bool* fresh);
  // Asks again: a load may have changed what the next one takes.
  Result<plugin::Estimate> Renew(plugin::PluginRegistry& plugins, const std::string& plugin_id,
                                 const plugin::LoadOptions& options);

 private:
  static constexpr size_t kMost = 1000;

  Mutex mu_;
  std::map<std::string, plugin::Estimate> known_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::model
