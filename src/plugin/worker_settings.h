// SPDX-License-Identifier: Apache-2.0
// How worker processes are run.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "os/child_groups.h"
#include "os/sandbox.h"
#include "resources/thread_boost.h"

namespace mlos::plugin {

struct WorkerSettings {
  // mlos-worker. Empty: beside this program, else ../libexec/mlos, else /usr/libexec/mlos.
  std::filesystem::path program;
  // Of shared memory for the inputs under way, and as much for outputs. Address space; memory is taken as it is needed.
  uint64_t arena_bytes = uint64_t{1} << 30;
  uint32_t max_threads = 64;  // requests that one worker runs at the same time
  // A worker whose event loop is silent for so long is killed and started again. What it computes does not matter here.
  std::chrono::milliseconds hang_timeout{10'000};
  // A request that goes on for so long after it was cancelled, or after its deadline, costs its worker the life.
  std::chrono::milliseconds stuck_timeout{30'000};
  // Deaths in a row, each before one request was answered, after which a model is given up.
  uint32_t max_crashes = 5;
  // How long either side looks for the other before it sleeps, while other threads of its CPU may run; 0 = not at all, negative = by the
  // number of CPUs.
  int32_t spin_us = -1;

  // How a worker's threads are raised while it runs requests of the classes REALTIME and HIGH.
  resources::BoostMode boost = resources::BoostMode::kNice;

  os::SandboxMode sandbox = os::SandboxMode::kOn;
  uint64_t private_bytes = 0;  // of one worker; 0 = no limit
  // Where each worker gets a control group of its own, which holds it to private_bytes and its outputs; null: none.
  std::shared_ptr<os::ChildGroups> groups;
  // Beyond the plugin's folder and the package, which are always readable.
  std::vector<std::filesystem::path> read_paths;
  std::vector<std::filesystem::path> write_paths;
  std::vector<std::filesystem::path> device_paths;
  std::vector<std::string> sandbox_off;  // mechanisms not to use (os/sandbox.h)
};

}  // namespace mlos::plugin
