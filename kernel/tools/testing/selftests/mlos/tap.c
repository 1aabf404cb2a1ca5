// SPDX-License-Identifier: GPL-2.0
#include "tap.h"

bool tap_failed;
const char *tap_skipped;

int tap_run(const char *program, const struct tap_test *tests, int n)
{
	int i, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# %s\n1..%d\n", program, n);
	for (i = 0; i < n; i++) {
		tap_failed = false;
		tap_skipped = NULL;
		errno = 0;
		tests[i].fn();
		printf("%s %d - %s%s%s\n", tap_failed ? "not ok" : "ok", i + 1, tests[i].name,
		       tap_skipped ? " # SKIP " : "", tap_skipped ?: "");
		failed += tap_failed;
	}
	return failed != 0;
}
