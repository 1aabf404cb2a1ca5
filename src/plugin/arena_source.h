// SPDX-License-Identifier: Apache-2.0
// Where the tensor memory of a worker comes from: the backend, whose buffers are tensors of the kernel module where there is one, or a
// memfd of its own when the backend has none to give. The control memory is no tensor memory: always a memfd.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "os/shared_memory.h"
#include "plugin/backend_model.h"
#include "resources/backend.h"

namespace mlos::plugin {

// What holds an arena's memory; empty for a memfd of its own. Does not keep it.
using ArenaBuffer = std::weak_ptr<const resources::TensorBuffer>;

struct Arena {
  os::SharedMemory memory;
  ArenaBuffer buffer;
};

// For one thread.
class ArenaSource {
 public:
  enum class Use {
    kInputs,   // the worker can map it for reading only
    kOutputs,  // both sides write
  };
  using WarnFn = std::function<void(const std::string&)>;

  // `backend` may be null, and outlives this else. `model` may be null: the arenas are listed under no name. `warn`, which may be empty,
  // is told the first time that the backend has nothing to give.
  ArenaSource(resources::Backend* backend, std::shared_ptr<const BackendModel> model, WarnFn warn)
      : backend_(backend), model_(std::move(model)), warn_(std::move(warn)) {}

  Result<Arena> Make(Use use, uint64_t size_bytes);
  // From now on without the module.
  void AvoidModule() { avoid_module_ = true; }
  bool avoids_module() const { return avoid_module_; }

  // Whether the memory holds what is to go (TensorBuffer::is_abandoned).
  static bool IsAbandoned(const ArenaBuffer& buffer);

 private:
  Result<Arena> FromBackend(Use use, uint64_t size_bytes);

  resources::Backend* const backend_;
  const std::shared_ptr<const BackendModel> model_;
  const WarnFn warn_;
  bool avoid_module_ = false;
  bool warned_ = false;
};

}  // namespace mlos::plugin
