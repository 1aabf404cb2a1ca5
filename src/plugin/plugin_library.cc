// SPDX-License-Identifier: Apache-2.0
#include "plugin/plugin_library.h"

#include <algorithm>
#include <utility>

#include "os/dynamic_library.h"
#include "plugin/smi_convert.h"

namespace mlos::plugin {
namespace {

constexpr uint32_t kMaxNames = 256;

void LogFromPlugin(void* host, int32_t level, smi_str message) {
  const int32_t known = std::clamp<int32_t>(level, 0, static_cast<int32_t>(LogLevel::kError));
  static_cast<const PluginLog*>(host)->Write(static_cast<LogLevel>(known), View(message));
}

bool IsPluginName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<std::vector<std::string>> Names(const smi_str* names, uint32_t count, const char* what) {
  if (count > kMaxNames || (count > 0 && names == nullptr)) {
    return Internal("lists " + std::to_string(count) + " " + what + " that cannot be read");
  }
  std::vector<std::string> out;
  for (uint32_t i = 0; i < count; ++i) out.emplace_back(View(names[i]));
  return out;
}

}  // namespace

std::string NameInFile(const std::filesystem::path& path) {
  constexpr std::string_view kPrefix = "libmlos_";
  std::string name = path.stem().string();
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  return name;
}

std::vector<smi_option> BorrowOptions(const OptionList& options) {
  std::vector<smi_option> out;
  out.reserve(options.size());
  for (const auto& [name, value] : options) out.push_back({Borrow(name), Borrow(value)});
  return out;
}

PluginLibrary::PluginLibrary(const std::filesystem::path& path, LogFn log) {
  description_.path = path;
  description_.id = NameInFile(path);
  log_ = std::make_shared<const PluginLog>(std::move(log), description_.id);
  host_ = {sizeof host_, SMI_VERSION, const_cast<PluginLog*>(log_.get()), &LogFromPlugin};
}

Result<std::shared_ptr<PluginLibrary>> PluginLibrary::Open(const std::filesystem::path& path,
                                                           const OptionList& options, LogFn log) {
  std::shared_ptr<PluginLibrary> library(new PluginLibrary(path, std::move(log)));
  const Status connected = library->Connect(options);
  if (!connected.ok()) return connected.WithContext("plugin " + path.string());
  return library;
}

PluginLibrary::~PluginLibrary() {
  if (plugin_ == nullptr) return;
  smi_error error = EmptyError();
  const smi_code code = api_->close(plugin_, &error);
  if (code != SMI_OK)
    log_->Write(LogLevel::kError, StatusFromSmi(code, &error, id()).WithContext("close").ToString());
}

Status PluginLibrary::Connect(const OptionList& options) {
  MLOS_ASSIGN_OR_RETURN(const os::DynamicLibrary library, os::DynamicLibrary::Open(description_.path));
  MLOS_ASSIGN_OR_RETURN(void* const symbol, library.Symbol(SMI_PLUGIN_ENTRY));
  smi_error error = EmptyError();
  const auto entry = reinterpret_cast<smi_plugin_entry_fn>(symbol);
  api_ = entry(SMI_VERSION, &error);
  if (api_ == nullptr) {
    return StatusFromSmi(error.code == SMI_OK ? SMI_UNSUPPORTED : error.code, &error, id());
  }
  MLOS_RETURN_IF_ERROR(CheckTable());
  const std::vector<smi_option> borrowed = BorrowOptions(options);
  smi_plugin* plugin = nullptr;
  const smi_code code =
      api_->open(&host_, borrowed.data(), static_cast<uint32_t>(borrowed.size()), &plugin, &error);
  if (code != SMI_OK) return StatusFromSmi(code, &error, id()).WithContext("open");
  if (plugin == nullptr) return Internal("open gave no plugin");
  plugin_ = plugin;
  return Describe();
}

Status PluginLibrary::CheckTable() const {
  if (!SMI_HAS(api_, smi_plugin_api, version) || api_->version >> 16 != SMI_VERSION_MAJOR) {
    const uint32_t version = SMI_HAS(api_, smi_plugin_api, version) ? api_->version : 0;
    return Unimplemented("speaks SMI " + std::to_string(version >> 16) + "." +
                         std::to_string(version & 0xFFFF) + ", this host SMI " +
                         std::to_string(SMI_VERSION_MAJOR) + ".x");
  }
  if (!SMI_HAS(api_, smi_plugin_api, tokenize)) return Internal("its table is smaller than in SMI 1.0");
  if (api_->open == nullptr || api_->close == nullptr || api_->describe == nullptr ||
      api_->estimate == nullptr || api_->load == nullptr || api_->unload == nullptr ||
      api_->describe_model == nullptr || api_->model_stats == nullptr) {
    return Internal(
        "its table lacks one of open, close, describe, estimate, load, unload, describe_model, model_stats");
  }
  return OkStatus();
}

Status PluginLibrary::Describe() {
  const smi_plugin_info* info = api_->describe(plugin_);
  if (info == nullptr || !SMI_HAS(info, smi_plugin_info, n_frameworks)) {
    return Internal("describes itself with nothing, or less than SMI 1.0 asks for");
  }
  if (!IsPluginName(View(info->name))) return Internal("has a name that is not of [a-z0-9-]");
  capabilities_ = info->capabilities;
  const auto promises = [&](uint32_t bit, bool slot) { return (capabilities_ & bit) == 0 || slot; };
  if (!promises(SMI_CAP_EXECUTE, api_->execute != nullptr) ||
      !promises(SMI_CAP_GENERATE, api_->generate != nullptr) ||
      !promises(SMI_CAP_CANCEL, api_->cancel != nullptr)) {
    return Internal("promises execute, generate or cancel, but its table lacks it");
  }
  description_.id = View(info->name);
  description_.version = View(info->version);
  description_.engine_version = View(info->engine_version);
  description_.capabilities = CapabilityNames(capabilities_);
  MLOS_ASSIGN_OR_RETURN(description_.formats, Names(info->formats, info->n_formats, "formats"));
  MLOS_ASSIGN_OR_RETURN(description_.frameworks, Names(info->frameworks, info->n_frameworks, "frameworks"));
  return OkStatus();
}

}  // namespace mlos::plugin
