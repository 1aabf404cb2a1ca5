/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Races, one pair at a time: threads do opposite things to the same objects for a fixed number of steps. Calls may be refused, with
 * the errors that fit; the kernel's own checks and what is left are the judges.
 */
#ifndef RACE_H
#define RACE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client.h"

#define PAGES 16
#define BYTES (PAGES * 4096ULL)
#define STEPS 300
#define MAX_THREADS 8

/* What the threads of one test share. */
static int fd;
static uint64_t the_model;
static int file;
static struct mlos_tensor_alloc shared[4];
static atomic_uint_fast64_t ids[16];

static inline uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static inline uint64_t pick(uint32_t *seed)
{
	return atomic_load(&ids[next(seed) % 16]);
}

static inline bool begin(void)
{
	static const uint32_t flags[4] = { MLOS_TENSOR_DISCARDABLE, MLOS_TENSOR_BACKED, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY,
					   MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP };
	int i;

	fd = dev();
	the_model = model(fd, "raced");
	file = pattern_file(BYTES, 1);
	for (i = 0; i < 4; i++) {
		if (tensor(fd, BYTES, flags[i], file, &shared[i]))
			return false;
		atomic_store(&ids[i], shared[i].tensor_id);
	}
	return fd >= 0 && the_model;
}

static inline bool end(void)
{
	int i;

	for (i = 0; i < 4; i++)
		close(shared[i].fd);
	close(file);
	close(fd);
	return nothing_is_left();
}

/* Each worker once, at the same time; the argument is a seed. */
static inline void together(void *(*const workers[])(void *), int n)
{
	pthread_t threads[MAX_THREADS];
	int i;

	for (i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, workers[i], (void *)(uintptr_t)(i * 2654435761u + 1));
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static inline uint32_t seed_of(void *arg)
{
	return (uint32_t)(uintptr_t)arg;
}

/* --- workers that several tests let loose -------------------------------------------------------------------------------- */

static inline void touch(volatile uint8_t *p, uint32_t *seed)
{
	(void)p[next(seed) % BYTES];
}

static inline void *maps(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		int which = next(&seed) % 4;
		uint8_t *p = mmap(NULL, BYTES, PROT_READ, next(&seed) % 2 ? MAP_SHARED : MAP_PRIVATE, shared[which].fd, 0);

		if (p == MAP_FAILED)
			continue;
		touch(p, &seed);
		switch (next(&seed) % 4) {
		case 0: /* splits it */
			munmap(p + 4096 * (1 + next(&seed) % (PAGES - 2)), 4096);
			break;
		case 1:
			madvise(p, BYTES, MADV_DONTNEED);
			touch(p, &seed);
			break;
		case 2:
			mprotect(p + 4096, 4096, PROT_NONE);
			break;
		}
		munmap(p, BYTES);
	}
	return NULL;
}

static inline void *takes_pages(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_numa_migrate m = { .size = sizeof(m) };
	struct mlos_tensor_op op;
	int i;

	for (i = 0; i < STEPS; i++) {
		switch (next(&seed) % 6) {
		case 0:
		case 1:
			trim(fd, next(&seed) % (2 * BYTES));
			break;
		case 2:
			tensor_op(fd, MLOS_IOC_TENSOR_PIN, shared[next(&seed) % 4].tensor_id, &op);
			break;
		case 3:
			tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, shared[next(&seed) % 4].tensor_id, &op);
			break;
		case 4:
			m.tensor_id = shared[next(&seed) % 4].tensor_id;
			m.node = next(&seed) % 2;
			ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m);
			break;
		case 5:
			tensor_op(fd, MLOS_IOC_TENSOR_PREFETCH, shared[next(&seed) % 4].tensor_id, &op);
			break;
		}
	}
	return NULL;
}

static inline void *makes_and_frees(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_tensor_alloc t;
	int i;

	for (i = 0; i < STEPS; i++) {
		uint32_t flags = next(&seed) % 2 ? MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP :
						   MLOS_TENSOR_DISCARDABLE | MLOS_ALLOC_GPU;

		if (tensor(fd, BYTES, flags, file, &t))
			continue;
		tensor_free(fd, atomic_exchange(&ids[next(&seed) % 16], t.tensor_id));
		close(t.fd);
	}
	return NULL;
}

static inline void *uses_ids(void *arg)
{
	static const unsigned long ops[] = { MLOS_IOC_TENSOR_PIN, MLOS_IOC_TENSOR_UNPIN, MLOS_IOC_TENSOR_PREFETCH };
	uint32_t seed = seed_of(arg);
	struct mlos_numa_migrate m = { .size = sizeof(m) };
	struct mlos_memory_defrag d = { .size = sizeof(d) };
	struct mlos_tensor_op op;
	int i;

	for (i = 0; i < STEPS; i++) {
		tensor_op(fd, ops[next(&seed) % 3], pick(&seed), &op);
		m.tensor_id = pick(&seed);
		m.node = next(&seed) % 2;
		ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m);
		ioctl(fd, MLOS_IOC_MEMORY_DEFRAG, &d);
		if (next(&seed) % 8 == 0)
			tensor_free(fd, pick(&seed));
	}
	return NULL;
}

static inline void *starts(void *arg)
{
	uint32_t seed = seed_of(arg), slots = version(fd).slots;
	struct mlos_inference_start s;
	int i;

	for (i = 0; i < STEPS; i++) {
		uint64_t deadline = next(&seed) % 3 ? 0 : now_ns() + next(&seed) % (3 * MS);

		if (start(fd, the_model, next(&seed) % 4, 1 + next(&seed) % slots, deadline, &s))
			continue;
		finish(fd, atomic_exchange(&ids[next(&seed) % 16], s.inference_id));
	}
	return NULL;
}

static inline void *waits(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct mlos_inference_wait w;
	int i;

	for (i = 0; i < STEPS; i++) {
		await(fd, next(&seed) % 2 ? pick(&seed) : 0, now_ns() + MS / 4, &w);
		poll(&p, 1, 0);
	}
	return NULL;
}

#endif
