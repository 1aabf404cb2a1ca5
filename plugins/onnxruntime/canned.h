// SPDX-License-Identifier: Apache-2.0
// Made-up inputs, to see whether two sessions of one model answer the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model.h"

namespace mlos_ort {

// Answers to made-up inputs (ones, and small numbers for floats) in which dimension 0, when free, is 1 and every other free
// dimension `free_size`. Nothing when the model refuses them or is not done within `limit_ms`.
std::optional<std::vector<Ort::Value>> CannedRun(Ort::Session& session, const std::vector<Port>& inputs,
                                                 const std::vector<Port>& outputs, int64_t free_size,
                                                 int64_t limit_ms);

// What differs: type, shape, or a number by more than the rounding of another order of additions. Empty when nothing does.
std::string Difference(const std::vector<Port>& outputs, const std::vector<Ort::Value>& a,
                       const std::vector<Ort::Value>& b);

// Runs both on the same made-up inputs. Empty when they agree, or when neither takes any of the sizes that are tried.
std::string CompareOnCannedInputs(Ort::Session& a, Ort::Session& b, const std::vector<Port>& inputs,
                                  const std::vector<Port>& outputs);

}  // namespace mlos_ort
