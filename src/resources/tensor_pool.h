// SPDX-License-Identifier: Apache-2.0
// Blocks of one size cut from memory that several processes map (TensorBuffer::bytes()), taken and given back without a lock
// and without a system call.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/status.h"

namespace mlos::resources {

// A view of a pool in shared memory. Thread-safe; copies are the same pool. The memory must outlive it.
//
// Free blocks are a stack whose head carries a counter, so that a head seen twice is not taken for the same. Threads move
// blocks between the stack and a TensorPoolCache of their own, many at a time. Everything read from shared memory is checked: another
// process that writes nonsense there can lose blocks for all, but leads nobody out of the pool.
class TensorPool {
 public:
  static constexpr uint32_t kAlignment = 64;

  // Bytes that hold `blocks` blocks; nullopt when that is no number.
  static std::optional<uint64_t> BytesFor(uint32_t blocks, uint32_t block_bytes);

  // Makes the pool: as many blocks as fit. Nobody else uses the memory yet. kInvalidArgument: no block fits, or the memory is not
  // aligned to kAlignment. `block_bytes` is rounded up to kAlignment.
  static Result<TensorPool> Create(std::span<std::byte> memory, uint32_t block_bytes);
  // The pool that Create() made there, in this process or another. kDataLoss when there is none.
  static Result<TensorPool> Attach(std::span<std::byte> memory);

  uint32_t blocks() const { return blocks_; }
  uint32_t block_bytes() const { return block_bytes_; }
  // `block` < blocks(). All of block_bytes(), aligned to kAlignment.
  std::span<std::byte> Bytes(uint32_t block) const {
    return {data_ + static_cast<size_t>(block) * block_bytes_, block_bytes_};
  }

  // Gives back all blocks that caches of that owner held or handed out. The owner must be gone. What it held in the few
  // instructions between the stack and its mark is lost until the pool is made anew. Returns how many came back.
  uint32_t Reclaim(uint32_t owner);
  // Blocks on the stack; caches hold others. Exact while nobody works.
  uint32_t FreeBlocks() const;

 private:
  friend class TensorPoolCache;
  struct Header;
  struct Link {
    std::atomic<uint32_t> next;   // block plus 1 below it on the stack; 0 = none
    std::atomic<uint32_t> owner;  // whose cache it was moved to; 0 = on the stack
  };

  TensorPool(Header* header, Link* links, std::byte* data, uint32_t blocks, uint32_t block_bytes)
      : header_(header), links_(links), data_(data), blocks_(blocks), block_bytes_(block_bytes) {}

  // Takes one off the stack; nullopt when it is empty.
  std::optional<uint32_t> Pop(uint32_t owner);
  // Puts them on the stack in one step.
  void Push(std::span<const uint32_t> blocks);

  Header* header_;
  Link* links_;
  std::byte* data_;
  uint32_t blocks_;
  uint32_t block_bytes_;
};

// One thread's stock of blocks. Not thread-safe; blocks may be given back to another thread's cache than they came from. The
// destructor gives the stock back.
class TensorPoolCache {
 public:
  // `owner`: what Reclaim() is told when this process is gone, for example its process id. Not 0.
  TensorPoolCache(TensorPool pool, uint32_t owner) : pool_(pool), owner_(owner) {}
  ~TensorPoolCache() { Flush(); }
  TensorPoolCache(const TensorPoolCache&) = delete;
  TensorPoolCache& operator=(const TensorPoolCache&) = delete;

  // nullopt: all blocks are taken, or in caches of others.
  std::optional<uint32_t> Acquire() {
    if (held_ == 0) Refill();
    if (held_ == 0) return std::nullopt;
    return stock_[--held_];
  }
  // `block` was acquired and is given back once.
  void Release(uint32_t block) {
    if (held_ == kCapacity) Spill(kCapacity / 2);
    stock_[held_++] = block;
  }
  // Gives the whole stock back.
  void Flush() { Spill(held_); }

 private:
  static constexpr uint32_t kCapacity = 32;

  void Refill();
  void Spill(uint32_t count);

  TensorPool pool_;
  uint32_t owner_;
  uint32_t held_ = 0;
  std::array<uint32_t, kCapacity> stock_{};
};

}  // namespace mlos::resources
