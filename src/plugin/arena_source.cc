// SPDX-License-Identifier: Apache-2.0
#include "plugin/arena_source.h"

#include <algorithm>
#include <utility>

namespace mlos::plugin {
namespace {

// So much is taken of the module at once: when not even that is to be had, a worker is better off without.
constexpr uint64_t kFirstBytes = 1 << 20;

const char* NameOf(ArenaSource::Use use) {
  return use == ArenaSource::Use::kInputs ? "mlos-worker-input" : "mlos-worker-output";
}

}  // namespace

bool ArenaSource::IsAbandoned(const ArenaBuffer& buffer) {
  const auto held = buffer.lock();
  return held != nullptr && held->is_abandoned();
}

Result<Arena> ArenaSource::FromBackend(Use use, uint64_t size_bytes) {
  MLOS_ASSIGN_OR_RETURN(std::unique_ptr<resources::TensorBuffer> made,
                        backend_->Allocate({.name = NameOf(use),
                                            .size_bytes = size_bytes,
                                            .model = model_ != nullptr ? model_->id() : 0,
                                            .others_read_only = use == Use::kInputs}));
  const std::shared_ptr<resources::TensorBuffer> buffer = std::move(made);
  MLOS_ASSIGN_OR_RETURN(os::SharedMemory memory,
                        os::SharedMemory::Borrow(buffer->bytes(), buffer->fd(), buffer));
  if (memory.is_tensor()) MLOS_RETURN_IF_ERROR(memory.Commit(0, std::min(size_bytes, kFirstBytes)));
  return Arena{std::move(memory), buffer};
}

Result<Arena> ArenaSource::Make(Use use, uint64_t size_bytes) {
  Status refused;
  if (backend_ != nullptr && !avoid_module_) {
    Result<Arena> arena = FromBackend(use, size_bytes);
    if (arena.ok()) return arena;
    refused = arena.status();
  }
  MLOS_ASSIGN_OR_RETURN(os::SharedMemory memory,
                        use == Use::kInputs
                            ? os::SharedMemory::CreateReadOnlyForOthers(NameOf(use), size_bytes)
                            : os::SharedMemory::Create(NameOf(use), size_bytes));
  if (!refused.ok() && !std::exchange(warned_, true) && warn_) {
    warn_("tensors of this model's worker lie in memory of its own, not in that of the backend: " +
          refused.message());
  }
  return Arena{std::move(memory), {}};
}

}  // namespace mlos::plugin
