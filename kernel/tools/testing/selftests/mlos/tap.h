/* SPDX-License-Identifier: GPL-2.0 */
/* A test program prints TAP: one line a test, and fails when one does. A test returns at its first broken expectation. */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
};

extern bool tap_failed;
extern const char *tap_skipped; /* the reason */

#define EXPECT(condition)                                                                              \
	do {                                                                                           \
		if (!(condition)) {                                                                    \
			printf("# %s:%d: %s (errno %d %s)\n", __FILE__, __LINE__, #condition, errno,   \
			       strerror(errno));                                                       \
			tap_failed = true;                                                             \
			return;                                                                        \
		}                                                                                      \
	} while (0)

#define EXPECT_EQ(a, b)                                                                                \
	do {                                                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);                                    \
		if (a_ != b_) {                                                                        \
			printf("# %s:%d: %s is %lld, %s is %lld (errno %d %s)\n", __FILE__, __LINE__,  \
			       #a, a_, #b, b_, errno, strerror(errno));                                \
			tap_failed = true;                                                             \
			return;                                                                        \
		}                                                                                      \
	} while (0)

/* The call fails with that errno. */
#define EXPECT_ERRNO(call, wanted)                                                                     \
	do {                                                                                           \
		long r_ = (call);                                                                      \
		if (r_ != -1 || errno != (wanted)) {                                                   \
			printf("# %s:%d: %s gives %ld, errno %d; wanted errno %d\n", __FILE__,         \
			       __LINE__, #call, r_, r_ == -1 ? errno : 0, wanted);                     \
			tap_failed = true;                                                             \
			return;                                                                        \
		}                                                                                      \
	} while (0)

#define SKIP(reason)                                                                                   \
	do {                                                                                           \
		tap_skipped = reason;                                                                  \
		return;                                                                                \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

int tap_run(const char *program, const struct tap_test *tests, int n);
#define TAP_MAIN(tests)                                                                                \
	int main(int argc, char **argv)                                                                \
	{                                                                                              \
		(void)argc;                                                                            \
		return tap_run(argv[0], tests, ARRAY_SIZE(tests));                    \
	}

#endif
