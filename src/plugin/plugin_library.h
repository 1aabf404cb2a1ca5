// SPDX-License-Identifier: Apache-2.0
// One plugin library: loaded, agreed on a version with, checked, opened, closed.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "plugin/instance.h"
#include "smi/smi.h"

namespace mlos::plugin {

// What is logged under a plugin's name. Outlives the plugin: a stray call of it may come late. Thread-safe.
class PluginLog {
 public:
  PluginLog(LogFn log, std::string plugin_id) : log_(std::move(log)), plugin_id_(std::move(plugin_id)) {}
  void Write(LogLevel level, std::string_view message) const {
    if (log_) log_(level, plugin_id_, message);
  }

 private:
  const LogFn log_;
  const std::string plugin_id_;
};

// Thread-safe after Open. The destructor closes the plugin; every model must be unloaded by then.
class PluginLibrary {
 public:
  static Result<std::shared_ptr<PluginLibrary>> Open(const std::filesystem::path& path,
                                                     const OptionList& options, LogFn log);
  ~PluginLibrary();
  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  // Every slot that the plugin's capabilities ask for is there.
  const smi_plugin_api& api() const { return *api_; }
  smi_plugin* plugin() const { return plugin_; }
  uint32_t capabilities() const { return capabilities_; }
  const PluginDescription& description() const { return description_; }
  const std::string& id() const { return description_.id; }
  const std::shared_ptr<const PluginLog>& log() const { return log_; }

 private:
  PluginLibrary(const std::filesystem::path& path, LogFn log);
  Status Connect(const OptionList& options);
  Status CheckTable() const;
  Status Describe();

  // Constant after Open.
  std::shared_ptr<const PluginLog> log_;
  smi_host_api host_{};
  const smi_plugin_api* api_ = nullptr;
  smi_plugin* plugin_ = nullptr;
  uint32_t capabilities_ = 0;
  PluginDescription description_;
};

// "onnxruntime" of ".../libmlos_onnxruntime.so".
std::string NameInFile(const std::filesystem::path& path);

// Options as SMI wants them; borrows from `options`.
std::vector<smi_option> BorrowOptions(const OptionList& options);

}  // namespace mlos::plugin
