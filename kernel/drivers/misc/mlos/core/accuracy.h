/* SPDX-License-Identifier: GPL-2.0 */
/* How good predictions of lateness were. */
#ifndef MLOS_CORE_ACCURACY_H
#define MLOS_CORE_ACCURACY_H

#include "shim.h"

struct mlos_prediction {
	u64 completion_ns;   /* absolute; 0 = none was made */
	u32 miss_pct;	     /* 0 .. 100 */
};

struct mlos_accuracy {
	u64 total, accurate, missed, false_alarms;
	u64 miss_pct_sum, late;
	u64 mean_error_ns, variance;
};

/* Late is predicted at 50 % and more. */
void mlos_accuracy_add(struct mlos_accuracy *a, const struct mlos_prediction *p, u64 completed_ns, bool late);
u32 mlos_accuracy_pct(const struct mlos_accuracy *a);
/* 100 minus the distance between the predicted and the true share of late ones, in percent. */
u32 mlos_accuracy_calibration(const struct mlos_accuracy *a);

#endif /* MLOS_CORE_ACCURACY_H */
