// SPDX-License-Identifier: Apache-2.0
// What `axon doctor` looks at, and what it says about it. Every check is a function of facts that tests can make up.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "os/machine_facts.h"
#include "os/memory_info.h"
#include "os/sandbox.h"

namespace mlos::axon {

enum class Verdict {
  kOk,
  kWarn,  // works, but slower, less safe or less than it could
  kFail,  // something will not work
};
std::string_view VerdictName(Verdict verdict);  // "ok", "warn", "fail"

struct Finding {
  std::string group;  // "machine", "sandbox", "store", "plugins", "core", "workers"
  std::string check;  // "cpu", "landlock", ...; unique inside the group
  Verdict verdict = Verdict::kOk;
  std::string found;   // what is there
  std::string advice;  // what to do; empty when all is well
};
using Findings = std::vector<Finding>;

Findings CheckMachine(const os::MachineFacts& facts, const Result<os::MachineMemory>& memory,
                      const os::CgroupMemory& cgroup, const Status& realtime);
// Of a worker that would start here now.
Findings CheckSandbox(const Result<os::SandboxReport>& report);
// Whether models can be installed there. Writes two files and removes them again; makes the folder when it is missing.
Findings CheckStore(const std::filesystem::path& store);
// `try_plugin` opens a library and says what is wrong with it.
Findings CheckPlugins(const std::vector<std::filesystem::path>& dirs,
                      const std::function<Status(const std::filesystem::path& library)>& try_plugin);

// What mlos-core says of itself. `health` and `doctor` are its answers to GET /health and GET /doctor, or why there are none.
Findings CheckCore(const std::string& endpoint, const Result<std::string>& health,
                   const Result<std::string>& doctor, std::string_view own_version);

}  // namespace mlos::axon
