// SPDX-License-Identifier: Apache-2.0
// What mlos-core says of itself, as findings. Its answers are read as anybody's.
#include <simdjson.h>

#include "axon/doctor_checks.h"
#include "axon/format.h"

namespace mlos::axon {
namespace {

using simdjson::dom::element;

std::string Text(const element& object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? Plain(text) : "";
}

// "10 of 11 in force; missing: landlock (not in this kernel ...)".
Finding DescribeSandbox(const element& worker, Finding finding) {
  simdjson::dom::array mechanisms;
  size_t in_force = 0;
  size_t total = 0;
  std::string missing;
  std::string off;
  if (worker["sandbox"].get(mechanisms) == simdjson::SUCCESS) {
    for (const element mechanism : mechanisms) {
      ++total;
      const std::string state = Text(mechanism, "state");
      const std::string name = Text(mechanism, "mechanism");
      if (state == "in_force") ++in_force;
      if (state == "missing")
        missing += (missing.empty() ? "" : ", ") + name + " (" + Text(mechanism, "detail") + ")";
      if (state == "off") off += (off.empty() ? "" : ", ") + name;
    }
  }
  if (total == 0) {
    finding.verdict = Verdict::kWarn;
    finding.found += "no sandbox";
    finding.advice = "set workers.sandbox: on unless you trust this plugin and model";
    return finding;
  }
  finding.found += std::to_string(in_force) + " of " + std::to_string(total) + " mechanisms in force";
  if (!missing.empty()) finding.found += "; missing: " + missing;
  if (!off.empty()) finding.found += "; turned off: " + off;
  if (!missing.empty() || !off.empty()) {
    finding.verdict = Verdict::kWarn;
    finding.advice = "docs/security.md says what each mechanism stops";
  }
  return finding;
}

Finding CheckWorker(const element& worker) {
  Finding finding{"workers", Text(worker, "model_id"), Verdict::kOk, "", ""};
  int64_t pid = 0;
  if (worker["pid"].get(pid) != simdjson::SUCCESS || pid == 0) {
    finding.verdict = Verdict::kWarn;
    finding.found = "runs inside mlos-core (isolation: none)";
    finding.advice = "a crash of this model ends mlos-core; use isolation: process unless microseconds count";
    return finding;
  }
  finding.found = "process " + std::to_string(pid) + ": ";
  return DescribeSandbox(worker, std::move(finding));
}

Finding CheckWorkerGroups(const element& groups) {
  Finding finding{"core", "worker memory", Verdict::kOk, Text(groups, "detail"), ""};
  bool in_force = false;
  if (groups["in_force"].get(in_force) == simdjson::SUCCESS && in_force) return finding;
  finding.verdict = Verdict::kWarn;
  finding.found = "no control group for each worker: " + finding.found;
  finding.advice = "workers are held by RLIMIT_DATA alone, which counts no shared memory (docs/security.md)";
  return finding;
}

Finding CheckVersion(const std::string& endpoint, const element& answer, std::string_view own_version) {
  const std::string version = Text(answer, "version");
  Finding finding{"core", "mlos-core", Verdict::kOk, "version " + version + " answers at " + endpoint, ""};
  bool ready = false;
  if (answer["ready"].get(ready) != simdjson::SUCCESS || !ready) {
    finding.verdict = Verdict::kWarn;
    finding.found += ", not ready";
    finding.advice = "it is starting or shutting down: try again";
  } else if (version != own_version) {
    finding.verdict = Verdict::kWarn;
    finding.advice = "axon is version " + std::string(own_version) + ": install the same of both";
  }
  return finding;
}

}  // namespace

Findings CheckCore(const std::string& endpoint, const Result<std::string>& health,
                   const Result<std::string>& doctor, std::string_view own_version) {
  if (!health.ok()) {
    return {{"core", "mlos-core", Verdict::kWarn, health.status().message(),
             "without it models can be installed, not run"}};
  }
  simdjson::dom::parser parser;
  element answer;
  if (parser.parse(*health).get(answer) != simdjson::SUCCESS || Text(answer, "version").empty()) {
    return {{"core", "mlos-core", Verdict::kFail, "what answers at " + endpoint + " is not mlos-core",
             "stop the other program, or give mlos-core another port (MLOS_HTTP_PORT, MLOS_CORE_ENDPOINT)"}};
  }
  Findings findings = {CheckVersion(endpoint, answer, own_version)};
  if (!doctor.ok()) {
    findings.push_back({"core", "workers", Verdict::kWarn, doctor.status().message(),
                        "this mlos-core cannot say what is in force: install the version of axon"});
    return findings;
  }
  simdjson::dom::array list;
  if (parser.parse(*doctor).get(answer) != simdjson::SUCCESS) {
    findings.push_back({"core", "workers", Verdict::kWarn, "its answer to /doctor is no JSON", ""});
    return findings;
  }
  if (answer["plugins"].get(list) == simdjson::SUCCESS) {
    std::string names;
    for (const element plugin : list) names += (names.empty() ? "" : ", ") + Text(plugin, "id");
    findings.push_back({"core", "plugins", names.empty() ? Verdict::kFail : Verdict::kOk,
                        names.empty() ? "none are loaded" : names,
                        names.empty()
                            ? "name the folder of the plugins in MLOS_PLUGIN_PATH and start mlos-core again"
                            : ""});
  }
  if (element groups; answer["worker_groups"].get(groups) == simdjson::SUCCESS)
    findings.push_back(CheckWorkerGroups(groups));
  if (answer["workers"].get(list) == simdjson::SUCCESS) {
    for (const element worker : list) findings.push_back(CheckWorker(worker));
  }
  return findings;
}

}  // namespace mlos::axon
