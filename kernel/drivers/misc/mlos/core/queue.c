// SPDX-License-Identifier: GPL-2.0
/*
 * Each class is a binary search tree whose nodes know how much is below them. It is kept in balance by weight, with the parameters
 * (3, 2) that are proven right in Hirai and Yamamoto, "Balancing weight-balanced trees", J. Functional Programming 21 (2011).
 */
#include "queue.h"

#define HEAVY 3 /* a subtree may weigh so many times its sibling */
#define SINGLE 2 /* one rotation does when the inner grandchild weighs less than so many times the outer one */

/*
 * A child weighs at most 3/4 of its parent, so a path has log(n + 1) / log(4/3) nodes at most: 39 for MLOS_QUEUE_MAX_CAPACITY, and one
 * while something is out of balance.
 */
#define MAX_DEPTH 40

static u64 order_of(u64 deadline_ns)
{
	return deadline_ns ? deadline_ns : U64_MAX;
}

static bool comes_before(const struct mlos_qnode *a, const struct mlos_qnode *b)
{
	u64 da = order_of(a->deadline_ns), db = order_of(b->deadline_ns);

	return da != db ? da < db : a->sequence < b->sequence;
}

/* --- the tree ---------------------------------------------------------------------------------------------------------- */

/* The places in which one finds the nodes on the way to another: a root, or a child of the one before. */
struct descent {
	struct mlos_qnode **place[MAX_DEPTH];
	u32 depth;
};

static u64 weight(const struct mlos_qnode *tree)
{
	return tree ? tree->sum.count + 1ULL : 1;
}

static void add(struct mlos_ahead *to, const struct mlos_qnode *tree)
{
	if (!tree)
		return;
	to->count += tree->sum.count;
	to->work_ns += tree->sum.work_ns;
}

static void sum_up(struct mlos_qnode *node)
{
	node->sum = (struct mlos_ahead){ .count = 1, .work_ns = node->work_ns };
	add(&node->sum, node->before);
	add(&node->sum, node->after);
}

static void lift_after(struct mlos_qnode **place)
{
	struct mlos_qnode *down = *place, *up = down->after;

	down->after = up->before;
	up->before = down;
	*place = up;
	sum_up(down);
	sum_up(up);
}

static void lift_before(struct mlos_qnode **place)
{
	struct mlos_qnode *down = *place, *up = down->before;

	down->before = up->after;
	up->after = down;
	*place = up;
	sum_up(down);
	sum_up(up);
}

static void balance(struct mlos_qnode **place)
{
	struct mlos_qnode *node = *place;

	if (weight(node->after) > HEAVY * weight(node->before)) {
		if (weight(node->after->before) >= SINGLE * weight(node->after->after))
			lift_before(&node->after);
		lift_after(place);
	} else if (weight(node->before) > HEAVY * weight(node->after)) {
		if (weight(node->before->after) >= SINGLE * weight(node->before->before))
			lift_after(&node->before);
		lift_before(place);
	} else {
		sum_up(node);
	}
}

static void balance_all(struct descent *way)
{
	while (way->depth)
		balance(way->place[--way->depth]);
}

static struct mlos_qnode **step(struct descent *way, struct mlos_qnode **place, const struct mlos_qnode *to)
{
	way->place[way->depth++] = place;
	return comes_before(to, *place) ? &(*place)->before : &(*place)->after;
}

static void insert(struct mlos_qnode **root, struct mlos_qnode *node)
{
	struct descent way = { .depth = 0 };
	struct mlos_qnode **place = root;

	while (*place)
		place = step(&way, place, node);
	node->before = NULL;
	node->after = NULL;
	sum_up(node);
	*place = node;
	balance_all(&way);
}

/* Takes the first node of the tree at `place` out. The path leads to the place from which it is gone. */
static struct mlos_qnode *take_first(struct descent *way, struct mlos_qnode **place)
{
	struct mlos_qnode *first;

	while ((*place)->before) {
		way->place[way->depth++] = place;
		place = &(*place)->before;
	}
	first = *place;
	*place = first->after;
	return first;
}

static void erase(struct mlos_qnode **root, struct mlos_qnode *node)
{
	struct descent way = { .depth = 0 };
	struct mlos_qnode **place = root, *heir;
	u32 own;

	while (*place != node)
		place = step(&way, place, node);
	if (!node->before || !node->after) {
		*place = node->before ? node->before : node->after;
	} else {
		own = way.depth;
		way.place[way.depth++] = place;
		heir = take_first(&way, &node->after);
		heir->before = node->before;
		heir->after = node->after;
		*place = heir;
		/* What was found in the node is found in its heir now. */
		if (way.depth > own + 1)
			way.place[own + 1] = &heir->after;
	}
	balance_all(&way);
}

/* --- the queue --------------------------------------------------------------------------------------------------------- */

void mlos_queue_init(struct mlos_queue *q, u32 capacity)
{
	u32 klass;

	memset(q, 0, sizeof(*q));
	q->capacity = min_t(u32, capacity, MLOS_QUEUE_MAX_CAPACITY);
	for (klass = 0; klass < MLOS_CLASSES; klass++)
		INIT_LIST_HEAD(&q->arrivals[klass]);
}

int mlos_queue_push(struct mlos_queue *q, struct mlos_qnode *node, u32 klass, u64 deadline_ns, u64 work_ns, u64 now_ns)
{
	if (klass >= MLOS_CLASSES || mlos_queued(node))
		return -EINVAL;
	if (mlos_queue_count(q, klass) >= q->capacity)
		return -EAGAIN;
	node->klass = klass;
	node->deadline_ns = deadline_ns;
	node->work_ns = min_t(u64, work_ns, MLOS_QUEUE_MAX_WORK_NS);
	node->enqueued_ns = now_ns;
	node->sequence = q->next_sequence++;
	list_add_tail(&node->arrival, &q->arrivals[klass]);
	insert(&q->root[klass], node);
	return 0;
}

void mlos_queue_remove(struct mlos_queue *q, struct mlos_qnode *node)
{
	if (WARN_ON_ONCE(!mlos_queued(node)))
		return;
	list_del_init(&node->arrival);
	erase(&q->root[node->klass], node);
	node->sum.count = 0;
}

struct mlos_qnode *mlos_queue_first(const struct mlos_queue *q, u32 klass)
{
	struct mlos_qnode *node = q->root[klass];

	while (node && node->before)
		node = node->before;
	return node;
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

		if (!q->root[klass])
			continue;
		offered[0] = mlos_queue_first(q, klass);
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

/* --- what stands before -------------------------------------------------------------------------------------------------- */

struct mlos_ahead mlos_queue_ahead_of(const struct mlos_queue *q, const struct mlos_qnode *node)
{
	struct mlos_ahead ahead = { 0 };
	const struct mlos_qnode *at;
	u32 klass;

	for (klass = 0; klass < node->klass && klass < MLOS_CLASSES; klass++)
		add(&ahead, q->root[klass]);
	at = node->klass < MLOS_CLASSES ? q->root[node->klass] : NULL;
	while (at) {
		if (!comes_before(at, node)) {
			at = at->before;
			continue;
		}
		add(&ahead, at->before);
		ahead.count++;
		ahead.work_ns += at->work_ns;
		at = at->after;
	}
	return ahead;
}

struct mlos_ahead mlos_queue_ahead(const struct mlos_queue *q, u32 klass, u64 deadline_ns)
{
	const struct mlos_qnode newcomer = { .klass = klass, .deadline_ns = deadline_ns, .sequence = q->next_sequence };

	return mlos_queue_ahead_of(q, &newcomer);
}
