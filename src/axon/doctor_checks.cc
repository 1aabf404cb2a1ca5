// SPDX-License-Identifier: Apache-2.0
#include "axon/doctor_checks.h"

#include <algorithm>

#include "axon/format.h"
#include "os/directory.h"
#include "os/errors.h"
#include "os/file.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLittleMemory = uint64_t{2} << 30;
constexpr uint64_t kLittleSpace = uint64_t{5} << 30;
constexpr uint64_t kNoSpace = uint64_t{100} << 20;

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

Finding CheckCpu(const os::MachineFacts& facts) {
  Finding finding{"machine", "cpu", Verdict::kOk, "", ""};
  finding.found = (facts.cpu_model.empty() ? facts.architecture : facts.cpu_model) + ", " +
                  Plural(static_cast<uint64_t>(facts.cpus), "CPU");
  if (!facts.cpu_features.empty()) finding.found += "; " + Joined(facts.cpu_features);
  const auto has = [&](const char* name) {
    return std::find(facts.cpu_features.begin(), facts.cpu_features.end(), name) != facts.cpu_features.end();
  };
  if (facts.architecture == "x86_64" && !has("avx2")) {
    finding.verdict = Verdict::kWarn;
    finding.advice =
        "without AVX2 the engines run several times slower; in a virtual machine pass the host's CPU through";
  }
  return finding;
}

Finding CheckMemory(const Result<os::MachineMemory>& memory) {
  if (!memory.ok()) {
    return {"machine", "memory", Verdict::kWarn, memory.status().message(), "mount /proc"};
  }
  Finding finding{"machine", "memory", Verdict::kOk,
                  os::FormatBytes(memory->total) + ", " + os::FormatBytes(memory->available) + " available",
                  ""};
  if (memory->available < kLittleMemory) {
    finding.verdict = Verdict::kWarn;
    finding.advice = "little is left for models: stop something, or set core.memory_budget";
  }
  return finding;
}

Finding CheckCgroup(const os::CgroupMemory& cgroup) {
  if (cgroup.version == 0)
    return {"machine", "memory limit", Verdict::kOk, "no control group limits this process", ""};
  return {"machine", "memory limit", cgroup.limit < kLittleMemory ? Verdict::kWarn : Verdict::kOk,
          os::FormatBytes(cgroup.limit) + " by control group " + cgroup.group.string() + " (version " +
              std::to_string(cgroup.version) + ")",
          cgroup.limit < kLittleMemory ? "raise the limit of the container or service" : ""};
}

Finding CheckHugePages(const os::MachineFacts& facts) {
  Finding finding{"machine", "huge pages", Verdict::kOk, "", ""};
  finding.found =
      facts.transparent_huge_pages.empty() ? "not offered" : "transparent: " + facts.transparent_huge_pages;
  if (facts.huge_pages_free > 0) {
    finding.found += ", " + std::to_string(facts.huge_pages_free) + " reserved of " +
                     os::FormatBytes(facts.huge_page_bytes);
  }
  if (facts.transparent_huge_pages == "never") {
    finding.verdict = Verdict::kWarn;
    finding.advice = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
  }
  return finding;
}

bool IsCore(os::Mechanism mechanism) {
  return mechanism == os::Mechanism::kSystemCalls || mechanism == os::Mechanism::kNoNewPrivileges ||
         mechanism == os::Mechanism::kLimits || mechanism == os::Mechanism::kCapabilities;
}

Finding SandboxFinding(const os::SandboxReport& report, const os::MechanismState& state) {
  Finding finding{"sandbox", std::string(os::MechanismName(state.mechanism)), Verdict::kOk, state.detail, ""};
  if (state.state == os::MechanismState::State::kInForce) return finding;
  finding.verdict = Verdict::kWarn;
  const bool about_files =
      state.mechanism == os::Mechanism::kMountNamespace || state.mechanism == os::Mechanism::kLandlock;
  if (about_files && report.FilesConfined()) {
    finding.advice = "the other of mount_namespace and landlock confines files all the same";
  } else if (about_files) {
    finding.advice = "a plugin can read every file that mlos-core can: run mlos-core as a user of its own";
  } else if (IsCore(state.mechanism)) {
    finding.advice = "run only plugins and models that you trust";
  } else if (report.InForce(os::Mechanism::kSystemCalls)) {
    finding.advice = "system_calls stands in for it";
  } else {
    finding.advice = "see docs/security.md";
  }
  return finding;
}

Finding CheckSpace(const fs::path& store) {
  const auto free = os::FreeBytes(store);
  if (!free.ok()) return {"store", "space", Verdict::kWarn, free.status().message(), ""};
  Finding finding{"store", "space", Verdict::kOk, os::FormatBytes(*free) + " free", ""};
  if (const auto name = os::FileSystemName(store); name.ok()) finding.found += " on " + *name;
  if (*free < kLittleSpace) {
    finding.verdict = *free < kNoSpace ? Verdict::kFail : Verdict::kWarn;
    finding.advice = "axon uninstall what is not needed, or set MLOS_HOME to a larger disk";
  }
  return finding;
}

bool IsPlugin(const std::string& name) { return name.starts_with("libmlos_") && name.ends_with(".so"); }

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "fail";
  }
  return "fail";
}

Findings CheckMachine(const os::MachineFacts& facts, const Result<os::MachineMemory>& memory,
                      const os::CgroupMemory& cgroup, const Status& realtime) {
  Findings findings;
  findings.push_back({"machine", "system", Verdict::kOk,
                      "Linux " + facts.kernel + " " + facts.architecture +
                          (facts.distribution.empty() ? "" : ", " + facts.distribution),
                      ""});
  findings.push_back(CheckCpu(facts));
  findings.push_back(CheckMemory(memory));
  findings.push_back(CheckCgroup(cgroup));
  findings.push_back(CheckHugePages(facts));
  findings.push_back(
      {"machine", "memory pressure", facts.memory_pressure ? Verdict::kOk : Verdict::kWarn,
       facts.memory_pressure ? "the kernel measures stalls (PSI)" : "the kernel does not measure stalls",
       facts.memory_pressure ? "" : "boot with psi=1: then idle models leave before memory runs out"});
  findings.push_back(
      {"machine", "real time", realtime.ok() ? Verdict::kOk : Verdict::kWarn,
       realtime.ok() ? "permitted" : realtime.message(),
       realtime.ok() ? "" : "requests of class realtime make do with a higher share of the CPU"});
  findings.push_back({"machine", "kernel module", Verdict::kOk,
                      facts.kernel_module ? "/dev/mlos-ml is there" : "no /dev/mlos-ml; it is optional", ""});
  return findings;
}

Findings CheckSandbox(const Result<os::SandboxReport>& report) {
  if (!report.ok()) {
    return {{"sandbox", "probe", Verdict::kWarn, report.status().message(),
             "run only plugins and models that you trust"}};
  }
  Findings findings;
  for (const os::MechanismState& state : report->mechanisms)
    findings.push_back(SandboxFinding(*report, state));
  return findings;
}

Findings CheckStore(const fs::path& store) {
  const std::string choose = "make it writable for this user, or set MLOS_HOME to a folder that is";
  if (const Status made = os::MakeDirectories(store); !made.ok()) {
    return {{"store", "folder", Verdict::kFail, made.message(), choose}};
  }
  const os::TemporaryDirectory scratch(store);
  const fs::path probe = scratch.path() / "file";
  const Status written = scratch.path().empty()
                             ? PermissionDenied("cannot make a folder in " + store.string())
                             : os::WriteFile(probe, "doctor");
  if (!written.ok()) return {{"store", "folder", Verdict::kFail, written.message(), choose}};
  Findings findings = {{"store", "folder", Verdict::kOk, store.string() + " can be written", ""}};
  const Status linked = os::HardLink(probe, scratch.path() / "link");
  findings.push_back(
      {"store", "hard links", linked.ok() ? Verdict::kOk : Verdict::kWarn,
       linked.ok() ? "possible" : linked.message(),
       linked.ok() ? "" : "files are copied: two models that share a base take the space of two"});
  findings.push_back(CheckSpace(store));
  return findings;
}

Findings CheckPlugins(const std::vector<fs::path>& dirs,
                      const std::function<Status(const fs::path&)>& try_plugin) {
  Findings findings;
  std::string places;
  for (const fs::path& dir : dirs) {
    places += (places.empty() ? "" : ", ") + dir.string();
    const auto names = os::ListDirectory(dir);
    if (!names.ok()) continue;
    for (const std::string& name : *names) {
      if (!IsPlugin(name)) continue;
      const Status opened = try_plugin(dir / name);
      const std::string check = name.substr(8, name.size() - 11);
      findings.push_back({"plugins", check, opened.ok() ? Verdict::kOk : Verdict::kFail,
                          opened.ok() ? (dir / name).string() : opened.message(),
                          opened.ok() ? "" : "install what it misses, or remove " + (dir / name).string()});
    }
  }
  if (findings.empty()) {
    findings.push_back({"plugins", "folders", Verdict::kFail,
                        "no libmlos_*.so in " + (places.empty() ? "any folder" : places),
                        "install the plugins, or name their folder in MLOS_PLUGIN_PATH"});
  }
  return findings;
}

}  // namespace mlos::axon
