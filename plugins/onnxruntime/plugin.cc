// SPDX-License-Identifier: Apache-2.0
#include "plugin.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include "errors.h"

namespace mlos_ort {
namespace {

constexpr smi_str Text(std::string_view text) { return {text.data(), text.size()}; }

// The engine allows one environment with a thread pool of its own choice a process.
std::mutex open_mutex;
bool is_open = false;

void LogFromEngine(void* plugin, OrtLoggingLevel severity, const char* /*category*/, const char* /*id*/,
                   const char* /*location*/, const char* message) {
  // VERBOSE, INFO, WARNING, ERROR, FATAL
  static constexpr int32_t kLevels[] = {0, 1, 2, 3, 3};
  static_cast<const smi_plugin*>(plugin)->Log(kLevels[severity], message);
}

smi_code Open(const smi_host_api* host, const smi_option* options, uint32_t n_options, smi_plugin** plugin,
              smi_error* error) {
  return Guard(error, LoadCode, [&]() -> smi_code {
    if (host == nullptr || !SMI_HAS(host, smi_host_api, log) || host->log == nullptr || plugin == nullptr ||
        (n_options > 0 && options == nullptr)) {
      throw Failure(SMI_INVALID_ARGUMENT, "the host's table is missing or smaller than in SMI 1.0");
    }
    const PluginOptions parsed = ParsePluginOptions(options, n_options);
    const std::lock_guard lock(open_mutex);
    if (is_open) throw Failure(SMI_WRONG_STATE, "the plugin is open already");
    *plugin = std::make_unique<smi_plugin>(*host, parsed).release();
    is_open = true;
    return SMI_OK;
  });
}

smi_code Close(smi_plugin* plugin, smi_error* error) {
  const uint32_t n_models = plugin->n_models.load();
  if (n_models > 0) return smi_fail(error, SMI_WRONG_STATE, "%u models are loaded", n_models);
  const std::lock_guard lock(open_mutex);
  delete plugin;
  is_open = false;
  return SMI_OK;
}

const smi_plugin_info* Describe(smi_plugin* /*plugin*/) {
  static const smi_str formats[] = {Text("onnx")};
  // Frameworks whose models are exported or converted to ONNX.
  static const smi_str frameworks[] = {Text("onnx"), Text("pytorch"), Text("tensorflow"), Text("huggingface"),
                                       Text("sklearn")};
  static const smi_plugin_info info = [] {
    smi_plugin_info out{};
    out.struct_size = sizeof out;
    out.capabilities = SMI_CAP_EXECUTE | SMI_CAP_CANCEL | SMI_CAP_CONCURRENT;
    out.name = Text("onnxruntime");
    out.version = Text("1.0.0");
    out.engine_version = smi_text(OrtGetApiBase()->GetVersionString());
    out.formats = formats;
    out.frameworks = frameworks;
    out.n_formats = std::size(formats);
    out.n_frameworks = std::size(frameworks);
    return out;
  }();
  return &info;
}

constexpr smi_plugin_api MakeTable() {
  smi_plugin_api table{};
  table.struct_size = sizeof table;
  table.version = SMI_VERSION;
  table.open = Open;
  table.close = Close;
  table.describe = Describe;
  table.estimate = Estimate;
  table.load = Load;
  table.unload = Unload;
  table.describe_model = DescribeModel;
  table.execute = Execute;
  table.cancel = Cancel;
  table.model_stats = ModelStats;
  return table;
}

constexpr smi_plugin_api kTable = MakeTable();

}  // namespace
}  // namespace mlos_ort

smi_plugin::smi_plugin(const smi_host_api& host_api, const mlos_ort::PluginOptions& options)
    : host(host_api) {
  threads = options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 1) threads = 1;
  // Builds from 1.29 on send usage data unless this is set before the environment exists; the call below is for the rest.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  const OrtApi& api = Ort::GetApi();
  OrtThreadingOptions* raw = nullptr;
  Ort::ThrowOnError(api.CreateThreadingOptions(&raw));
  const std::unique_ptr<OrtThreadingOptions, void (*)(OrtThreadingOptions*)> pool(
      raw, api.ReleaseThreadingOptions);
  Ort::ThrowOnError(api.SetGlobalIntraOpNumThreads(raw, threads));
  // Nodes of one call run one after another: threads between nodes would only compete with those inside them.
  Ort::ThrowOnError(api.SetGlobalInterOpNumThreads(raw, 1));
  Ort::ThrowOnError(
      api.SetGlobalSpinControl(raw, options.spin == mlos_ort::PluginOptions::Spin::kOn ? 1 : 0));
  env = Ort::Env(raw, mlos_ort::LogFromEngine, this, ORT_LOGGING_LEVEL_WARNING, "mlos");
  env.DisableTelemetryEvents();
  spin_while_running = options.spin == mlos_ort::PluginOptions::Spin::kRun;
  if (!options.weight_cache_dir.empty()) {
    cache.emplace(options.weight_cache_dir + "/onnxruntime", options.weight_cache_limit_bytes,
                  options.weight_cache_write, options.weight_cache_build_dir, *this);
  }
}

void smi_plugin::Log(int32_t level, const char* message) const {
  host.log(host.host, level, smi_text(message));
}

extern "C" SMI_EXPORT const smi_plugin_api* smi_plugin_entry(uint32_t host_version, smi_error* error) {
  return smi_host_matches(host_version, error) ? &mlos_ort::kTable : nullptr;
}
