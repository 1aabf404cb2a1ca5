// SPDX-License-Identifier: Apache-2.0
#include "worker/link/shared_arena.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"

namespace mlos::worker {
namespace {

constexpr uint64_t kCommitStep = 1 << 20;

}  // namespace

SharedArena::SharedArena(os::SharedMemory memory, Hook before_allocate)
    : memory_(std::move(memory)),
      before_allocate_(std::move(before_allocate)),
      blocks_(memory_.size_bytes()) {}

std::byte* SharedArena::Allocate(size_t size_bytes) {
  MutexLock lock(mu_);
  if (before_allocate_) before_allocate_(blocks_);
  const auto block = blocks_.Allocate(size_bytes);
  if (!block) return nullptr;
  if (!CommitUpTo(block->offset + block->size_bytes)) {
    blocks_.Free(block->offset);
    return nullptr;
  }
  return memory_.data() + block->offset;
}

bool SharedArena::CommitUpTo(uint64_t end) {
  if (end <= committed_) return true;
  const uint64_t upto = std::min(memory_.size_bytes(), (end + kCommitStep - 1) / kCommitStep * kCommitStep);
  if (!memory_.Commit(committed_, upto - committed_).ok()) {
    refused_.store(true, std::memory_order_relaxed);
    return false;
  }
  committed_ = upto;
  return true;
}

void SharedArena::Free(std::byte* block) {
  MutexLock lock(mu_);
  blocks_.Free(static_cast<uint64_t>(block - memory_.data()));
}

std::optional<uint64_t> SharedArena::OffsetOf(const std::byte* data, uint64_t size_bytes) const {
  const auto base = reinterpret_cast<uintptr_t>(memory_.data());
  const auto at = reinterpret_cast<uintptr_t>(data);
  if (at < base || !RangeFits(at - base, size_bytes, memory_.size_bytes())) return std::nullopt;
  return at - base;
}

uint64_t SharedArena::used_bytes() {
  MutexLock lock(mu_);
  return blocks_.used_bytes();
}

uint64_t SharedArena::committed_bytes() {
  MutexLock lock(mu_);
  return committed_;
}

}  // namespace mlos::worker
