// SPDX-License-Identifier: Apache-2.0
// axon doctor: what is in force on this machine, what is missing, and what to do about it.
#include <memory>

#include "axon/doctor_checks.h"
#include "axon/format.h"
#include "axon/verbs.h"
#include "base/json_writer.h"
#include "base/version.h"
#include "os/process.h"
#include "os/xdg.h"

namespace mlos::axon {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystemPluginDir = "/usr/lib/mlos/plugins";
constexpr const char* kPluginEntry = "smi_plugin_entry";

// Where mlos-core looks.
std::vector<fs::path> PluginDirs() {
  std::vector<fs::path> dirs;
  if (const auto path = os::GetEnv("MLOS_PLUGIN_PATH"); path && !path->empty()) {
    for (size_t at = 0; at <= path->size();) {
      const size_t end = std::min(path->find(':', at), path->size());
      if (end > at) dirs.emplace_back(path->substr(at, end - at));
      at = end + 1;
    }
    return dirs;
  }
  if (const auto program = os::ExecutablePath(); program.ok())
    dirs.push_back(program->parent_path() / "plugins");
  dirs.emplace_back(kSystemPluginDir);
  return dirs;
}

void Append(Findings more, Findings* all) {
  for (Finding& finding : more) all->push_back(std::move(finding));
}

Findings Examine(const Context& context) {
  Findings all;
  // First: it needs a process with one thread.
  Findings sandbox = CheckSandbox(os::ProbeSandbox());
  Findings plugins = CheckPlugins(
      PluginDirs(), [](const fs::path& library) { return os::TryLibrary(library, kPluginEntry); });
  Append(CheckMachine(os::ReadMachineFacts(), os::ReadMachineMemory(), os::FindCgroupMemory(),
                      os::RealtimePermitted()),
         &all);
  Append(std::move(sandbox), &all);
  const auto dirs = os::ResolveDirectories();
  if (dirs.ok()) {
    Append(CheckStore(dirs->store), &all);
  } else {
    all.push_back({"store", "folder", Verdict::kFail, dirs.status().message(), "set HOME or MLOS_HOME"});
  }
  Append(std::move(plugins), &all);
  const client::CoreClient core = context.Core();
  const Result<std::string> health = core.Health();
  const Result<std::string> doctor = health.ok() ? core.Doctor() : health;
  Append(CheckCore(core.endpoint(), health, doctor, kVersion), &all);
  return all;
}

size_t Count(const Findings& findings, Verdict verdict) {
  size_t count = 0;
  for (const Finding& finding : findings) count += finding.verdict == verdict ? 1 : 0;
  return count;
}

std::string AsJson(const Findings& findings) {
  JsonWriter json;
  json.BeginObject().Key("version").String(kVersion);
  for (const Verdict verdict : {Verdict::kOk, Verdict::kWarn, Verdict::kFail}) {
    json.Key(VerdictName(verdict)).Uint(Count(findings, verdict));
  }
  json.Key("findings").BeginArray();
  for (const Finding& finding : findings) {
    json.BeginObject().Key("group").String(finding.group).Key("check").String(finding.check);
    json.Key("verdict").String(VerdictName(finding.verdict)).Key("found").String(finding.found);
    json.Key("advice").String(finding.advice).EndObject();
  }
  json.EndArray().EndObject();
  return json.str() + "\n";
}

std::string AsTable(const Findings& findings) {
  std::vector<std::vector<std::string>> rows = {{"CHECK", "STATE", "FOUND"}};
  for (const Finding& finding : findings) {
    rows.push_back({finding.group + "/" + finding.check, std::string(VerdictName(finding.verdict)),
                    Plain(finding.found)});
    if (!finding.advice.empty()) rows.push_back({"", "", "-> " + Plain(finding.advice)});
  }
  return Table(rows) + Plural(Count(findings, Verdict::kFail), "failure") + ", " +
         Plural(Count(findings, Verdict::kWarn), "warning") + "\n";
}

}  // namespace

void AddDoctor(CLI::App& app, Context& context, int* exit_status) {
  CLI::App* verb =
      app.add_subcommand("doctor", "Say what is in force on this machine, what is missing and what to do");
  auto json = std::make_shared<bool>(false);
  verb->add_flag("--json", *json, "print JSON");
  verb->callback([&context, json, exit_status] {
    const Findings findings = Examine(context);
    context.Print(*json ? AsJson(findings) : AsTable(findings));
    *exit_status = Count(findings, Verdict::kFail) == 0 ? kExitOk : kExitFailed;
  });
}

}  // namespace mlos::axon
