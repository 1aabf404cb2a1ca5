// SPDX-License-Identifier: Apache-2.0
// The memory pool of an accelerator against a list of who has which bytes.
#include "kernel_core.h"

extern "C" {
#include "pool.h"
}
#undef min
#undef max

namespace {

constexpr uint64_t kPages = 64;
constexpr uint64_t kSize = kPages * MLOS_POOL_ALIGN;

struct Extent {
  mlos_extent extent{};
  bool fixed = false;
};

bool IsFixed(const mlos_extent* e) { return reinterpret_cast<const Extent*>(e)->fixed; }
static_assert(offsetof(Extent, extent) == 0);

// One byte a page: who has it, 0 = nobody. Nobody has what another has.
std::vector<int> Owners(const std::vector<Extent>& extents) {
  std::vector<int> owners(kPages);
  for (size_t i = 0; i < extents.size(); ++i) {
    const mlos_extent& e = extents[i].extent;
    MUST(e.length % MLOS_POOL_ALIGN == 0 && (e.length == 0 || e.offset % MLOS_POOL_ALIGN == 0));
    MUST(e.length == 0 || (e.offset < kSize && e.length <= kSize - e.offset));
    for (uint64_t page = 0; page < e.length / MLOS_POOL_ALIGN; ++page) {
      int& owner = owners[e.offset / MLOS_POOL_ALIGN + page];
      MUST(owner == 0);
      owner = static_cast<int>(i) + 1;
    }
  }
  return owners;
}

uint64_t LargestFree(const std::vector<int>& owners) {
  uint64_t largest = 0, run = 0;
  for (const int owner : owners) {
    run = owner ? 0 : run + 1;
    largest = std::max(largest, run);
  }
  return largest * MLOS_POOL_ALIGN;
}

void CheckAll(const mlos_pool& pool, const std::vector<Extent>& extents) {
  const std::vector<int> owners = Owners(extents);
  const auto used =
      static_cast<uint64_t>(std::count_if(owners.begin(), owners.end(), [](int o) { return o != 0; }));
  MUST(pool.used == used * MLOS_POOL_ALIGN);
  MUST(pool.count ==
       std::count_if(extents.begin(), extents.end(), [](auto& e) { return e.extent.length != 0; }));
  MUST(mlos_pool_largest_free(&pool) == LargestFree(owners));
}

void CheckTake(mlos_pool* pool, std::vector<Extent>& extents, Extent* e, uint64_t bytes) {
  const uint64_t largest = LargestFree(Owners(extents));
  const int ret = mlos_pool_take(pool, &e->extent, bytes);
  if (bytes == 0 || bytes > ~0ULL - (MLOS_POOL_ALIGN - 1)) {
    MUST(ret == -EINVAL);
  } else {
    MUST(ret == (bytes <= largest ? 0 : -ENOSPC));
  }
  MUST((e->extent.length != 0) == (ret == 0));
  if (ret == 0) MUST(e->extent.length - bytes < MLOS_POOL_ALIGN);
}

void CheckCompact(mlos_pool* pool, const std::vector<Extent>& extents) {
  const std::vector<Extent> before = extents;
  mlos_compaction done;
  mlos_pool_compact(pool, IsFixed, &done);
  uint32_t moved = 0;
  uint64_t bytes = 0;
  bool any_fixed = false;
  for (size_t i = 0; i < extents.size(); ++i) {
    const mlos_extent &was = before[i].extent, &is = extents[i].extent;
    MUST(was.length == is.length);
    any_fixed |= is.length && extents[i].fixed;
    if (!is.length || was.offset == is.offset) continue;
    MUST(!extents[i].fixed && is.offset < was.offset);
    ++moved;
    bytes += is.length;
  }
  MUST(done.moved == moved && done.moved_bytes == bytes);
  MUST(done.largest_before == LargestFree(Owners(before)) &&
       done.largest_after == LargestFree(Owners(extents)));
  MUST(done.largest_after >= done.largest_before);
  if (!any_fixed) MUST(done.largest_after == pool->size - pool->used);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos::fuzz::Steps steps(data, size);
  mlos_pool pool;
  mlos_pool_init(&pool, kSize + steps.Below(200));
  MUST(pool.size == kSize);
  std::vector<Extent> extents(24);
  while (!steps.Done()) {
    Extent* e = &extents[steps.Below(24)];
    switch (steps.Below(5)) {
      case 0:
      case 1:
        if (e->extent.length == 0)
          CheckTake(&pool, extents, e, steps.Below(8) ? steps.Below(9) * 2048 : steps.Number());
        break;
      case 2:
        mlos_pool_give(&pool, &e->extent);
        MUST(e->extent.length == 0);
        break;
      case 3:
        e->fixed = !e->fixed;
        break;
      case 4:
        CheckCompact(&pool, extents);
        break;
    }
    CheckAll(pool, extents);
  }
  return 0;
}
