/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who starts next: four classes, the earliest deadline first inside a class, then the first that came. A node that waits
 * counts one class higher for each aging interval, so that the lowest class starts in the end.
 */
#ifndef MLOS_CORE_QUEUE_H
#define MLOS_CORE_QUEUE_H

#include "shim.h"

#define MLOS_CLASSES 4

/* Embedded in what is queued. Zeroed memory is a node that is in no queue. */
struct mlos_qnode {
	struct list_head arrival; /* in mlos_queue.arrivals of its class */
	u64 deadline_ns;	  /* 0 = none */
	u64 enqueued_ns;
	u64 sequence;
	u32 heap_index;		  /* plus 1; 0 = not queued */
	u32 klass;
};

struct mlos_queue {
	struct mlos_qnode **heap[MLOS_CLASSES];
	u32 count[MLOS_CLASSES];
	struct list_head arrivals[MLOS_CLASSES];
	u32 capacity; /* of each heap */
	u64 next_sequence;
};

/* Makes room for `capacity` nodes of each class; -ENOMEM. */
int mlos_queue_init(struct mlos_queue *q, u32 capacity);
/* The queue must be empty. */
void mlos_queue_destroy(struct mlos_queue *q);

/* -EAGAIN when the class is full; -EINVAL for a class that is none or a node that is queued. */
int mlos_queue_push(struct mlos_queue *q, struct mlos_qnode *node, u32 klass, u64 deadline_ns, u64 now_ns);
/* The node that should start next; NULL when nothing waits. Leaves it queued. aging_ns 0 = no aging. */
struct mlos_qnode *mlos_queue_peek(const struct mlos_queue *q, u64 now_ns, u64 aging_ns);
void mlos_queue_remove(struct mlos_queue *q, struct mlos_qnode *node);
static inline bool mlos_queued(const struct mlos_qnode *node)
{
	return node->heap_index != 0;
}

u32 mlos_queue_length(const struct mlos_queue *q);
/* How many queued nodes would start before one of that class and deadline that came now. */
u32 mlos_queue_position(const struct mlos_queue *q, u32 klass, u64 deadline_ns);

#endif /* MLOS_CORE_QUEUE_H */
