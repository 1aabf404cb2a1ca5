// SPDX-License-Identifier: Apache-2.0
// Inputs for a first execution of a model nobody has run yet.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/model_interface.h"
#include "infer/request.h"

namespace mlos::check {

struct CannedOptions {
  uint32_t max_length = 0;  // of a sequence; 0 = not known
};

// One tensor an input that is not optional: batch 1, a short sequence, an empty past, pictures and sounds of a usual size for
// dimensions that are free; ids are 1, masks are 1, other whole numbers count from 0 or are 0, floats lie in [-1, 1]. The same
// values every time. kUnimplemented for an input it has no values for (text).
Result<std::vector<NamedTensor>> CannedInputs(const ModelInterface& interface, const CannedOptions& options);

// The size for a free dimension of that name: "batch_size" 1, "past_sequence_length" 0, "past_sequence_length +
// sequence_length" the sum.
int64_t CannedSize(std::string_view name, const CannedOptions& options);

}  // namespace mlos::check
