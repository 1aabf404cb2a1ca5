/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A prefetch plan: which tensors an inference needs and when, and what was learnt about "when". Knows ids and times, not
 * tensors.
 */
#ifndef MLOS_CORE_PLAN_H
#define MLOS_CORE_PLAN_H

#include "shim.h"

#define MLOS_PLAN_MAX_ENTRIES 256
#define MLOS_PLAN_MAX_OFFSET_NS 60000000000ULL
/* A tensor that was there longer than this before it was needed was read too early. */
#define MLOS_PLAN_EARLY_NS 100000000ULL

struct mlos_plan_item {
	u64 tensor_id;
	u64 given_ns;	/* as set */
	u64 learnt_ns;	/* when the content is needed, after the start */
	u64 cost_ns;	/* how long reading takes, learnt */
	u32 flags;	/* MLOS_PLAN_CRITICAL */
	/* This run. */
	u64 ready_ns;	/* absolute; 0 = not there yet */
	u64 touched_ns;	/* absolute; 0 = not touched yet */
};

struct mlos_plan {
	struct mlos_plan_item *items;
	u32 count;
	u32 flags; /* MLOS_PLAN_ENABLE_AUTO, MLOS_PLAN_ADAPTIVE */
	bool learning;
	u32 rate_pct;
	u64 runs, issued, resident_already, bytes, skipped, failed;
	u64 successful, late, early;
	u64 timed, error_sum_ns;
};

/* When to start reading item i, in ns after the start: early enough that it is there when needed. */
u64 mlos_plan_issue_at(const struct mlos_plan *plan, u32 i);
void mlos_plan_begin(struct mlos_plan *plan);
/* Content of item i is there; reading took cost_ns. */
void mlos_plan_ready(struct mlos_plan *plan, u32 i, u64 now_ns, u64 cost_ns);
/* First touch in this run of a page of that tensor. */
void mlos_plan_touched(struct mlos_plan *plan, u64 tensor_id, u64 now_ns);
/* The run that began at start_ns is over: counts and, when learning, moves the offsets. */
void mlos_plan_end(struct mlos_plan *plan, u64 start_ns);
/* Mean over the plan of learnt minus given offset. */
s64 mlos_plan_adjustment_ns(const struct mlos_plan *plan);

#endif /* MLOS_CORE_PLAN_H */
