// SPDX-License-Identifier: GPL-2.0
#include "lru.h"

void mlos_lru_init(struct mlos_lru *lru)
{
	memset(lru, 0, sizeof(*lru));
	INIT_LIST_HEAD(&lru->nodes);
}

void mlos_lru_node_init(struct mlos_lru_node *node)
{
	INIT_LIST_HEAD(&node->link);
	node->charged = 0;
}

int mlos_lru_charge(struct mlos_lru *lru, struct mlos_lru_node *node, u64 limit)
{
	if (limit && lru->resident >= limit)
		return -ENOMEM;
	lru->resident++;
	node->charged++;
	if (list_empty(&node->link))
		list_add_tail(&node->link, &lru->nodes);
	return 0;
}

void mlos_lru_uncharge(struct mlos_lru *lru, struct mlos_lru_node *node, u64 units)
{
	if (WARN_ON_ONCE(units > node->charged))
		units = node->charged;
	node->charged -= units;
	lru->resident -= units;
	if (!node->charged)
		list_del_init(&node->link);
}

void mlos_lru_used(struct mlos_lru *lru, struct mlos_lru_node *node)
{
	if (!list_empty(&node->link))
		list_move_tail(&node->link, &lru->nodes);
}

u64 mlos_lru_evict(struct mlos_lru *lru, u64 target, u64 (*give)(struct mlos_lru_node *node, void *arg), void *arg,
		   u32 *nodes)
{
	struct mlos_lru_node *node, *next;
	u64 freed = 0;

	list_for_each_entry_safe(node, next, &lru->nodes, link) {
		u64 units;

		if (lru->resident <= target)
			break;
		units = give(node, arg);
		if (!units)
			continue;
		mlos_lru_uncharge(lru, node, units);
		lru->evicted_nodes++;
		lru->evicted += units;
		freed += units;
		(*nodes)++;
	}
	return freed;
}
