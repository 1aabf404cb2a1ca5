// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include "base/version.h"
#include "daemon/config.h"
#include "infer/keep_alive.h"

namespace mlos::daemon {
namespace {

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

template <typename T>
Status ParseNumber(const char* name, const std::string& text, int64_t lo, int64_t hi, T* out) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lo || value > hi) {
    return InvalidArgument("environment variable " + std::string(name) + " is '" + text +
                           "', wanted a number " + std::to_string(lo) + ".." + std::to_string(hi));
  }
  *out = static_cast<T>(value);
  return OkStatus();
}

Status ReadKeepAlive(const char* name, const std::string& text, int64_t* out) {
  const Result<int64_t> value = ParseKeepAlive(text);
  if (!value.ok()) return value.status().WithContext(name);
  *out = *value;
  return OkStatus();
}

// The files that flags name and the values they carry, before they are merged over file and environment.
struct Flags {
  std::string config_file;
  std::vector<std::string> hosts;
  std::vector<std::string> plugin_dirs;
  std::optional<uint16_t> port;
  std::optional<std::string> unix_socket, home, log_level, log_file, port_file, memory_budget, keep_alive,
      isolation;
  std::vector<std::string> preload;
  std::optional<int> threads;
  std::optional<uint16_t> grpc_port;
  std::optional<std::string> ipc_socket;
  bool scan = false, no_http = false, ignored = false, version = false;
};

void Declare(CLI::App& app, Flags& f) {
  app.add_option("command", "'serve' may be given and changes nothing")->check(CLI::IsMember({"serve"}));
  app.add_option("-c,--config", f.config_file, "YAML file with settings (docs/configuration.md)");
  app.add_option("-p,--http-port,--port", f.port, "HTTP port; 0 picks a free one (default 8080)");
  app.add_option("--host", f.hosts, "address to listen on, may be repeated (default 127.0.0.1 and ::1)");
  app.add_option("--unix-socket", f.unix_socket, "listen for HTTP on this Unix socket too");
  app.add_option("--port-file", f.port_file, "write the HTTP port to this file once it is open");
  app.add_option("--home", f.home,
                 "folder for store, registry and state (default: MLOS_HOME, else XDG folders)");
  app.add_option("--plugin-dir", f.plugin_dirs, "folder with SMI plugins, may be repeated");
  app.add_option("--threads", f.threads, "requests executed at the same time (default: one a CPU)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--memory-budget", f.memory_budget,
                 "memory for models: auto, a percentage such as 80%, or a size such as 6GB (default auto)");
  app.add_option(
      "--keep-alive", f.keep_alive,
      "how long a model stays loaded without requests: 5m, seconds, 0 = unload at once, -1 = for ever "
      "(default 5m)");
  app.add_option("--preload", f.preload, "registered model to load at start, may be repeated");
  app.add_option("--isolation", f.isolation,
                 "where models run: process (each in a worker) or none (in this program)");
  app.add_flag("--scan", f.scan, "register every installed package at start");
  app.add_option("--log-level", f.log_level, "debug, info, warn or error");
  app.add_option("--log-file", f.log_file, "append the log to this file instead of standard error");
  app.add_option("-g,--grpc-port", f.grpc_port, "unsupported: this version has no gRPC API")->group("");
  app.add_option("-s,--socket", f.ipc_socket, "unsupported: this version has no IPC API; see --unix-socket")
      ->group("");
  app.add_flag("--no-http", f.no_http)->group("");
  app.add_flag("--no-grpc,--no-ipc", f.ignored)->group("");
  app.add_flag("-v,--version", f.version, "print the version");
}

Status Unsupported(const Flags& f) {
  if (f.grpc_port) return Unimplemented("--grpc-port: this version has no gRPC API");
  if (f.ipc_socket)
    return Unimplemented("--socket: this version has no IPC API; --unix-socket serves HTTP on one");
  if (f.no_http) return Unimplemented("--no-http: HTTP is the only API of this version");
  return OkStatus();
}

Status ApplyFile(const std::string& path, Config* config) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in) return NotFound("cannot read config file '" + path + "'");
  return ApplyYaml(text, config).WithContext("'" + path + "'");
}

Status ApplyFlags(const Flags& f, Config* c) {
  if (f.port) c->port = *f.port;
  if (!f.hosts.empty()) c->hosts = f.hosts;
  if (f.unix_socket) c->unix_socket = *f.unix_socket;
  if (f.port_file) c->port_file = *f.port_file;
  if (f.home) c->home = *f.home;
  if (!f.plugin_dirs.empty()) c->plugin_dirs.assign(f.plugin_dirs.begin(), f.plugin_dirs.end());
  if (f.threads) c->threads = *f.threads;
  if (f.log_level) c->log_level = *f.log_level;
  if (f.log_file) c->log_file = *f.log_file;
  if (f.isolation) c->isolation = *f.isolation;
  if (f.scan) c->scan_at_start = true;
  if (f.memory_budget) c->memory_budget = *f.memory_budget;
  if (!f.preload.empty()) c->preload = f.preload;
  return f.keep_alive ? ReadKeepAlive("--keep-alive", *f.keep_alive, &c->keep_alive_ns) : OkStatus();
}

Status CheckLogLevel(const Config& c) {
  for (const char* known : {"debug", "info", "warn", "error"}) {
    if (c.log_level == known) return OkStatus();
  }
  return InvalidArgument("log level '" + c.log_level + "' is unknown, wanted debug, info, warn or error");
}

Status CheckIsolation(const Config& c) {
  if (c.boost != "off" && c.boost != "nice" && c.boost != "realtime")
    return InvalidArgument("workers.boost '" + c.boost + "' is unknown, wanted off, nice or realtime");
  if (c.isolation == "none" || c.isolation == "process") return OkStatus();
  return InvalidArgument("isolation '" + c.isolation + "' is unknown, wanted process or none");
}

Status Merge(const Flags& f, const GetEnv& get, Config* config) {
  MLOS_RETURN_IF_ERROR(Unsupported(f));
  const std::string file = !f.config_file.empty() ? f.config_file : get("MLOS_CONFIG").value_or("");
  if (!file.empty()) MLOS_RETURN_IF_ERROR(ApplyFile(file, config));
  MLOS_RETURN_IF_ERROR(ApplyEnvironment(get, config));
  MLOS_RETURN_IF_ERROR(ApplyFlags(f, config));
  MLOS_RETURN_IF_ERROR(CheckIsolation(*config));
  return CheckLogLevel(*config);
}

}  // namespace

Status ApplyEnvironment(const GetEnv& get, Config* config) {
  if (const auto v = get("MLOS_HTTP_HOSTS")) config->hosts = Split(*v, ',');
  if (const auto v = get("MLOS_HTTP_PORT")) {
    MLOS_RETURN_IF_ERROR(ParseNumber("MLOS_HTTP_PORT", *v, 0, 65535, &config->port));
  }
  if (const auto v = get("MLOS_HOME")) config->home = *v;
  if (const auto v = get("MLOS_PLUGIN_PATH")) {
    const std::vector<std::string> dirs = Split(*v, ':');
    config->plugin_dirs.assign(dirs.begin(), dirs.end());
  }
  if (const auto v = get("MLOS_THREADS")) {
    MLOS_RETURN_IF_ERROR(ParseNumber("MLOS_THREADS", *v, 0, 1024, &config->threads));
  }
  if (const auto v = get("MLOS_LOG_LEVEL")) config->log_level = *v;
  if (const auto v = get("MLOS_MEMORY_BUDGET")) config->memory_budget = *v;
  if (const auto v = get("MLOS_KEEP_ALIVE"))
    MLOS_RETURN_IF_ERROR(ReadKeepAlive("MLOS_KEEP_ALIVE", *v, &config->keep_alive_ns));
  if (const auto v = get("MLOS_ISOLATION")) config->isolation = *v;
  return OkStatus();
}

CommandLine ParseCommandLine(int argc, const char* const* argv, const GetEnv& get) {
  CommandLine out;
  Flags flags;
  CLI::App app("mlos-core serves installed models over HTTP.", "mlos-core");
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.action = CommandLine::Action::kHelp, .text = app.help()};
  } catch (const CLI::ParseError& e) {
    return {.action = CommandLine::Action::kUsageError, .text = e.what()};
  }
  if (flags.version) {
    return {.action = CommandLine::Action::kVersion,
            .text = std::string("mlos-core version ") + kVersion + "\n"};
  }
  if (const Status status = Merge(flags, get, &out.config); !status.ok()) {
    return {.action = CommandLine::Action::kUsageError, .text = status.message()};
  }
  return out;
}

}  // namespace mlos::daemon
