// SPDX-License-Identifier: GPL-2.0
#include "latency.h"

/* Counts are halved at this total: half the weight lies in the last 2048 samples. */
#define FADE_AT 4096
/* Weight of a new sample in the moments once there are more than that many. */
#define MOMENT_WINDOW 256

static u32 bucket_of(u64 ns)
{
	int octave = fls64(ns) - 1;
	u32 index;

	if (octave < MLOS_LATENCY_FIRST_OCTAVE)
		return 0;
	index = (octave - MLOS_LATENCY_FIRST_OCTAVE) * 8 + ((ns >> (octave - 3)) & 7);
	return min_t(u32, index, MLOS_LATENCY_BUCKETS - 1);
}

static u64 upper_edge(u32 bucket)
{
	u64 octave = MLOS_LATENCY_FIRST_OCTAVE + bucket / 8;

	return (9 + (u64)(bucket % 8)) << (octave - 3);
}

static void fade(struct mlos_latency *l)
{
	u32 i;

	l->total = 0;
	for (i = 0; i < MLOS_LATENCY_BUCKETS; i++) {
		l->count[i] /= 2;
		l->total += l->count[i];
	}
}

u64 mlos_isqrt(u64 x)
{
	u64 root = 0, bit = 1ULL << 62;

	while (bit > x)
		bit >>= 2;
	for (; bit; bit >>= 2) {
		if (x >= root + bit) {
			x -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return root;
}

static u64 square(u64 x)
{
	u64 out;

	return check_mul_overflow(x, x, &out) ? U64_MAX : out;
}

/* Incremental mean and variance: weight 1/n at first, 1/MOMENT_WINDOW later. */
static void add_moments(struct mlos_latency *l, u64 ns)
{
	u64 n = min_t(u64, l->samples, MOMENT_WINDOW);
	u64 distance = ns > l->mean_ns ? ns - l->mean_ns : l->mean_ns - ns;
	u64 step = distance / n, gained, kept;

	if (l->samples > 16 && distance > 3 * mlos_isqrt(l->variance))
		l->outliers++;
	l->mean_ns = ns > l->mean_ns ? l->mean_ns + step : l->mean_ns - step;
	gained = square(distance) / n;
	kept = l->variance - l->variance / n;
	if (check_add_overflow(kept, gained - gained / n, &l->variance))
		l->variance = U64_MAX;
}

void mlos_latency_add(struct mlos_latency *l, u64 ns)
{
	ns = min_t(u64, ns, 1ULL << 62);
	if (l->total >= FADE_AT)
		fade(l);
	l->count[bucket_of(ns)]++;
	l->total++;
	l->min_ns = l->samples ? min(l->min_ns, ns) : ns;
	l->max_ns = max(l->max_ns, ns);
	l->samples++;
	add_moments(l, ns);
}

/* The bucket in which the quantile of what lies from `first` on lies. */
static u32 quantile_bucket(const struct mlos_latency *l, u32 first, u32 total, u32 per_mille)
{
	u64 wanted = max_t(u64, 1, div64_u64((u64)total * per_mille + 999, 1000));
	u64 seen = 0;
	u32 i;

	for (i = first; i < MLOS_LATENCY_BUCKETS; i++) {
		seen += l->count[i];
		if (seen >= wanted)
			return i;
	}
	return MLOS_LATENCY_BUCKETS - 1;
}

u64 mlos_latency_quantile(const struct mlos_latency *l, u32 per_mille)
{
	if (!l->total)
		return 0;
	return upper_edge(quantile_bucket(l, 0, l->total, min_t(u32, per_mille, 1000)));
}

static u32 total_from(const struct mlos_latency *l, u32 first)
{
	u32 i, total = 0;

	for (i = first; i < MLOS_LATENCY_BUCKETS; i++)
		total += l->count[i];
	return total;
}

u32 mlos_latency_above_pct_given(const struct mlos_latency *l, u64 ns, u64 elapsed_ns)
{
	u32 first = bucket_of(elapsed_ns), limit = bucket_of(ns);
	u32 total = total_from(l, first), above;

	if (ns <= elapsed_ns)
		return 100;
	if (!total)
		return l->total ? 100 : 50;
	above = limit + 1 < MLOS_LATENCY_BUCKETS ? total_from(l, limit + 1) : 0;
	/* Half of what shares the limit's bucket. */
	above += (limit >= first ? l->count[limit] : 0) / 2;
	return (u32)div64_u64((u64)min(above, total) * 100 + total / 2, total);
}

u32 mlos_latency_above_pct(const struct mlos_latency *l, u64 ns)
{
	return mlos_latency_above_pct_given(l, ns, 0);
}

u64 mlos_latency_median_given(const struct mlos_latency *l, u64 elapsed_ns)
{
	u32 first = bucket_of(elapsed_ns);
	u32 total = total_from(l, first);

	if (!total)
		return elapsed_ns;
	return max(upper_edge(quantile_bucket(l, first, total, 500)), elapsed_ns);
}
