// SPDX-License-Identifier: GPL-2.0
#include "accuracy.h"

void mlos_accuracy_add(struct mlos_accuracy *a, const struct mlos_prediction *p, u64 completed_ns, bool late)
{
	bool predicted_late = p->miss_pct >= 50;
	u64 error, distance, gained;

	if (!p->completion_ns)
		return;
	a->total++;
	a->accurate += predicted_late == late;
	a->missed += late && !predicted_late;
	a->false_alarms += !late && predicted_late;
	a->miss_pct_sum += min_t(u32, p->miss_pct, 100);
	a->late += late;

	error = completed_ns > p->completion_ns ? completed_ns - p->completion_ns : p->completion_ns - completed_ns;
	error = min_t(u64, error, 1ULL << 62);
	distance = error > a->mean_error_ns ? error - a->mean_error_ns : a->mean_error_ns - error;
	if (error > a->mean_error_ns)
		a->mean_error_ns += div64_u64(distance, a->total);
	else
		a->mean_error_ns -= div64_u64(distance, a->total);
	if (check_mul_overflow(distance, distance, &gained))
		gained = U64_MAX;
	gained = div64_u64(gained, a->total);
	a->variance -= div64_u64(a->variance, a->total);
	if (check_add_overflow(a->variance, gained - div64_u64(gained, a->total), &a->variance))
		a->variance = U64_MAX;
}

u32 mlos_accuracy_pct(const struct mlos_accuracy *a)
{
	return a->total ? (u32)div64_u64(a->accurate * 100 + a->total / 2, a->total) : 0;
}

u32 mlos_accuracy_calibration(const struct mlos_accuracy *a)
{
	u64 predicted, actual;

	if (!a->total)
		return 0;
	predicted = div64_u64(a->miss_pct_sum, a->total);
	actual = div64_u64(a->late * 100, a->total);
	return 100 - (u32)(predicted > actual ? predicted - actual : actual - predicted);
}
