// SPDX-License-Identifier: Apache-2.0
// The mechanisms of sandbox.h, one function each, called once in the order of Mechanism by EnterSandbox. Private to os/.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "os/sandbox.h"

namespace mlos::os::sandbox {

// Whether a mechanism is in force, and what exactly or why not: the state and detail of its MechanismState.
struct Outcome {
  bool in_force = false;
  std::string detail;
};
inline Outcome InForce(std::string detail) { return {true, std::move(detail)}; }
inline Outcome Missing(std::string detail) { return {false, std::move(detail)}; }
// "<what>: <text of errno>".
Outcome MissingErrno(int error, const std::string& what);

// A path the sandboxed process may see; absolute.
struct AllowedPath {
  std::filesystem::path path;
  bool write = false;
  bool code = false;    // may be mapped as code
  bool device = false;  // a device file
};
// The spec's paths that exist, and the system's.
std::vector<AllowedPath> AllowedPaths(const SandboxSpec& spec);

// What earlier mechanisms achieved, for those that depend on it.
struct Context {
  bool in_user_namespace = false;
  std::vector<AllowedPath> paths;
};

Outcome CloseDescriptors(const SandboxSpec& spec);
Outcome RaiseOomScore(int oom_score_adj);
Outcome EnterUserNamespace();
Outcome EnterNetworkNamespace();
Outcome EnterIpcNamespace();
// A root folder that holds nothing but `paths`. The working folder becomes "/".
Outcome EnterMountNamespace(const std::vector<AllowedPath>& paths);
Outcome ApplyLimits(const SandboxLimits& limits, bool in_user_namespace);
Outcome DropCapabilities();
Outcome SetNoNewPrivileges();
// Needs no-new-privileges or root.
Outcome RestrictWithLandlock(const std::vector<AllowedPath>& paths);
// Needs no-new-privileges or root. `may_write` and `may_use_devices` widen the list.
Outcome FilterSystemCalls(bool may_write, bool may_use_devices);

}  // namespace mlos::os::sandbox
