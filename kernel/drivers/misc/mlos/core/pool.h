/* SPDX-License-Identifier: GPL-2.0 */
/* The memory of a (simulated) accelerator: extents of one range, first fit, and compaction. */
#ifndef MLOS_CORE_POOL_H
#define MLOS_CORE_POOL_H

#include "shim.h"

#define MLOS_POOL_ALIGN 4096ULL

struct mlos_pool {
	struct list_head extents; /* by offset */
	u64 size;
	u64 used;
	u32 count;
};

/* Embedded in what takes room. */
struct mlos_extent {
	struct list_head link;
	u64 offset;
	u64 length; /* 0 = takes no room */
};

struct mlos_compaction {
	u32 moved;
	u64 moved_bytes;
	u64 largest_before;
	u64 largest_after;
};

void mlos_pool_init(struct mlos_pool *pool, u64 size);
/* Rounds up to MLOS_POOL_ALIGN. -ENOSPC when no gap is large enough, -EINVAL for 0 bytes. */
int mlos_pool_take(struct mlos_pool *pool, struct mlos_extent *extent, u64 bytes);
void mlos_pool_give(struct mlos_pool *pool, struct mlos_extent *extent);
u64 mlos_pool_largest_free(const struct mlos_pool *pool);
/* Moves extents down over the gaps; those for which `fixed` is true stay. */
void mlos_pool_compact(struct mlos_pool *pool, bool (*fixed)(const struct mlos_extent *extent),
		       struct mlos_compaction *out);

#endif /* MLOS_CORE_POOL_H */
