// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <spdlog/spdlog.h>

#include "base/version.h"
#include "model/catalog.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"
#include "os/memory_info.h"
#include "os/memory_pressure.h"
#include "os/mlos_device.h"
#include "os/process.h"
#include "os/xdg.h"
#include "plugin/instance.h"
#include "plugin/weight_cache.h"
#include "resources/budget.h"

namespace mlos::daemon {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystemPluginDir = "/usr/lib/mlos/plugins";

// What an engine takes before it has a model: its libraries' data, stacks of its threads.
constexpr uint64_t kWorkerOverheadBytes = uint64_t{512} << 20;

void LogOfPlugin(plugin::LogLevel level, const std::string& plugin, std::string_view message) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  spdlog::log(kLevels[static_cast<size_t>(level)], "{}: {}", plugin, message);
}

Result<os::Directories> DirectoriesOf(const Config& config) {
  return os::ResolveDirectories([&config](const std::string& name) -> std::optional<std::string> {
    if (name == "MLOS_HOME" && !config.home.empty()) return config.home.string();
    return os::GetEnv(name);
  });
}

Result<std::vector<fs::path>> PluginDirs(const Config& config) {
  if (!config.plugin_dirs.empty()) return config.plugin_dirs;
  MLOS_ASSIGN_OR_RETURN(const fs::path program, os::ExecutablePath());
  return std::vector<fs::path>{program.parent_path() / "plugins", kSystemPluginDir};
}

fs::path WeightCacheDir(const Config& config, const fs::path& cache_dir) {
  return config.weight_cache_dir.empty() ? cache_dir / "weights" : fs::absolute(config.weight_cache_dir);
}

// Null when there is none.
std::shared_ptr<plugin::WeightCache> OpenWeightCache(const Config& config, const fs::path& cache_dir) {
  if (!config.weight_cache) return nullptr;
  auto cache = plugin::WeightCache::Open(WeightCacheDir(config, cache_dir),
                                         uint64_t{config.weight_cache_limit_mb} << 20);
  if (cache.ok()) return std::move(*cache);
  spdlog::warn("weights are not cached: {}", cache.status().message());
  return nullptr;
}

Result<std::unique_ptr<model::Registry>> OpenRegistry(const Config& config, const os::Directories& dirs,
                                                      resources::MemoryBroker& broker,
                                                      resources::Backend* backend,
                                                      std::shared_ptr<os::ChildGroups> worker_groups) {
  const fs::path& data_dir = dirs.data;
  MLOS_ASSIGN_OR_RETURN(const std::vector<fs::path> plugin_dirs, PluginDirs(config));
  plugin::OpenOptions open{.log = LogOfPlugin};
  open.weight_cache = OpenWeightCache(config, dirs.cache);
  open.backend = backend;
  open.isolation = config.isolation == "process" ? plugin::Isolation::kProcess : plugin::Isolation::kNone;
  open.worker.program = config.worker_program;
  if (config.worker_sandbox == "off") open.worker.sandbox = os::SandboxMode::kOff;
  if (config.worker_sandbox == "require") open.worker.sandbox = os::SandboxMode::kRequire;
  // No worker may have more than all models together.
  open.worker.private_bytes = config.worker_private_mb == 0 ? broker.budget_bytes() + kWorkerOverheadBytes
                                                            : config.worker_private_mb << 20;
  open.worker.groups = std::move(worker_groups);
  open.worker.read_paths = config.worker_read_paths;
  open.worker.device_paths = config.worker_device_paths;
  open.worker.arena_bytes = config.worker_arena_mb << 20;
  open.worker.hang_timeout = config.worker_hang_timeout;
  open.worker.boost = config.boost == "off"        ? resources::BoostMode::kOff
                      : config.boost == "realtime" ? resources::BoostMode::kRealtime
                                                   : resources::BoostMode::kNice;
  open.worker.stuck_timeout = config.worker_stuck_timeout;
  std::vector<Status> problems;
  MLOS_ASSIGN_OR_RETURN(auto plugins, plugin::PluginRegistry::Open(plugin_dirs, std::move(open), &problems));
  for (const Status& problem : problems) spdlog::warn("plugin left out: {}", problem.message());
  for (const plugin::PluginDescription& p : plugins->List()) {
    spdlog::info("plugin {} {} (engine {}) from {}", p.id, p.version, p.engine_version, p.path.string());
  }
  std::error_code error;
  fs::create_directories(data_dir, error);
  if (error) return PermissionDenied("cannot create '" + data_dir.string() + "': " + error.message());
  MLOS_ASSIGN_OR_RETURN(auto catalog, model::Catalog::Open(data_dir / "registry.db"));
  model::RegistryOptions options{.broker = &broker, .keep_alive_ns = config.keep_alive_ns};
  options.load_timeout_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(config.load_timeout).count();
  return model::Registry::Open(std::move(catalog), std::move(plugins), options);
}

frontend::HttpConfig HttpConfigOf(const Config& config, const resources::Backend& backend,
                                  AccessLogWriter* access_log) {
  frontend::HttpConfig http{.hosts = config.hosts,
                            .port = config.port,
                            .unix_path = config.unix_socket,
                            .io_threads = config.io_threads,
                            .cors_origin = config.cors_origin,
                            .version = kVersion,
                            .request_timeout = config.request_timeout};
  http.runtime = [&backend] {
    return frontend::HttpConfig::Runtime{std::string(resources::RuntimeModeName(backend.mode())),
                                         backend.why()};
  };
  http.limits.max_body_bytes = config.max_body_mb << 20;
  if (access_log != nullptr) {
    http.access_log = [access_log](const frontend::AccessRecord& record) { access_log->Write(record); };
  }
  return http;
}

Status WritePortFile(const Config& config, uint16_t port) {
  if (config.port_file.empty()) return OkStatus();
  return os::WriteFileAtomically(config.port_file, std::to_string(port) + "\n");
}

void ScanInstalled(serving::Server& server) {
  const Result<serving::ScanResult> scan = server.ScanModels();
  if (!scan.ok()) {
    spdlog::warn("scan: {}", scan.status().message());
    return;
  }
  for (const std::string& id : scan->registered) spdlog::info("registered {}", id);
  for (const auto& [id, status] : scan->failed) spdlog::warn("not registered: {}: {}", id, status.message());
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config) {
  std::unique_ptr<Daemon> daemon(new Daemon);
  daemon->config_ = config;
  daemon->backend_ = resources::OpenBackend(os::kMlosDevice, [](const std::string& why) {
    spdlog::warn("runtime mode userspace from now on: {}", why);
  });
  spdlog::info("runtime mode {}{}", resources::RuntimeModeName(daemon->backend_->mode()),
               daemon->backend_->why().empty() ? "" : " (" + daemon->backend_->why() + ")");
  // Before this process moves into a group of its own, which says nothing of its workers.
  daemon->cgroup_ = os::FindCgroupMemory();
  daemon->OpenWorkerGroups();
  MLOS_RETURN_IF_ERROR(daemon->OpenBroker());
  MLOS_RETURN_IF_ERROR(daemon->OpenServer());
  if (config.scan_at_start) ScanInstalled(*daemon->server_);
  MLOS_RETURN_IF_ERROR(daemon->OpenAccessLog());
  MLOS_ASSIGN_OR_RETURN(daemon->http_, frontend::HttpServer::Start(
                                           HttpConfigOf(config, *daemon->backend_, daemon->access_log_.get()),
                                           *daemon->server_));
  MLOS_ASSIGN_OR_RETURN(daemon->backend_watch_, BackendWatch::Start(*daemon->backend_));
  uint16_t port = 0;
  for (const frontend::Endpoint& endpoint : daemon->http_->endpoints()) {
    spdlog::info("listening on {} port {}", endpoint.host, endpoint.port);
    if (port == 0) port = endpoint.port;
  }
  MLOS_RETURN_IF_ERROR(WritePortFile(config, port));
  daemon->Preload();
  os::NotifyServiceManager("READY=1");
  return daemon;
}

Status Daemon::OpenBroker() {
  MLOS_ASSIGN_OR_RETURN(const os::MachineMemory machine, os::ReadMachineMemory());
  MLOS_ASSIGN_OR_RETURN(const resources::Budget budget,
                        resources::ResolveBudget(config_.memory_budget, machine, cgroup_));
  spdlog::info("memory for models: {} ({})", os::FormatBytes(budget.bytes), budget.source);
  broker_ = std::make_unique<resources::MemoryBroker>(
      resources::BrokerOptions{.budget_bytes = budget.bytes, .budget_source = budget.source});
  return OkStatus();
}

void Daemon::OpenWorkerGroups() {
  if (!config_.worker_groups) {
    worker_groups_report_ = {.detail = "turned off (workers.control_groups)"};
    return;
  }
  auto groups = os::ChildGroups::Open();
  if (groups.ok()) {
    worker_groups_ = std::move(*groups);
    worker_groups_report_ = {true, "each worker in a control group below " + worker_groups_->path().string()};
  } else {
    worker_groups_report_ = {.detail = groups.status().message()};
  }
  spdlog::info("worker memory: {}{}", worker_groups_ == nullptr ? "no control groups: " : "",
               worker_groups_report_.detail);
}

Status Daemon::OpenServer() {
  MLOS_ASSIGN_OR_RETURN(const os::Directories dirs, DirectoriesOf(config_));
  MLOS_ASSIGN_OR_RETURN(auto registry, OpenRegistry(config_, dirs, *broker_, backend_.get(), worker_groups_));
  int threads = config_.threads > 0 ? config_.threads : os::AvailableCpus();
  // More than the kernel module grants would only wait there.
  if (const uint32_t slots = backend_->slots(); config_.threads == 0 && slots > 0)
    threads = std::min(threads, static_cast<int>(slots));
  server_ = std::make_unique<serving::Server>(
      std::move(registry), serving::ServerOptions{.threads = threads,
                                                  .max_queue = config_.max_queue,
                                                  .fifo = config_.fifo,
                                                  .express_slots = config_.express_slots,
                                                  .max_batch = static_cast<uint32_t>(config_.max_batch),
                                                  .plan_threads = config_.plan_threads,
                                                  .execution_threads = config_.execution_threads,
                                                  .max_sequences = config_.max_sequences,
                                                  .traces = config_.traces,
                                                  .store = dirs.store});
  pressure_ = std::make_unique<resources::PressureGuard>(
      os::MemoryPressure::Open(cgroup_), *broker_, [](const std::string& who, uint64_t bytes) {
        spdlog::warn("memory is short: unloaded {}, which was idle and had {}", who, os::FormatBytes(bytes));
      });
  server_->set_pressure(pressure_->description());
  server_->set_worker_groups(worker_groups_report_);
  spdlog::info("memory pressure: {}", pressure_->description());
  return OkStatus();
}

// Begins; requests do not wait for it.
void Daemon::Preload() {
  for (const std::string& id : config_.preload) {
    server_->Describe(id, [id](const auto& described) {
      if (!described.ok()) spdlog::warn("not preloaded: {}: {}", id, described.status().message());
    });
  }
}

// Requests are logged at level info, to where the log goes.
Status Daemon::OpenAccessLog() {
  if (config_.log_level != "info" && config_.log_level != "debug") return OkStatus();
  if (!config_.log_file.empty()) {
    access_file_.reset(std::fopen(config_.log_file.c_str(), "a"));
    if (access_file_ == nullptr)
      return PermissionDenied("cannot append to '" + config_.log_file.string() + "'");
  }
  std::FILE* out = access_file_ != nullptr ? access_file_.get() : stderr;
  access_log_ =
      std::make_unique<AccessLogWriter>(out, !os::GetEnv("JOURNAL_STREAM").has_value(), Clock::Real());
  return OkStatus();
}

void Daemon::Stop() {
  os::NotifyServiceManager("STOPPING=1");
  spdlog::info("draining for at most {} ms", config_.drain_timeout.count());
  server_->SetReady(false);
  http_->Drain(config_.drain_timeout);
  spdlog::info("stopped");
}

}  // namespace mlos::daemon
