// SPDX-License-Identifier: Apache-2.0
#include "worker/link/block_allocator.h"

#include <algorithm>
#include <bit>

namespace mlos::worker {

BlockAllocator::BlockAllocator(uint64_t arena_bytes) : kinds_(arena_bytes / kChunk, kFree) {
  if (!kinds_.empty()) free_runs_[0] = kinds_.size();
}

std::optional<BlockAllocator::Block> BlockAllocator::Allocate(uint64_t size_bytes) {
  if (size_bytes > ClassBytes(kClasses - 1)) {
    if (size_bytes > kinds_.size() * kChunk) return std::nullopt;
    const uint64_t chunks = (size_bytes + kChunk - 1) / kChunk;
    const auto first = TakeRun(chunks);
    if (!first) return std::nullopt;
    std::fill_n(kinds_.begin() + static_cast<std::ptrdiff_t>(*first), chunks, kRunTail);
    kinds_[*first] = kRunHead;
    runs_[*first] = chunks;
    used_bytes_ += chunks * kChunk;
    return Block{*first * kChunk, chunks * kChunk};
  }
  const uint64_t rounded = std::bit_ceil(std::max(size_bytes, kSmallest));
  const int index = std::countr_zero(rounded) - std::countr_zero(kSmallest);
  auto& list = free_[static_cast<size_t>(index)];
  if (list.empty() && !Carve(index)) return std::nullopt;
  const uint64_t offset = list.back();
  list.pop_back();
  taken_[offset / kChunk]->set(offset % kChunk / kSmallest);
  used_bytes_ += rounded;
  return Block{offset, rounded};
}

bool BlockAllocator::Carve(int index) {
  const auto chunk = TakeRun(1);
  if (!chunk) return false;
  kinds_[*chunk] = static_cast<uint8_t>(index + 1);
  taken_[*chunk] = std::make_unique<Taken>();
  auto& list = free_[static_cast<size_t>(index)];
  for (uint64_t at = kChunk; at > 0; at -= ClassBytes(index))
    list.push_back(*chunk * kChunk + at - ClassBytes(index));
  return true;
}

bool BlockAllocator::Free(uint64_t offset) {
  const uint64_t chunk = offset / kChunk;
  if (chunk >= kinds_.size()) return false;
  const uint8_t kind = kinds_[chunk];
  if (kind == kRunHead) {
    if (offset % kChunk != 0) return false;
    const auto it = runs_.find(chunk);
    const uint64_t chunks = it->second;
    runs_.erase(it);
    used_bytes_ -= chunks * kChunk;
    GiveRun(chunk, chunks);
    return true;
  }
  if (kind == kFree || kind == kRunTail) return false;
  const uint64_t size = ClassBytes(kind - 1);
  Taken& taken = *taken_[chunk];
  const uint64_t unit = offset % kChunk / kSmallest;
  if (offset % size != 0 || !taken.test(unit)) return false;
  taken.reset(unit);
  used_bytes_ -= size;
  free_[static_cast<size_t>(kind - 1)].push_back(offset);
  return true;
}

std::optional<uint64_t> BlockAllocator::TakeRun(uint64_t chunks) {
  const auto it = std::ranges::find_if(free_runs_, [&](const auto& run) { return run.second >= chunks; });
  if (it == free_runs_.end()) return std::nullopt;
  const auto [first, length] = *it;
  free_runs_.erase(it);
  if (length > chunks) free_runs_[first + chunks] = length - chunks;
  return first;
}

void BlockAllocator::GiveRun(uint64_t first, uint64_t chunks) {
  std::fill_n(kinds_.begin() + static_cast<std::ptrdiff_t>(first), chunks, kFree);
  auto after = free_runs_.lower_bound(first);
  if (after != free_runs_.end() && after->first == first + chunks) {
    chunks += after->second;
    after = free_runs_.erase(after);
  }
  if (after != free_runs_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == first) {
      before->second += chunks;
      return;
    }
  }
  free_runs_[first] = chunks;
}

}  // namespace mlos::worker
