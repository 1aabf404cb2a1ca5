// SPDX-License-Identifier: Apache-2.0
// Inputs to compare two forms of one model on: sentences, where the package can read them.
#pragma once

#include <filesystem>
#include <vector>

#include "check/canned_inputs.h"

namespace mlos::check {

// A few sentences of different length, each a batch of one, through the package's own tokenizer.json; what CannedInputs gives, once,
// when there is none or the model takes more than tokens. The same values every time.
Result<std::vector<std::vector<NamedTensor>>> SampleInputs(const std::filesystem::path& package_dir,
                                                           const ModelInterface& interface,
                                                           const CannedOptions& options);

}  // namespace mlos::check
