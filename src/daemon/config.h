// SPDX-License-Identifier: Apache-2.0
// Settings of mlos-core: defaults, then the config file, then the environment, then flags.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::daemon {

struct Config {
  // api.http
  std::vector<std::string> hosts = {"127.0.0.1", "::1"};
  uint16_t port = 8080;
  std::string unix_socket;
  std::string cors_origin;
  int io_threads = 0;  // 0 = from the number of CPUs

  // core
  std::filesystem::path home;                      // empty: XDG folders
  std::vector<std::filesystem::path> plugin_dirs;  // empty: beside the program, then the system's
  int threads = 0;                                 // requests executed at once; 0 = one a CPU
  size_t max_queue = 1024;
  bool fifo = false;          // core.scheduler: fifo instead of deadline
  int max_batch = 64;         // rows; 1 = no batches
  int express_slots = 1;      // beside `threads`
  bool plan_threads = true;   // threads per execution by load
  int execution_threads = 0;  // of each execution; 0 = as plan_threads says
  int max_sequences = 0;      // texts that a model generates side by side; 0 = 4
  size_t traces = 4096;       // requests of which it is remembered where their time went
  bool scan_at_start = false;
  std::string memory_budget = "auto";              // resources/budget.h
  int64_t keep_alive_ns = 300'000'000'000;         // infer/keep_alive.h; negative = for ever
  std::chrono::milliseconds load_timeout{60'000};  // how long a request waits for memory
  std::vector<std::string> preload;                // model ids, loaded at start
  std::string isolation = "process";  // none, process: where models run that do not say otherwise

  // workers
  std::filesystem::path worker_program;  // empty: beside the program, then where packages put it
  uint64_t worker_arena_mb = 1024;
  std::string worker_sandbox = "on";  // on, off, require
  uint64_t worker_private_mb = 0;     // 0 = the memory budget
  bool worker_groups = true;          // workers.control_groups: where the system lets it
  std::vector<std::filesystem::path> worker_read_paths;
  std::vector<std::filesystem::path> worker_device_paths;
  std::chrono::milliseconds worker_hang_timeout{10'000};
  std::chrono::milliseconds worker_stuck_timeout{30'000};
  std::string boost = "nice";  // workers.boost: "off", "nice", "realtime"

  // weight_cache
  bool weight_cache = true;
  std::filesystem::path weight_cache_dir;  // empty: weights/ in the cache folder of the user or of --home
  size_t weight_cache_limit_mb = 32768;

  // limits
  size_t max_body_mb = 64;
  std::chrono::milliseconds request_timeout{0};  // 0 = none
  std::chrono::milliseconds drain_timeout{30'000};

  // logging
  std::string log_level = "info";
  std::filesystem::path log_file;  // empty: standard error

  // Flags only.
  std::filesystem::path port_file;
};

// Merges `yaml` into *config. Unknown keys, wrong types and features this build lacks are errors with the line.
Status ApplyYaml(std::string_view yaml, Config* config);

// MLOS_HTTP_HOSTS, MLOS_HTTP_PORT, MLOS_HOME, MLOS_PLUGIN_PATH, MLOS_THREADS, MLOS_LOG_LEVEL,
// MLOS_MEMORY_BUDGET, MLOS_KEEP_ALIVE, MLOS_ISOLATION.
using GetEnv = std::function<std::optional<std::string>(const std::string& name)>;
Status ApplyEnvironment(const GetEnv& get, Config* config);

// What the command line asks for.
struct CommandLine {
  enum class Action { kServe, kHelp, kVersion, kUsageError };
  Action action = Action::kServe;
  std::string text;  // kHelp, kVersion: print it; kUsageError: the message
  Config config;
};
CommandLine ParseCommandLine(int argc, const char* const* argv, const GetEnv& get);

}  // namespace mlos::daemon
