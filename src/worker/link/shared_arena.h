// SPDX-License-Identifier: Apache-2.0
// A tensor arena in shared memory, on the side that gives its blocks out: the host for inputs, the worker for outputs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "os/shared_memory.h"
#include "tensor/arena.h"
#include "worker/link/block_allocator.h"

namespace mlos::worker {

// Thread-safe.
class SharedArena final : public TensorArena {
 public:
  // `before_allocate`, when set, is called with the arena's lock held before a block is looked for; it may free some.
  using Hook = std::function<void(BlockAllocator&)>;
  explicit SharedArena(os::SharedMemory memory, Hook before_allocate = {});

  std::byte* Allocate(size_t size_bytes) override;
  void Free(std::byte* block) override;

  // Where in the arena [data, data + size) lies; nothing when it does not.
  std::optional<uint64_t> OffsetOf(const std::byte* data, uint64_t size_bytes) const;
  const os::SharedMemory& memory() const { return memory_; }
  uint64_t used_bytes();
  uint64_t committed_bytes();
  // Whether the system ever had no memory to back a block that there was room for.
  bool was_refused_memory() const { return refused_.load(std::memory_order_relaxed); }

 private:
  bool CommitUpTo(uint64_t end) MLOS_REQUIRES(mu_);

  const os::SharedMemory memory_;
  const Hook before_allocate_;
  std::atomic<bool> refused_{false};
  Mutex mu_;
  BlockAllocator blocks_ MLOS_GUARDED_BY(mu_);
  // Memory is taken from the system in order and never given back before the arena ends.
  uint64_t committed_ MLOS_GUARDED_BY(mu_) = 0;
};

}  // namespace mlos::worker
