// SPDX-License-Identifier: Apache-2.0
#include "os/xdg.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <vector>

namespace mlos::os {
namespace {

std::filesystem::path HomeFromUserDatabase() {
  std::vector<char> buffer(16384);
  struct passwd entry;
  struct passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return {};
  return found->pw_dir == nullptr ? "" : found->pw_dir;
}

std::filesystem::path AbsoluteOrEmpty(const Environment& env, const std::string& name) {
  const std::filesystem::path path = env(name).value_or("");
  return path.is_absolute() ? path : std::filesystem::path();
}

}  // namespace

std::optional<std::string> GetEnv(const std::string& name) {
  const char* value = ::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

Result<Directories> ResolveDirectories(const Environment& env) {
  if (const std::string root = env("MLOS_HOME").value_or(""); !root.empty()) {
    std::error_code error;
    const std::filesystem::path data = std::filesystem::absolute(root, error).lexically_normal();
    if (error)
      return FailedPrecondition("MLOS_HOME is '" + root +
                                "' and the current folder is gone: " + error.message());
    return Directories{data, data / "store", data / "config", data / "cache", data / "run"};
  }
  std::filesystem::path home = AbsoluteOrEmpty(env, "HOME");
  const auto base = [&](const std::string& variable, const char* below_home) -> std::filesystem::path {
    const std::filesystem::path path = AbsoluteOrEmpty(env, variable);
    if (!path.empty()) return path / "mlos";
    if (home.empty()) home = HomeFromUserDatabase();
    return home.empty() ? std::filesystem::path() : home / below_home / "mlos";
  };
  Directories dirs;
  dirs.data = base("XDG_DATA_HOME", ".local/share");
  dirs.store = dirs.data / "store";
  dirs.config = base("XDG_CONFIG_HOME", ".config");
  dirs.cache = base("XDG_CACHE_HOME", ".cache");
  if (dirs.data.empty() || dirs.config.empty() || dirs.cache.empty()) {
    return FailedPrecondition("this user has no home folder: set MLOS_HOME to a folder for mlOS");
  }
  const std::filesystem::path runtime = AbsoluteOrEmpty(env, "XDG_RUNTIME_DIR");
  dirs.runtime = runtime.empty() ? dirs.data / "run" : runtime / "mlos";
  return dirs;
}

}  // namespace mlos::os
