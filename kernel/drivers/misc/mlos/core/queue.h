/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who starts next: four classes, the earliest deadline first inside a class, then the first that came. A node that waits
 * counts one class higher for each aging interval, so that the lowest class starts in the end. Every operation takes a time that
 * grows with the logarithm of what is queued.
 */
#ifndef MLOS_CORE_QUEUE_H
#define MLOS_CORE_QUEUE_H

#include "shim.h"

#define MLOS_CLASSES 4
/* More work of one node counts as so much (78 hours), so that no sum overflows. */
#define MLOS_QUEUE_MAX_WORK_NS (1ULL << 48)
#define MLOS_QUEUE_MAX_CAPACITY 65536

/* What stands before somebody: how many nodes, and their work. */
struct mlos_ahead {
	u64 work_ns;
	u32 count;
};

/* Embedded in what is queued. Zeroed memory is a node that is in no queue. */
struct mlos_qnode {
	struct list_head arrival; /* in mlos_queue.arrivals of its class */
	struct mlos_qnode *before, *after; /* children in the tree of its class */
	struct mlos_ahead sum;	  /* of itself and all below; count 0 = not queued */
	u64 work_ns;
	u64 deadline_ns;	  /* 0 = none */
	u64 enqueued_ns;
	u64 sequence;
	u32 klass;
};

struct mlos_queue {
	struct mlos_qnode *root[MLOS_CLASSES]; /* trees by deadline and sequence */
	struct list_head arrivals[MLOS_CLASSES];
	u32 capacity; /* of each class */
	u64 next_sequence;
};

/* Room for `capacity` nodes of each class, MLOS_QUEUE_MAX_CAPACITY at most. */
void mlos_queue_init(struct mlos_queue *q, u32 capacity);

/*
 * `work_ns`: how long the node will take, as far as is known. -EAGAIN when the class is full; -EINVAL for a class that is none or a
 * node that is queued.
 */
int mlos_queue_push(struct mlos_queue *q, struct mlos_qnode *node, u32 klass, u64 deadline_ns, u64 work_ns, u64 now_ns);
void mlos_queue_remove(struct mlos_queue *q, struct mlos_qnode *node);
/* The node that should start next; NULL when nothing waits. Leaves it queued. aging_ns 0 = no aging. */
struct mlos_qnode *mlos_queue_peek(const struct mlos_queue *q, u64 now_ns, u64 aging_ns);
/* Of one class, without aging; NULL when it is empty. */
struct mlos_qnode *mlos_queue_first(const struct mlos_queue *q, u32 klass);

static inline bool mlos_queued(const struct mlos_qnode *node)
{
	return node->sum.count != 0;
}

static inline u32 mlos_queue_count(const struct mlos_queue *q, u32 klass)
{
	return q->root[klass] ? q->root[klass]->sum.count : 0;
}

static inline bool mlos_queue_empty(const struct mlos_queue *q)
{
	return !q->root[0] && !q->root[1] && !q->root[2] && !q->root[3];
}

/* What would start before a node of that class and deadline that came now; without aging. */
struct mlos_ahead mlos_queue_ahead(const struct mlos_queue *q, u32 klass, u64 deadline_ns);
/* What starts before this queued node. */
struct mlos_ahead mlos_queue_ahead_of(const struct mlos_queue *q, const struct mlos_qnode *node);

#endif /* MLOS_CORE_QUEUE_H */
