// SPDX-License-Identifier: Apache-2.0
// Takes the outputs of one execute() and believes nothing: every output is asked for, comes once (or in parts), and is
// what the model declares.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"
#include "smi/smi.h"

namespace mlos::plugin {

// Not thread-safe.
class OutputCollector {
 public:
  // `interface` must outlive this; `wanted` are names of it, empty = all.
  // Outputs are put into `arena` when it is not null and has room.
  OutputCollector(const ModelInterface& interface, const std::vector<std::string>& wanted,
                  std::shared_ptr<TensorArena> arena = nullptr);

  // Memory for the whole of an output; null when there is none to give. Stays valid for the life of this.
  void* Reserve(std::string_view name, uint64_t size_bytes);
  // Copies the tensor, unless it lies in memory from Reserve. kInternal when it is not what was declared.
  Status Take(const smi_tensor* tensor, uint32_t part);
  // The outputs in the order they were wanted; kInternal, naming it, when one has not come.
  Result<std::vector<NamedTensor>> Finish();

 private:
  struct Slot {
    const TensorSpec* spec = nullptr;
    std::optional<Tensor> reserved;
    std::optional<Tensor> tensor;
    // Output in parts.
    uint32_t parts = 0;
    Shape part_shape;
    std::vector<std::byte> part_bytes;
  };

  Slot* Find(std::string_view name);
  Status TakeWhole(Slot& slot, TensorView view, bool reserved);
  Status TakePart(Slot& slot, TensorView view, uint32_t part);

  const std::shared_ptr<TensorArena> arena_;
  std::vector<Slot> slots_;
};

}  // namespace mlos::plugin
