// SPDX-License-Identifier: Apache-2.0
// Which files of a folder are a checkpoint's weights.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::convert {

struct WeightFiles {
  std::vector<std::string> files;  // in the folder; one, unless there is an index
  std::string index;               // "model.safetensors.index.json", or ""; then `files` is empty
};

// In this order: model.safetensors, its index, pytorch_model.bin, its index, the only *.safetensors, the only *.bin, *.pt, *.pth
// or *.ckpt (what trainers leave beside the weights does not count). kNotFound when there is none, kFailedPrecondition, naming
// them, when there are several.
Result<WeightFiles> FindWeightFiles(const std::filesystem::path& folder);

// A file of the folder itself: no folders, no parent, nothing hidden or unprintable. `suffix` is what it must end with.
bool IsPlainFileName(std::string_view name, std::string_view suffix);

}  // namespace mlos::convert
