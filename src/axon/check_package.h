// SPDX-License-Identifier: Apache-2.0
// Runs mlos-check, the program beside this one, over a package: does it run, and does it answer what it should?
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "package/manifest.h"

namespace mlos::axon {

struct PackageCheck {
  bool ran = false;    // false: `reason` says why it could not be tried here
  std::string reason;  // "mlos-check is not installed beside axon"
  size_t files = 0;
  size_t golden_cases = 0;
  double worst = 0;   // difference from the package's own answers, as a part of the largest value
  double run_ms = 0;  // all first executions
  // Against `reference`, when there was one.
  double max_abs = 0;
  double cosine = 1;
  size_t samples = 0;
};

// Executes every file of `execution_files` once. An error when the package does not run or answers wrongly (kDataLoss), or was
// interrupted. `reference`: the same model in another form, compared with the first file; "" for none.
Result<PackageCheck> CheckPackage(const std::filesystem::path& package_dir,
                                  const std::vector<package::ExecutionFile>& execution_files,
                                  uint32_t max_length, const std::filesystem::path& reference,
                                  const std::atomic<bool>* interrupted);

// Below this cosine an int8 model is not the model any more.
inline constexpr double kMinInt8Cosine = 0.9;
// kDataLoss when an int8 model answers too far from the one it was made of. OK when it was not tried.
Status CheckInt8(const PackageCheck& check);
// "int8 against f32 over 8 inputs: cosine at least 0.99912, largest difference 0.0341".
std::string Int8Text(const PackageCheck& check);

// "runs: 3 graphs executed, finite answers; 4 golden answers within 1.2e-06".
std::string CheckText(const PackageCheck& check);

}  // namespace mlos::axon
