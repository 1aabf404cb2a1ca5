// SPDX-License-Identifier: Apache-2.0
#include "resources/tensor_pool.h"

#include <cstring>
#include <new>
#include <string>

namespace mlos::resources {
namespace {

constexpr uint64_t kMagic = 0x314c4f4f50534f4c;  // "LOSPOOL1"

uint64_t RoundUp(uint64_t bytes) {
  return (bytes + TensorPool::kAlignment - 1) / TensorPool::kAlignment * TensorPool::kAlignment;
}

// The stack's head: a block plus 1, and how often the head has changed.
uint32_t Top(uint64_t head) { return static_cast<uint32_t>(head); }
uint64_t MakeHead(uint64_t before, uint32_t top) { return ((before >> 32) + 1) << 32 | top; }

}  // namespace

struct TensorPool::Header {
  std::atomic<uint64_t> magic;
  uint32_t blocks;
  uint32_t block_bytes;
  // On a cache line of its own: it is what all threads write.
  alignas(kAlignment) std::atomic<uint64_t> head;
};

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free,
              "the pool is shared between processes");

std::optional<uint64_t> TensorPool::BytesFor(uint32_t blocks, uint32_t block_bytes) {
  const uint64_t links = RoundUp(uint64_t{blocks} * sizeof(Link));
  uint64_t data, total;
  if (__builtin_mul_overflow(RoundUp(block_bytes), uint64_t{blocks}, &data)) return std::nullopt;
  if (__builtin_add_overflow(data, sizeof(Header) + links, &total)) return std::nullopt;
  return total;
}

Result<TensorPool> TensorPool::Create(std::span<std::byte> memory, uint32_t block_bytes) {
  if (reinterpret_cast<uintptr_t>(memory.data()) % kAlignment != 0) {
    return InvalidArgument("a pool's memory must be aligned to " + std::to_string(kAlignment) + " bytes");
  }
  const uint64_t block = RoundUp(block_bytes);
  if (block_bytes == 0 || block > UINT32_MAX) {
    return InvalidArgument("a pool of blocks of " + std::to_string(block_bytes) + " bytes");
  }
  // What the links leave of the last block may be one too many.
  uint64_t blocks =
      memory.size() < sizeof(Header) ? 0 : (memory.size() - sizeof(Header)) / (block + sizeof(Link));
  blocks = std::min<uint64_t>(blocks, UINT32_MAX - 1);
  while (blocks > 0 && *BytesFor(static_cast<uint32_t>(blocks), static_cast<uint32_t>(block)) > memory.size())
    --blocks;
  if (blocks == 0) {
    return InvalidArgument("no block of " + std::to_string(block) + " bytes fits into " +
                           std::to_string(memory.size()));
  }
  auto* header = new (memory.data()) Header{};
  header->blocks = static_cast<uint32_t>(blocks);
  header->block_bytes = static_cast<uint32_t>(block);
  auto* links = reinterpret_cast<Link*>(memory.data() + sizeof(Header));
  for (uint32_t i = 0; i < blocks; ++i) {
    new (&links[i]) Link{};
    links[i].next.store(i + 1 < blocks ? i + 2 : 0, std::memory_order_relaxed);
  }
  header->head.store(1, std::memory_order_relaxed);
  header->magic.store(kMagic, std::memory_order_release);
  return Attach(memory);
}

Result<TensorPool> TensorPool::Attach(std::span<std::byte> memory) {
  if (reinterpret_cast<uintptr_t>(memory.data()) % kAlignment != 0 || memory.size() < sizeof(Header)) {
    return InvalidArgument("there is no room for a pool in " + std::to_string(memory.size()) + " bytes");
  }
  auto* header = reinterpret_cast<Header*>(memory.data());
  if (header->magic.load(std::memory_order_acquire) != kMagic)
    return DataLoss("the memory holds no pool of tensors");
  // Read once: another process could change them.
  const uint32_t blocks = header->blocks, block_bytes = header->block_bytes;
  const std::optional<uint64_t> bytes = BytesFor(blocks, block_bytes);
  if (blocks == 0 || block_bytes == 0 || block_bytes % kAlignment != 0 || !bytes || *bytes > memory.size()) {
    return DataLoss("the pool of tensors says that it has " + std::to_string(blocks) + " blocks of " +
                    std::to_string(block_bytes) + " bytes, in " + std::to_string(memory.size()));
  }
  auto* links = reinterpret_cast<Link*>(memory.data() + sizeof(Header));
  return TensorPool(header, links, memory.data() + sizeof(Header) + RoundUp(uint64_t{blocks} * sizeof(Link)),
                    blocks, block_bytes);
}

std::optional<uint32_t> TensorPool::Pop(uint32_t owner) {
  uint64_t head = header_->head.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t top = Top(head);
    if (top == 0 || top > blocks_) return std::nullopt;
    Link& link = links_[top - 1];
    const uint32_t next = link.next.load(std::memory_order_relaxed);
    if (header_->head.compare_exchange_weak(head, MakeHead(head, next), std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      link.owner.store(owner, std::memory_order_relaxed);
      return top - 1;
    }
  }
}

void TensorPool::Push(std::span<const uint32_t> blocks) {
  if (blocks.empty()) return;
  for (size_t i = 0; i < blocks.size(); ++i) {
    links_[blocks[i]].owner.store(0, std::memory_order_relaxed);
    if (i > 0) links_[blocks[i - 1]].next.store(blocks[i] + 1, std::memory_order_relaxed);
  }
  Link& last = links_[blocks.back()];
  uint64_t head = header_->head.load(std::memory_order_relaxed);
  do {
    last.next.store(Top(head), std::memory_order_relaxed);
  } while (!header_->head.compare_exchange_weak(head, MakeHead(head, blocks.front() + 1),
                                                std::memory_order_acq_rel, std::memory_order_relaxed));
}

uint32_t TensorPool::Reclaim(uint32_t owner) {
  uint32_t reclaimed = 0;
  for (uint32_t block = 0; block < blocks_; ++block) {
    if (owner == 0 || links_[block].owner.load(std::memory_order_acquire) != owner) continue;
    Push({&block, 1});
    ++reclaimed;
  }
  return reclaimed;
}

uint32_t TensorPool::FreeBlocks() const {
  uint32_t top = Top(header_->head.load(std::memory_order_acquire)), count = 0;
  while (top != 0 && top <= blocks_ && count < blocks_) {
    top = links_[top - 1].next.load(std::memory_order_relaxed);
    ++count;
  }
  return count;
}

void TensorPoolCache::Refill() {
  while (held_ < kCapacity / 2) {
    const std::optional<uint32_t> block = pool_.Pop(owner_);
    if (!block) return;
    stock_[held_++] = *block;
  }
}

void TensorPoolCache::Spill(uint32_t count) {
  pool_.Push(std::span(stock_).subspan(held_ - count, count));
  held_ -= count;
}

}  // namespace mlos::resources
