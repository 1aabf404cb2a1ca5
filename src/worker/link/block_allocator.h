// SPDX-License-Identifier: Apache-2.0
// Which parts of an arena are taken. Small blocks are powers of two out of 64 KiB chunks, each size with a list of its own;
// larger ones are runs of chunks, the lowest that fits first. Deals in offsets; never touches the arena.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace mlos::worker {

// Not thread-safe.
class BlockAllocator {
 public:
  static constexpr uint64_t kChunk = 65536;
  static constexpr uint64_t kSmallest = 64;

  // Of the arena whole chunks are used.
  explicit BlockAllocator(uint64_t arena_bytes);

  struct Block {
    uint64_t offset = 0;
    uint64_t size_bytes = 0;  // at least what was asked for
  };
  // Nothing when there is no room; blocks begin at multiples of 64.
  std::optional<Block> Allocate(uint64_t size_bytes);
  // False, and nothing changes, when no block that is taken begins there.
  bool Free(uint64_t offset);

  uint64_t used_bytes() const { return used_bytes_; }

 private:
  static constexpr int kClasses = 10;  // 64 ... 32768
  static constexpr uint8_t kFree = 0;
  static constexpr uint8_t kRunHead = 254;
  static constexpr uint8_t kRunTail = 255;  // 1 ... kClasses: small blocks of that class

  using Taken = std::bitset<kChunk / kSmallest>;

  static uint64_t ClassBytes(int index) { return kSmallest << index; }
  std::optional<uint64_t> TakeRun(uint64_t chunks);
  void GiveRun(uint64_t first, uint64_t chunks);
  bool Carve(int index);

  std::vector<uint8_t> kinds_;              // by chunk
  std::map<uint64_t, uint64_t> free_runs_;  // first chunk -> chunks; neighbours are joined
  std::map<uint64_t, uint64_t> runs_;       // taken: first chunk -> chunks
  std::array<std::vector<uint64_t>, kClasses>
      free_;  // offsets; the last freed is the first used, its bytes are in the cache
  std::map<uint64_t, std::unique_ptr<Taken>> taken_;  // by chunk of small blocks
  uint64_t used_bytes_ = 0;
};

}  // namespace mlos::worker
