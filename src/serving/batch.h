// SPDX-License-Identifier: Apache-2.0
// Several requests as one, and the answer taken apart again. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"

namespace mlos::serving {

// Rows of a request along the batch dimension, and what must be equal for two requests to run together; 0 when it must run
// alone. Only batch dimension 0 is known, and no BYTES tensors.
struct BatchKey {
  uint32_t rows = 1;
  uint64_t row_elements = 1;  // of all inputs together
  uint64_t group = 0;
};
// `salt` keeps models apart.
BatchKey BatchKeyOf(const ModelInterface& model, const Request& request, uint64_t salt);

// One set of inputs out of those of `requests`, put together along dimension 0, in order. Fails when they differ in names, order,
// dtypes or other dimensions, which their keys said they do not. Allocated in `arena`, where the model reads in place, when it is
// not null.
Result<std::vector<NamedTensor>> JoinInputs(std::span<const Request* const> requests,
                                            const std::shared_ptr<TensorArena>& arena = nullptr);

// The outputs of each request: rows[i] rows of every output, one after another. kInternal when an output does not have as many rows
// as the inputs had: then the model is none that can be batched.
Result<std::vector<std::vector<NamedTensor>>> SplitOutputs(const std::vector<NamedTensor>& outputs,
                                                           std::span<const uint32_t> rows);

}  // namespace mlos::serving
