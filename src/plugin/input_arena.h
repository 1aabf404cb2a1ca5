// SPDX-License-Identifier: Apache-2.0
// Where the inputs of a model's requests are put: the arena in use now, while tensors in those before live on.
#pragma once

#include <memory>
#include <vector>

#include "base/mutex.h"
#include "tensor/arena.h"
#include "worker/link/shared_arena.h"

namespace mlos::plugin {

// Thread-safe.
class InputArena final : public TensorArena {
 public:
  // Null when there is none, and when it is full.
  std::byte* Allocate(size_t size_bytes) override;
  void Free(std::byte* block) override;

  // From now on. The one before stays until the last block that Allocate took from it is freed. Null: none.
  void Use(std::shared_ptr<worker::SharedArena> arena);

 private:
  struct Part {
    std::shared_ptr<worker::SharedArena> arena;
    size_t blocks = 0;  // of Allocate, not freed yet
  };

  Mutex mu_;
  Part current_ MLOS_GUARDED_BY(mu_);
  std::vector<Part> before_ MLOS_GUARDED_BY(mu_);
};

}  // namespace mlos::plugin
