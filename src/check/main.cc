// SPDX-License-Identifier: Apache-2.0
// mlos-check PACKAGE_FOLDER FILE...: executes each file once and prints one line of JSON. Exit status: 0 it runs, 1 it does not,
// 2 wrong usage, 3 no plugin here can run it.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "check/check.h"
#include "os/process.h"

namespace {

using mlos::check::CheckOptions;
using mlos::check::FileReport;

constexpr int kFails = 1, kUsage = 2, kNoPlugin = 3;

int Usage() {
  std::fputs(
      "usage: mlos-check [--format onnx] [--max-length N] [--golden FILE] [--reference FILE] [--plugins "
      "FOLDER] "
      "PACKAGE_FOLDER FILE...\n",
      stderr);
  return kUsage;
}

int Print(const mlos::Status& status, const std::vector<FileReport>& reports) {
  mlos::JsonWriter json;
  json.BeginObject().Key("ok").Bool(status.ok());
  if (!status.ok())
    json.Key("code").String(mlos::CodeName(status.code())).Key("error").String(status.message());
  json.Key("files").BeginArray();
  for (const FileReport& report : reports) {
    json.BeginObject().Key("file").String(report.file).Key("load_ms").Double(report.load_ms);
    json.Key("run_ms").Double(report.run_ms).Key("outputs").Uint(report.outputs);
    json.Key("golden_cases").Uint(report.golden_cases).Key("worst").Double(report.worst);
    json.Key("samples")
        .Uint(report.samples)
        .Key("compared")
        .Uint(report.compared)
        .Key("max_abs")
        .Double(report.max_abs);
    json.Key("cosine").Double(report.cosine).EndObject();
  }
  json.EndArray().EndObject();
  std::printf("%s\n", json.str().c_str());
  if (status.ok()) return 0;
  return status.code() == mlos::Code::kUnimplemented ? kNoPlugin : kFails;
}

}  // namespace

int main(int argc, char** argv) {
  CheckOptions options;
  std::vector<std::filesystem::path> plugin_dirs;
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].starts_with("--") && i + 1 == words.size()) return Usage();
    if (words[i] == "--format") {
      options.format = words[++i];
    } else if (words[i] == "--max-length") {
      options.max_length = static_cast<uint32_t>(std::strtoul(words[++i].data(), nullptr, 10));
    } else if (words[i] == "--golden") {
      options.golden = words[++i];
    } else if (words[i] == "--reference") {
      options.reference = words[++i];
    } else if (words[i] == "--plugins") {
      plugin_dirs.emplace_back(words[++i]);
    } else if (words[i].starts_with("--")) {
      return Usage();
    } else if (options.package_dir.empty()) {
      options.package_dir = words[i];
    } else {
      options.files.emplace_back(words[i]);
    }
  }
  if (options.files.empty()) return Usage();
  if (plugin_dirs.empty()) {
    const auto program = mlos::os::ExecutablePath();
    if (program.ok()) plugin_dirs = {program->parent_path() / "plugins"};
    plugin_dirs.emplace_back("/usr/lib/mlos/plugins");
  }
  const auto plugins = mlos::plugin::PluginRegistry::Open(plugin_dirs, nullptr);
  if (!plugins.ok()) return Print(plugins.status(), {});
  const auto reports = mlos::check::CheckPackage(**plugins, options);
  return Print(reports.status(), reports.ok() ? *reports : std::vector<FileReport>{});
}
