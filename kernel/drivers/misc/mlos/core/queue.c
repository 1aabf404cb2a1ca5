// SPDX-License-Identifier: GPL-2.0
#include "queue.h"

static bool before(const struct mlos_qnode *a, const struct mlos_qnode *b)
{
	u64 da = a->deadline_ns ? a->deadline_ns : U64_MAX;
	u64 db = b->deadline_ns ? b->deadline_ns : U64_MAX;

	return da != db ? da < db : a->sequence < b->sequence;
}

static void place(struct mlos_queue *q, u32 klass, u32 index, struct mlos_qnode *node)
{
	q->heap[klass][index] = node;
	node->heap_index = index + 1;
}

static void sift_up(struct mlos_queue *q, u32 klass, u32 index, struct mlos_qnode *node)
{
	while (index > 0) {
		u32 parent = (index - 1) / 2;

		if (!before(node, q->heap[klass][parent]))
			break;
		place(q, klass, index, q->heap[klass][parent]);
		index = parent;
	}
	place(q, klass, index, node);
}

static void sift_down(struct mlos_queue *q, u32 klass, u32 index, struct mlos_qnode *node)
{
	u32 count = q->count[klass];

	for (;;) {
		u32 child = 2 * index + 1;

		if (child >= count)
			break;
		if (child + 1 < count && before(q->heap[klass][child + 1], q->heap[klass][child]))
			child++;
		if (!before(q->heap[klass][child], node))
			break;
		place(q, klass, index, q->heap[klass][child]);
		index = child;
	}
	place(q, klass, index, node);
}

int mlos_queue_init(struct mlos_queue *q, u32 capacity)
{
	u32 klass;

	memset(q, 0, sizeof(*q));
	q->capacity = capacity;
	for (klass = 0; klass < MLOS_CLASSES; klass++) {
		INIT_LIST_HEAD(&q->arrivals[klass]);
		q->heap[klass] = mlos_zalloc(capacity, sizeof(*q->heap[klass]));
		if (!q->heap[klass]) {
			mlos_queue_destroy(q);
			return -ENOMEM;
		}
	}
	return 0;
}

void mlos_queue_destroy(struct mlos_queue *q)
{
	u32 klass;

	for (klass = 0; klass < MLOS_CLASSES; klass++) {
		WARN_ON_ONCE(q->count[klass]);
		mlos_free(q->heap[klass]);
		q->heap[klass] = NULL;
	}
}

int mlos_queue_push(struct mlos_queue *q, struct mlos_qnode *node, u32 klass, u64 deadline_ns, u64 now_ns)
{
	if (klass >= MLOS_CLASSES || mlos_queued(node))
		return -EINVAL;
	if (q->count[klass] >= q->capacity)
		return -EAGAIN;
	node->klass = klass;
	node->deadline_ns = deadline_ns;
	node->enqueued_ns = now_ns;
	node->sequence = q->next_sequence++;
	list_add_tail(&node->arrival, &q->arrivals[klass]);
	sift_up(q, klass, q->count[klass]++, node);
	return 0;
}

void mlos_queue_remove(struct mlos_queue *q, struct mlos_qnode *node)
{
	u32 klass = node->klass;
	u32 index = node->heap_index - 1;
	struct mlos_qnode *last;

	if (WARN_ON_ONCE(!mlos_queued(node)))
		return;
	list_del_init(&node->arrival);
	node->heap_index = 0;
	last = q->heap[klass][--q->count[klass]];
	q->heap[klass][q->count[klass]] = NULL;
	if (last == node)
		return;
	if (index > 0 && before(last, q->heap[klass][(index - 1) / 2]))
		sift_up(q, klass, index, last);
	else
		sift_down(q, klass, index, last);
}

static u32 aged_class(const struct mlos_qnode *node, u64 now_ns, u64 aging_ns)
{
	u64 waited = now_ns > node->enqueued_ns ? now_ns - node->enqueued_ns : 0;
	u64 raised = aging_ns ? div64_u64(waited, aging_ns) : 0;

	return raised >= node->klass ? 0 : node->klass - (u32)raised;
}

/*
 * A class offers its earliest deadline and its oldest node: the first counts with its own age, and no node counts higher
 * than the oldest. Between equals the one that waits longer goes first, which is what ends starvation.
 */
struct mlos_qnode *mlos_queue_peek(const struct mlos_queue *q, u64 now_ns, u64 aging_ns)
{
	struct mlos_qnode *best = NULL;
	u32 best_class = 0, klass, i;

	for (klass = 0; klass < MLOS_CLASSES; klass++) {
		struct mlos_qnode *offered[2];

		if (!q->count[klass])
			continue;
		offered[0] = q->heap[klass][0];
		offered[1] = list_first_entry(&q->arrivals[klass], struct mlos_qnode, arrival);
		for (i = 0; i < 2; i++) {
			u32 aged = aged_class(offered[i], now_ns, aging_ns);
			bool raised = aged < klass;

			if (!best || aged < best_class ||
			    (aged == best_class && raised && offered[i]->enqueued_ns < best->enqueued_ns)) {
				best = offered[i];
				best_class = aged;
			}
		}
	}
	return best;
}

u32 mlos_queue_length(const struct mlos_queue *q)
{
	u32 klass, length = 0;

	for (klass = 0; klass < MLOS_CLASSES; klass++)
		length += q->count[klass];
	return length;
}

u32 mlos_queue_position(const struct mlos_queue *q, u32 klass, u64 deadline_ns)
{
	u32 other, i, position = 0;
	u64 deadline = deadline_ns ? deadline_ns : U64_MAX;

	for (other = 0; other < klass && other < MLOS_CLASSES; other++)
		position += q->count[other];
	if (klass >= MLOS_CLASSES)
		return position;
	for (i = 0; i < q->count[klass]; i++) {
		u64 theirs = q->heap[klass][i]->deadline_ns;

		position += (theirs ? theirs : U64_MAX) <= deadline;
	}
	return position;
}
