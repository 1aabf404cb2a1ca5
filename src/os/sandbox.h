// SPDX-License-Identifier: Apache-2.0
// What a process gives up before it runs code it does not trust: a worker, before it opens a plugin library.
// docs/security.md says what each mechanism stops.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::os {

// The parts of the sandbox, in the order they come into force.
enum class Mechanism {
  kDescriptors,       // every open file that was not named is closed
  kOomScore,          // the kernel, out of memory, ends this process before the daemon
  kUserNamespace,     // no right over anything that is not its own
  kNetworkNamespace,  // no network device, not even loopback
  kIpcNamespace,      // System V and POSIX message objects of its own
  kMountNamespace,    // files outside the named paths do not exist; what exists is read-only
  kLimits,            // memory, files, threads, CPU time, core dumps
  kCapabilities,      // root without the powers of root
  kNoNewPrivileges,   // set-user-id programs give nothing
  kLandlock,          // the named paths once more, TCP and foreign signals, by the kernel's own rules
  kSystemCalls,       // a list of system calls; no process, no socket, no file opened for writing
};
inline constexpr Mechanism kAllMechanisms[] = {
    Mechanism::kDescriptors,      Mechanism::kOomScore,     Mechanism::kUserNamespace,
    Mechanism::kNetworkNamespace, Mechanism::kIpcNamespace, Mechanism::kMountNamespace,
    Mechanism::kLimits,           Mechanism::kCapabilities, Mechanism::kNoNewPrivileges,
    Mechanism::kLandlock,         Mechanism::kSystemCalls,
};

// "descriptors", "oom_score", "user_namespace", "network_namespace", "ipc_namespace", "mount_namespace", "limits",
// "capabilities", "no_new_privileges", "landlock", "system_calls".
std::string_view MechanismName(Mechanism mechanism);
std::optional<Mechanism> FindMechanism(std::string_view name);

enum class SandboxMode {
  kOff,      // nothing is done
  kOn,       // whatever this machine offers; what is missing stands in the report with its reason
  kRequire,  // as kOn, but a missing mechanism is an error
};

// 0 = no limit.
struct SandboxLimits {
  // Private writable memory: heap, stacks, anonymous mappings, scratch of an engine. Mapped weights do not count.
  uint64_t private_bytes = 0;
  uint64_t file_bytes = 0;  // the largest file it may write; only with write_paths
  uint32_t open_files = 1024;
  // Counted per user outside a user namespace, per worker inside one; the kernel never applies it to root.
  uint32_t threads = 512;
  uint64_t cpu_seconds = 0;
};

// Paths that do not exist are left out; symbolic links are followed when the sandbox is entered. The system's library
// folders, the loader's cache, /proc/self, /proc/cpuinfo, /proc/meminfo, the CPU and NUMA topology under /sys and
// /dev/{null,zero,random,urandom} are always readable.
struct SandboxSpec {
  SandboxMode mode = SandboxMode::kOn;
  std::vector<std::filesystem::path> library_paths;  // read, and code mapped from it: the plugin's folder
  std::vector<std::filesystem::path> read_paths;     // read: the package
  std::vector<std::filesystem::path> write_paths;    // read, written, files made and removed: a cache folder
  std::vector<std::filesystem::path> device_paths;   // device files, all operations: /dev/nvidia0
  // Open files that stay; 0, 1 and 2 always do. Sockets among them stay usable.
  std::vector<int> keep_fds;
  SandboxLimits limits;
  // 0 to 1000, added to what the kernel's out-of-memory killer thinks of this process.
  int oom_score_adj = 500;
  // Mechanisms not to use, because an administrator loosened them for one model.
  std::vector<Mechanism> off;
};

struct MechanismState {
  enum class State {
    kInForce,
    kMissing,  // this machine does not offer it
    kOff,      // the spec turned it off
  };
  Mechanism mechanism = Mechanism::kDescriptors;
  State state = State::kMissing;
  std::string detail;  // what exactly, or why not and what to do about it; one line
};
std::string_view StateName(MechanismState::State state);  // "in_force", "missing", "off"

// One entry for each mechanism, in order; empty when the sandbox is off.
struct SandboxReport {
  std::vector<MechanismState> mechanisms;

  const MechanismState* Find(Mechanism mechanism) const;
  bool InForce(Mechanism mechanism) const;
  // Files outside the named paths cannot be read or written: the mount namespace or Landlock is in force.
  bool FilesConfined() const { return InForce(Mechanism::kMountNamespace) || InForce(Mechanism::kLandlock); }
  // One line each: name, state and detail, separated by tabs. Parse is its inverse and takes a foreign program's bytes.
  std::string Serialize() const;
  static Result<SandboxReport> Parse(std::string_view text);
};

// Puts this process, for good, into the sandbox of `spec`. Must be called while it has one thread (kFailedPrecondition
// otherwise), after it has its files and before it opens a plugin library. kOn never fails for want of a mechanism;
// kRequire then returns kUnimplemented, which names all that are missing, and the process must exit: parts are in force.
Result<SandboxReport> EnterSandbox(const SandboxSpec& spec);

// What EnterSandbox would report for an empty spec, tried in a child process. Call it while this process has one thread.
Result<SandboxReport> ProbeSandbox();

}  // namespace mlos::os
