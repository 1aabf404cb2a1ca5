// SPDX-License-Identifier: Apache-2.0
#include "axon/check_package.h"

#include <cstdio>

#include <simdjson.h>

#include "axon/format.h"
#include "os/file.h"
#include "os/process.h"
#include "os/run_program.h"

namespace mlos::axon {
namespace {

namespace dom = simdjson::dom;

constexpr char kProgram[] = "mlos-check";
constexpr int kNoPlugin = 3;
constexpr double kTimeoutS = 600;

PackageCheck NotTried(std::string reason) {
  PackageCheck check;
  check.reason = std::move(reason);
  return check;
}

double Number(dom::element object, const char* key) {
  double value = 0;
  return object[key].get(value) == simdjson::SUCCESS ? value : 0;
}

Result<PackageCheck> Read(const std::string& output, int exit_status) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(output).get(root) != simdjson::SUCCESS)
    return Internal(std::string(kProgram) + " ended with status " + std::to_string(exit_status) +
                    " and said nothing");
  bool ok = false;
  if (root["ok"].get(ok) == simdjson::SUCCESS && !ok) {
    std::string_view error;
    if (root["error"].get(error) != simdjson::SUCCESS) error = "no reason given";
    if (exit_status == kNoPlugin) return NotTried(std::string(error));
    return DataLoss(std::string(error));
  }
  PackageCheck check;
  check.ran = true;
  dom::array files;
  if (root["files"].get(files) != simdjson::SUCCESS)
    return Internal(std::string(kProgram) + " said nothing of files");
  for (dom::element file : files) {
    ++check.files;
    check.golden_cases += static_cast<size_t>(Number(file, "golden_cases"));
    check.worst = std::max(check.worst, Number(file, "worst"));
    check.run_ms += Number(file, "run_ms");
    if (Number(file, "compared") == 0) continue;
    check.samples += static_cast<size_t>(Number(file, "samples"));
    check.max_abs = std::max(check.max_abs, Number(file, "max_abs"));
    check.cosine = std::min(check.cosine, Number(file, "cosine"));
  }
  return check;
}

}  // namespace

Result<PackageCheck> CheckPackage(const std::filesystem::path& package_dir,
                                  const std::vector<package::ExecutionFile>& execution_files,
                                  uint32_t max_length, const std::filesystem::path& reference,
                                  const std::atomic<bool>* interrupted) {
  MLOS_ASSIGN_OR_RETURN(const std::filesystem::path self, os::ExecutablePath());
  const std::filesystem::path program = self.parent_path() / kProgram;
  if (!os::Exists(program)) return NotTried(std::string(kProgram) + " is not beside axon");
  std::vector<std::string> arguments;
  if (max_length > 0) arguments.insert(arguments.end(), {"--max-length", std::to_string(max_length)});
  if (!reference.empty()) arguments.insert(arguments.end(), {"--reference", reference.string()});
  if (!execution_files.empty())
    arguments.insert(arguments.end(), {"--format", execution_files.front().format});
  arguments.push_back(package_dir.string());
  for (const package::ExecutionFile& file : execution_files) arguments.push_back(file.path);
  os::RunOptions options;
  options.timeout_s = kTimeoutS;
  options.interrupted = interrupted;
  MLOS_ASSIGN_OR_RETURN(const os::ProgramResult result, os::RunProgram(program, arguments, options));
  if (result.signal != 0) {
    return DataLoss("the engine ended with signal " + std::to_string(result.signal) +
                    " when it was tried: " + Plain(result.error.substr(0, 400)));
  }
  return Read(result.output, result.exit_status);
}

Status CheckInt8(const PackageCheck& check) {
  if (!check.ran || check.cosine >= kMinInt8Cosine) return OkStatus();
  return DataLoss(Int8Text(check) + ": too far from the model it was made of; convert it without --quantize");
}

std::string Int8Text(const PackageCheck& check) {
  if (!check.ran) return "int8, not compared with f32: " + check.reason;
  char text[120];
  std::snprintf(text, sizeof(text), "int8 against f32 over %s: cosine at least %.6f, largest difference %.4g",
                Plural(check.samples, "input").c_str(), check.cosine, check.max_abs);
  return text;
}

std::string CheckText(const PackageCheck& check) {
  if (!check.ran) return "not tried: " + check.reason;
  char text[160];
  std::snprintf(text, sizeof(text), "runs: %s executed once in %.1f ms, every answer finite",
                Plural(check.files, "graph").c_str(), check.run_ms);
  std::string out = text;
  if (check.golden_cases > 0) {
    std::snprintf(text, sizeof(text), "; %s of its own within %.1e",
                  Plural(check.golden_cases, "answer").c_str(), check.worst);
    out += text;
  }
  return out;
}

}  // namespace mlos::axon
