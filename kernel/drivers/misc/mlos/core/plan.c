// SPDX-License-Identifier: GPL-2.0
#include "plan.h"

u64 mlos_plan_issue_at(const struct mlos_plan *plan, u32 i)
{
	const struct mlos_plan_item *item = &plan->items[i];

	return item->learnt_ns > item->cost_ns ? item->learnt_ns - item->cost_ns : 0;
}

void mlos_plan_begin(struct mlos_plan *plan)
{
	u32 i;

	plan->runs++;
	for (i = 0; i < plan->count; i++) {
		plan->items[i].ready_ns = 0;
		plan->items[i].touched_ns = 0;
	}
}

void mlos_plan_ready(struct mlos_plan *plan, u32 i, u64 now_ns, u64 cost_ns)
{
	struct mlos_plan_item *item = &plan->items[i];

	item->ready_ns = now_ns;
	cost_ns = min_t(u64, cost_ns, MLOS_PLAN_MAX_OFFSET_NS);
	/* Rises at once, falls slowly: being late costs more than being early. */
	item->cost_ns = cost_ns > item->cost_ns ? cost_ns : item->cost_ns - (item->cost_ns - cost_ns) / 8;
}

void mlos_plan_touched(struct mlos_plan *plan, u64 tensor_id, u64 now_ns)
{
	u32 i;

	for (i = 0; i < plan->count; i++)
		if (plan->items[i].tensor_id == tensor_id && !plan->items[i].touched_ns)
			plan->items[i].touched_ns = now_ns;
}

static void learn(struct mlos_plan *plan, struct mlos_plan_item *item, u64 needed_ns)
{
	u64 error = needed_ns > item->learnt_ns ? needed_ns - item->learnt_ns : item->learnt_ns - needed_ns;
	u64 step = div64_u64(error * plan->rate_pct, 100);

	plan->timed++;
	plan->error_sum_ns += error;
	if (!plan->learning)
		return;
	item->learnt_ns = needed_ns > item->learnt_ns ? item->learnt_ns + step : item->learnt_ns - step;
}

void mlos_plan_end(struct mlos_plan *plan, u64 start_ns)
{
	u32 i;

	for (i = 0; i < plan->count; i++) {
		struct mlos_plan_item *item = &plan->items[i];

		if (!item->touched_ns) {
			plan->early += item->ready_ns != 0;
			continue;
		}
		if (!item->ready_ns || item->ready_ns > item->touched_ns)
			plan->late++;
		else if (item->touched_ns - item->ready_ns > MLOS_PLAN_EARLY_NS)
			plan->early++;
		else
			plan->successful++;
		if (item->touched_ns >= start_ns)
			learn(plan, item, min_t(u64, item->touched_ns - start_ns, MLOS_PLAN_MAX_OFFSET_NS));
	}
}

s64 mlos_plan_adjustment_ns(const struct mlos_plan *plan)
{
	s64 sum = 0;
	u32 i;

	for (i = 0; i < plan->count; i++)
		sum += (s64)plan->items[i].learnt_ns - (s64)plan->items[i].given_ns;
	return plan->count ? sum / (s64)plan->count : 0;
}
