// SPDX-License-Identifier: Apache-2.0
// Memory for tensors that is not the heap's: shared with another process, so that tensors travel without a copy.
#pragma once

#include <cstddef>

namespace mlos {

// Thread-safe. Kept alive by the tensors in it.
class TensorArena {
 public:
  virtual ~TensorArena() = default;
  // 64-byte aligned, uninitialised; null when there is no room.
  virtual std::byte* Allocate(size_t size_bytes) = 0;
  // `block` came from Allocate.
  virtual void Free(std::byte* block) = 0;
};

}  // namespace mlos
