/* SPDX-License-Identifier: GPL-2.0 */
/* Short forms of the operations, for tests. Each returns what ioctl() returns. */
#ifndef CLIENT_H
#define CLIENT_H

#include <fcntl.h>
#include <linux/mlos.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define MS 1000000ULL

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static inline int dev(void)
{
	return open(MLOS_DEVICE, O_RDWR | O_CLOEXEC);
}

static inline uint64_t model(int fd, const char *name)
{
	struct mlos_model_register a = { .size = sizeof(a) };

	strncpy(a.name, name, sizeof(a.name) - 1);
	return ioctl(fd, MLOS_IOC_MODEL_REGISTER, &a) ? 0 : a.model_id;
}

static inline struct mlos_version version(int fd)
{
	struct mlos_version v = { .size = sizeof(v) };

	ioctl(fd, MLOS_IOC_VERSION, &v);
	return v;
}

static inline int start(int fd, uint64_t model_id, uint32_t priority, uint32_t threads, uint64_t deadline_ns,
			struct mlos_inference_start *a)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->model_id = model_id;
	a->priority = priority;
	a->threads = threads;
	a->deadline_ns = deadline_ns;
	return ioctl(fd, MLOS_IOC_INFERENCE_START, a);
}

static inline int finish(int fd, uint64_t id)
{
	struct mlos_inference_done a = { .size = sizeof(a), .inference_id = id };

	return ioctl(fd, MLOS_IOC_INFERENCE_DONE, &a);
}

static inline int await(int fd, uint64_t id, uint64_t timeout_ns, struct mlos_inference_wait *a)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->inference_id = id;
	a->timeout_ns = timeout_ns;
	return ioctl(fd, MLOS_IOC_INFERENCE_WAIT, a);
}

static inline int tensor(int fd, uint64_t bytes, uint32_t flags, int backing, struct mlos_tensor_alloc *a)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->bytes = bytes;
	a->flags = flags;
	a->numa_node = MLOS_NUMA_NODE_ANY;
	a->backing_fd = flags & MLOS_TENSOR_BACKED ? backing : 0;
	return ioctl(fd, MLOS_IOC_TENSOR_ALLOC, a);
}

static inline int tensor_op(int fd, unsigned long op, uint64_t id, struct mlos_tensor_op *a)
{
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->tensor_id = id;
	return ioctl(fd, op, a);
}

static inline struct mlos_tensor_op state_of(int fd, uint64_t id)
{
	struct mlos_tensor_op a;

	/* A prefetch of nothing new tells the state; wait, so that it is not about to change. */
	memset(&a, 0, sizeof(a));
	a.size = sizeof(a);
	a.tensor_id = id;
	a.flags = MLOS_PREFETCH_WAIT;
	ioctl(fd, MLOS_IOC_TENSOR_PREFETCH, &a);
	return a;
}

static inline int tensor_share(int fd, uint64_t id, uint32_t flags, struct mlos_tensor_share *a)
{
	*a = (struct mlos_tensor_share){ .size = sizeof(*a), .flags = flags, .tensor_id = id };
	return ioctl(fd, MLOS_IOC_TENSOR_SHARE, a);
}

static inline int tensor_free(int fd, uint64_t id)
{
	struct mlos_tensor_free a = { .size = sizeof(a), .tensor_id = id };

	return ioctl(fd, MLOS_IOC_TENSOR_FREE, &a);
}

static inline struct mlos_memory_trim trim(int fd, uint64_t target)
{
	struct mlos_memory_trim a = { .size = sizeof(a), .target_bytes = target };

	ioctl(fd, MLOS_IOC_MEMORY_TRIM, &a);
	return a;
}

/* One figure of /sys/class/misc/mlos-ml. */
static inline uint64_t figure(const char *name)
{
	char path[128], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/class/misc/mlos-ml/%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return ~0ULL;
	close(fd);
	return strtoull(text, NULL, 10);
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# %s: %s\n", path, strerror(errno));
	close(fd);
}

static inline void set_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/mlos_ml/parameters/%s", name);
	write_file(path, value);
}

/* Without the flag that children do not inherit it. */
static inline int policy_of(pid_t thread)
{
	return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

/* A prefetch may still be on its way. */
static inline bool nothing_is_left(void)
{
	int i;

	for (i = 0; i < 500 && figure("resident_bytes"); i++)
		usleep(10000);
	return figure("resident_bytes") == 0 && figure("slots_free") == figure("slots") && figure("queued_realtime") == 0 &&
	       figure("queued_high") == 0 && figure("queued_normal") == 0 && figure("queued_batch") == 0;
}

/* A file of `bytes` whose byte i is a mix of i and seed. */
static inline uint8_t pattern(uint64_t i, unsigned int seed)
{
	return (uint8_t)((i * 2654435761u >> 7) + seed + i / 4096);
}

static inline int pattern_file(uint64_t bytes, unsigned int seed)
{
	char path[] = "/tmp/mlos-test-XXXXXX";
	uint8_t *data = malloc(bytes);
	int fd = mkstemp(path);
	uint64_t i;

	for (i = 0; i < bytes; i++)
		data[i] = pattern(i, seed);
	if (write(fd, data, bytes) != (ssize_t)bytes)
		abort();
	free(data);
	unlink(path);
	return fd;
}

static inline bool matches(const uint8_t *data, uint64_t bytes, unsigned int seed)
{
	uint64_t i;

	for (i = 0; i < bytes; i++)
		if (data[i] != pattern(i, seed))
			return false;
	return true;
}

#endif
