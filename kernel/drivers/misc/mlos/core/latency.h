/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How long executions of a model take: a histogram for quantiles, running moments for mean and spread. Fixed size, no
 * allocation; old samples fade, so that a model that became slower is believed within some hundred executions.
 */
#ifndef MLOS_CORE_LATENCY_H
#define MLOS_CORE_LATENCY_H

#include "shim.h"

/* Eight buckets an octave (12.5 % or less each) from 1 us to 2^42 ns (73 min); the ends take what lies beyond. */
#define MLOS_LATENCY_FIRST_OCTAVE 10
#define MLOS_LATENCY_OCTAVES 32
#define MLOS_LATENCY_BUCKETS (MLOS_LATENCY_OCTAVES * 8)

struct mlos_latency {
	u32 count[MLOS_LATENCY_BUCKETS]; /* faded */
	u32 total;			 /* sum of count */
	u64 samples;			 /* ever */
	u64 min_ns, max_ns;
	u64 mean_ns;			 /* over all samples at first, then exponentially weighted */
	u64 variance;			 /* ns^2, likewise; saturates */
	u64 outliers;			 /* ever: beyond 3 standard deviations when they came */
};

void mlos_latency_add(struct mlos_latency *l, u64 duration_ns);

/* Upper edge of the bucket in which the quantile lies; 0 without samples. per_mille 0 .. 1000. */
u64 mlos_latency_quantile(const struct mlos_latency *l, u32 per_mille);

/* Share of samples that took longer than that, in percent, rounded; 50 without samples. */
u32 mlos_latency_above_pct(const struct mlos_latency *l, u64 duration_ns);

/* Same, of those samples that took at least `elapsed_ns`: what an execution under way still has before it. */
u32 mlos_latency_above_pct_given(const struct mlos_latency *l, u64 duration_ns, u64 elapsed_ns);

/* Median of those samples that took at least `elapsed_ns`; `elapsed_ns` when there is none. */
u64 mlos_latency_median_given(const struct mlos_latency *l, u64 elapsed_ns);

u64 mlos_isqrt(u64 x);

#endif /* MLOS_CORE_LATENCY_H */
