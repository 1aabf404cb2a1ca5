// SPDX-License-Identifier: GPL-2.0
#include "idtable.h"

#define MAX_BUCKETS 1024

int mlos_idtable_init(struct mlos_idtable *t, u32 limit)
{
	u32 buckets = 16;

	while (buckets < limit && buckets < MAX_BUCKETS)
		buckets *= 2;
	memset(t, 0, sizeof(*t));
	t->buckets = mlos_zalloc(buckets, sizeof(*t->buckets));
	if (!t->buckets)
		return -ENOMEM;
	t->mask = buckets - 1;
	t->limit = limit;
	return 0;
}

void mlos_idtable_destroy(struct mlos_idtable *t)
{
	WARN_ON_ONCE(t->count);
	mlos_free(t->buckets);
	t->buckets = NULL;
}

int mlos_idtable_add(struct mlos_idtable *t, struct mlos_idnode *node, u64 id)
{
	if (t->count >= t->limit)
		return -ENOSPC;
	node->id = id;
	node->next = t->buckets[id & t->mask];
	t->buckets[id & t->mask] = node;
	t->count++;
	return 0;
}

struct mlos_idnode *mlos_idtable_find(const struct mlos_idtable *t, u64 id)
{
	struct mlos_idnode *node;

	if (!id)
		return NULL;
	for (node = t->buckets[id & t->mask]; node; node = node->next)
		if (node->id == id)
			return node;
	return NULL;
}

void mlos_idtable_remove(struct mlos_idtable *t, struct mlos_idnode *node)
{
	struct mlos_idnode **at = &t->buckets[node->id & t->mask];

	while (*at && *at != node)
		at = &(*at)->next;
	if (WARN_ON_ONCE(!*at))
		return;
	*at = node->next;
	node->next = NULL;
	node->id = 0;
	t->count--;
}

struct mlos_idnode *mlos_idtable_any(const struct mlos_idtable *t)
{
	u32 i;

	if (!t->count)
		return NULL;
	for (i = 0; i <= t->mask; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}

void mlos_idtable_each(const struct mlos_idtable *t, void (*fn)(struct mlos_idnode *node, void *arg), void *arg)
{
	struct mlos_idnode *node;
	u32 i;

	for (i = 0; t->count && i <= t->mask; i++)
		for (node = t->buckets[i]; node; node = node->next)
			fn(node, arg);
}
