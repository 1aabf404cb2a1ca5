/* SPDX-License-Identifier: GPL-2.0 */
/* Makes the n-th allocation or copy of user memory of this thread fail, on kernels that were built for it. */
#ifndef FAULT_H
#define FAULT_H

#include "client.h"

static int nth_fd = -1;

/* Nothing to the kernel's log. */
static inline void be_quiet(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose", kinds[i]);
		write_file(path, "0");
	}
}

/* False where the kernel was built without it. */
static inline bool can_inject(void)
{
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || access("/sys/kernel/debug/failslab", F_OK))
		return false;
	be_quiet();
	/* By default only allocations that may not sleep fail. */
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	return true;
}

static inline void fail_at(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(nth_fd, text, length, 0) != length)
		abort();
}

/*
 * How many more allocations would not have failed; none fails afterwards. -1: the answer could not be written, since reading copies to
 * user memory and so may hit the fault itself.
 */
static inline long faults_left(void)
{
	char text[16] = "";
	long left = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : -1;

	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return left;
}

static inline bool fault_was_hit(void)
{
	return faults_left() == 0;
}

#define NO_INJECTION "the kernel was built without fault injection"

#endif
