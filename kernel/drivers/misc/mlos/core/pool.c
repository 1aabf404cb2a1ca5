// SPDX-License-Identifier: GPL-2.0
#include "pool.h"

void mlos_pool_init(struct mlos_pool *pool, u64 size)
{
	INIT_LIST_HEAD(&pool->extents);
	pool->size = size & ~(MLOS_POOL_ALIGN - 1);
	pool->used = 0;
	pool->count = 0;
}

int mlos_pool_take(struct mlos_pool *pool, struct mlos_extent *extent, u64 bytes)
{
	struct mlos_extent *next;
	u64 length, offset = 0;

	if (!bytes || check_add_overflow(bytes, MLOS_POOL_ALIGN - 1, &length))
		return -EINVAL;
	length &= ~(MLOS_POOL_ALIGN - 1);
	list_for_each_entry(next, &pool->extents, link) {
		if (next->offset - offset >= length)
			goto found;
		offset = next->offset + next->length;
	}
	if (pool->size - offset < length)
		return -ENOSPC;
	list_add_tail(&extent->link, &pool->extents);
	goto counted;
found:
	list_add_tail(&extent->link, &next->link);
counted:
	extent->offset = offset;
	extent->length = length;
	pool->used += length;
	pool->count++;
	return 0;
}

void mlos_pool_give(struct mlos_pool *pool, struct mlos_extent *extent)
{
	if (!extent->length)
		return;
	list_del_init(&extent->link);
	pool->used -= extent->length;
	pool->count--;
	extent->length = 0;
}

u64 mlos_pool_largest_free(const struct mlos_pool *pool)
{
	const struct mlos_extent *next;
	u64 largest = 0, offset = 0;

	list_for_each_entry(next, &pool->extents, link) {
		largest = max(largest, next->offset - offset);
		offset = next->offset + next->length;
	}
	return max(largest, pool->size - offset);
}

void mlos_pool_compact(struct mlos_pool *pool, bool (*fixed)(const struct mlos_extent *extent),
		       struct mlos_compaction *out)
{
	struct mlos_extent *extent;
	u64 offset = 0;

	memset(out, 0, sizeof(*out));
	out->largest_before = mlos_pool_largest_free(pool);
	list_for_each_entry(extent, &pool->extents, link) {
		if (extent->offset != offset && !fixed(extent)) {
			extent->offset = offset;
			out->moved++;
			out->moved_bytes += extent->length;
		}
		offset = extent->offset + extent->length;
	}
	out->largest_after = mlos_pool_largest_free(pool);
}
