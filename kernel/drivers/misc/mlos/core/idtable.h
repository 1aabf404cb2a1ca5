/* SPDX-License-Identifier: GPL-2.0 */
/* Objects by 64-bit id. Ids come from one counter and are never used again. */
#ifndef MLOS_CORE_IDTABLE_H
#define MLOS_CORE_IDTABLE_H

#include "shim.h"

struct mlos_idnode {
	struct mlos_idnode *next;
	u64 id; /* 0 = in no table */
};

struct mlos_idtable {
	struct mlos_idnode **buckets;
	u32 mask;
	u32 count;
	u32 limit;
};

/* `limit` objects at most; -ENOMEM. */
int mlos_idtable_init(struct mlos_idtable *t, u32 limit);
/* The table must be empty. */
void mlos_idtable_destroy(struct mlos_idtable *t);
/* -ENOSPC at the limit. The caller makes `id` unique and not 0. */
int mlos_idtable_add(struct mlos_idtable *t, struct mlos_idnode *node, u64 id);
struct mlos_idnode *mlos_idtable_find(const struct mlos_idtable *t, u64 id);
void mlos_idtable_remove(struct mlos_idtable *t, struct mlos_idnode *node);
/* Any one; NULL when empty. */
struct mlos_idnode *mlos_idtable_any(const struct mlos_idtable *t);
/* Calls fn for each; fn must not change the table. */
void mlos_idtable_each(const struct mlos_idtable *t, void (*fn)(struct mlos_idnode *node, void *arg), void *arg);

#endif /* MLOS_CORE_IDTABLE_H */
