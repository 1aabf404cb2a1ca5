/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Resident memory and who gives it up first: nodes in the order of their last use, the units (pages) each of them holds, and
 * the sum. resident is the sum of charged over all nodes, and a node is in the list exactly when it holds something.
 */
#ifndef MLOS_CORE_LRU_H
#define MLOS_CORE_LRU_H

#include "shim.h"

/* Embedded in what holds memory; mlos_lru_node_init() first. */
struct mlos_lru_node {
	struct list_head link;
	u64 charged;
};

struct mlos_lru {
	struct list_head nodes; /* least recently used first */
	u64 resident;
	u64 evicted_nodes;	/* ever */
	u64 evicted;		/* units, ever */
};

void mlos_lru_init(struct mlos_lru *lru);
void mlos_lru_node_init(struct mlos_lru_node *node);

/* One unit more; -ENOMEM when `limit` (0 = none) is reached. A node that held nothing becomes the last used. */
int mlos_lru_charge(struct mlos_lru *lru, struct mlos_lru_node *node, u64 limit);
/* `units` less, at most what it holds. */
void mlos_lru_uncharge(struct mlos_lru *lru, struct mlos_lru_node *node, u64 units);
/* It was used just now. */
void mlos_lru_used(struct mlos_lru *lru, struct mlos_lru_node *node);

/*
 * Asks nodes, least recently used first, to give up what they hold until at most `target` units are resident. `give` says how many
 * units went: all the node holds, or 0 when it stays; it must not change the list. Returns the units, adds the nodes to *nodes.
 */
u64 mlos_lru_evict(struct mlos_lru *lru, u64 target, u64 (*give)(struct mlos_lru_node *node, void *arg), void *arg,
		   u32 *nodes);

#endif /* MLOS_CORE_LRU_H */
