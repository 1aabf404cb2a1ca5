// SPDX-License-Identifier: Apache-2.0
#include "plugin/input_arena.h"

#include <algorithm>
#include <utility>

namespace mlos::plugin {

std::byte* InputArena::Allocate(size_t size_bytes) {
  MutexLock lock(mu_);
  if (current_.arena == nullptr) return nullptr;
  std::byte* block = current_.arena->Allocate(size_bytes);
  if (block != nullptr) ++current_.blocks;
  return block;
}

void InputArena::Free(std::byte* block) {
  std::shared_ptr<worker::SharedArena> emptied;  // goes after the lock
  MutexLock lock(mu_);
  const auto holds = [&](const Part& part) {
    return part.arena != nullptr && part.arena->OffsetOf(block, 1).has_value();
  };
  if (holds(current_)) {
    --current_.blocks;
    return current_.arena->Free(block);
  }
  const auto it = std::ranges::find_if(before_, holds);
  if (it == before_.end()) return;
  it->arena->Free(block);
  if (--it->blocks > 0) return;
  emptied = std::move(it->arena);
  before_.erase(it);
}

void InputArena::Use(std::shared_ptr<worker::SharedArena> arena) {
  Part replaced;
  MutexLock lock(mu_);
  if (arena == current_.arena) return;
  replaced = std::exchange(current_, Part{std::move(arena), 0});
  if (replaced.blocks > 0) before_.push_back(std::move(replaced));
}

}  // namespace mlos::plugin
