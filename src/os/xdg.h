// SPDX-License-Identifier: Apache-2.0
// Where mlOS keeps its state: the XDG base directories, or one folder when MLOS_HOME names it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"

namespace mlos::os {

// Absolute; not created.
struct Directories {
  std::filesystem::path data;  // $MLOS_HOME, else $XDG_DATA_HOME/mlos: packages, registry
  // <data>/store: installed packages (package/store.h); axon and mlos-core share it
  std::filesystem::path store;
  std::filesystem::path config;   // $MLOS_HOME/config, else $XDG_CONFIG_HOME/mlos
  std::filesystem::path cache;    // $MLOS_HOME/cache, else $XDG_CACHE_HOME/mlos
  std::filesystem::path runtime;  // $MLOS_HOME/run, else $XDG_RUNTIME_DIR/mlos, else <data>/run: sockets
};

// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> GetEnv(const std::string& name);

// Empty and relative XDG variables count as unset, as the specification says; a relative MLOS_HOME is taken
// from the current folder. Without HOME the user database is asked. kFailedPrecondition when there is no home
// at all.
Result<Directories> ResolveDirectories(const Environment& env = GetEnv);

}  // namespace mlos::os
