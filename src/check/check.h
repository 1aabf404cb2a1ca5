// SPDX-License-Identifier: Apache-2.0
// Does a package run? Opens its files in the plugin that will serve them, executes each once, and compares with the answers
// that the package brings.
//
// This is a program of its own (mlos-check) because an engine may crash on a model nobody has tried, and because the command line
// must not carry engines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "plugin/instance.h"

namespace mlos::check {

// Answers that a package may bring: golden.safetensors, with `<case>/in/<name>`, `<case>/out/<name>` and, for rows whose numbers
// are open as long as they are finite, `<case>/finite_only`. "__metadata__": {"tolerance": "2e-5"} is the largest difference
// allowed, as a part of the largest value wanted (at least 1).
inline constexpr char kGoldenFile[] = "golden.safetensors";
inline constexpr double kDefaultTolerance = 2e-5;

struct CheckOptions {
  std::filesystem::path package_dir;
  std::vector<std::string> files;  // relative to package_dir; each is one model
  std::string format = "onnx";
  uint32_t max_length = 0;
  std::filesystem::path golden;  // "": package_dir/golden.safetensors if it is there; for the first file
  // The same model in another form: the largest difference and the cosine between the two answers are reported, not judged,
  // and golden answers are left out.
  std::filesystem::path reference;
};

struct FileReport {
  std::string file;
  double load_ms = 0;
  double run_ms = 0;
  size_t outputs = 0;
  size_t golden_cases = 0;
  double worst = 0;  // difference from the golden answers, as a part of the largest value
  // Against the reference.
  size_t samples = 0;  // inputs both were asked
  size_t compared = 0;
  double max_abs = 0;
  double cosine = 1;
};

// The first thing that is wrong: kDataLoss for an answer that is not finite or differs; what the plugin says otherwise.
Result<std::vector<FileReport>> CheckPackage(plugin::PluginRegistry& plugins, const CheckOptions& options);

}  // namespace mlos::check
