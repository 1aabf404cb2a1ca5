// SPDX-License-Identifier: GPL-2.0
/* Races: many threads and processes do everything at once; afterwards nothing is left. The kernel's own checks are the judge. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "client.h"

static int shared_fd;
static uint64_t shared_model;
static atomic_uint_fast64_t ids[32];
static uint64_t until_ns;

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static uint64_t pick(uint32_t *seed)
{
	return atomic_load(&ids[next(seed) % 32]);
}

static void one_step(uint32_t *seed, int file)
{
	struct mlos_tensor_alloc t;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;
	struct mlos_tensor_op op;
	struct mlos_deadline_predict d = { .size = sizeof(d) };
	struct mlos_numa_migrate m = { .size = sizeof(m) };
	volatile uint8_t *p;

	switch (next(seed) % 12) {
	case 0:
	case 1:
		if (tensor(shared_fd, 1 + next(seed) % 40000, next(seed) % 2 ? MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY |
			   MLOS_TENSOR_DEDUP : MLOS_TENSOR_DISCARDABLE, file, &t))
			break;
		atomic_store(&ids[next(seed) % 32], t.tensor_id);
		p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, t.fd, 0);
		if (p != MAP_FAILED) {
			(void)p[next(seed) % 4096];
			munmap((void *)p, 4096);
		}
		close(t.fd);
		break;
	case 2:
		tensor_free(shared_fd, pick(seed));
		break;
	case 3:
		tensor_op(shared_fd, MLOS_IOC_TENSOR_PIN, pick(seed), &op);
		break;
	case 4:
		tensor_op(shared_fd, MLOS_IOC_TENSOR_UNPIN, pick(seed), &op);
		break;
	case 5:
		tensor_op(shared_fd, MLOS_IOC_TENSOR_PREFETCH, pick(seed), &op);
		break;
	case 6:
		trim(shared_fd, next(seed) % 200000);
		break;
	case 7:
	case 8:
		if (start(shared_fd, shared_model, next(seed) % 4, 1, next(seed) % 2 ? now_ns() + next(seed) % (5 * MS) : 0, &s))
			break;
		d.inference_id = s.inference_id;
		ioctl(shared_fd, MLOS_IOC_DEADLINE_PREDICT, &d);
		await(shared_fd, s.inference_id, now_ns() + 2 * MS, &w);
		finish(shared_fd, s.inference_id);
		break;
	case 9:
		await(shared_fd, 0, 1, &w);
		break;
	case 10:
		m.tensor_id = pick(seed);
		ioctl(shared_fd, MLOS_IOC_NUMA_MIGRATE, &m);
		break;
	case 11:
		if (start(shared_fd, shared_model, MLOS_PRIO_HIGH, 1, 0, &s) == 0)
			finish(shared_fd, s.inference_id);
		break;
	}
}

static void *worker(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	int file = pattern_file(40960, 1);

	while (now_ns() < until_ns)
		one_step(&seed, file);
	close(file);
	return NULL;
}

static void run_threads(int n, int seconds)
{
	pthread_t threads[16];
	int i;

	until_ns = now_ns() + seconds * 1000 * MS;
	for (i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void everything_at_once_from_many_threads(void)
{
	uint64_t before = figure("resident_bytes");

	shared_fd = dev();
	shared_model = model(shared_fd, "shared");
	run_threads(8, 4);
	close(shared_fd);
	/* A prefetch may still be on its way. */
	for (int i = 0; i < 100 && figure("resident_bytes") != before; i++)
		usleep(20000);
	EXPECT_EQ(figure("resident_bytes"), before);
	EXPECT_EQ(figure("slots_free"), figure("slots"));
	EXPECT_EQ(figure("queued_normal") + figure("queued_batch") + figure("granted_high"), 0);
}

static void processes_that_are_killed_in_the_middle(void)
{
	uint64_t before = figure("resident_bytes");
	int round, i, status;

	for (round = 0; round < 6; round++) {
		pid_t children[4];

		for (i = 0; i < 4; i++) {
			children[i] = fork();
			if (children[i] == 0) {
				shared_fd = dev();
				shared_model = model(shared_fd, "killed");
				run_threads(3, 10);
				_exit(0);
			}
		}
		usleep(150000 + round * 40000);
		for (i = 0; i < 4; i++)
			kill(children[i], SIGKILL);
		for (i = 0; i < 4; i++)
			waitpid(children[i], &status, 0);
	}
	for (i = 0; i < 100 && figure("resident_bytes") != before; i++)
		usleep(20000);
	EXPECT_EQ(figure("resident_bytes"), before);
	EXPECT_EQ(figure("slots_free"), figure("slots"));
}

static void *closer(void *arg)
{
	int *fd = arg;

	usleep(1000);
	close(*fd);
	return NULL;
}

static void close_while_waiting(void)
{
	int i;

	for (i = 0; i < 50; i++) {
		int fd = dev(), holder = dev();
		struct mlos_inference_start s, h;
		struct mlos_inference_wait w;
		pthread_t t;

		start(holder, model(holder, "h"), MLOS_PRIO_NORMAL, version(holder).slots, 0, &h);
		EXPECT_EQ(start(fd, model(fd, "w"), MLOS_PRIO_NORMAL, 1, 0, &s), 0);
		pthread_create(&t, NULL, closer, &fd);
		/* The descriptor goes, the open file stays until this returns. */
		await(fd, s.inference_id, now_ns() + 5 * MS, &w);
		pthread_join(t, NULL);
		close(holder);
	}
	EXPECT_EQ(figure("slots_free"), figure("slots"));
}

static void fork_and_exec_keep_mappings_right(void)
{
	int fd = dev(), i, status;
	struct mlos_tensor_alloc t;
	volatile uint8_t *p;

	EXPECT_EQ(tensor(fd, 8 * 4096, MLOS_TENSOR_DISCARDABLE, -1, &t), 0);
	p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	p[0] = 3;
	for (i = 0; i < 20; i++) {
		if (fork() == 0) {
			munmap((void *)(p + 4096), 4096); /* splits the mapping */
			if (i % 2)
				execl("/bin/true", "true", NULL);
			_exit(p[0] == 3 ? 0 : 1);
		}
		wait(&status);
		EXPECT_EQ(status, 0);
		EXPECT_EQ(trim(fd, 0).evicted, 0);
	}
	munmap((void *)p, 8 * 4096);
	EXPECT_EQ(trim(fd, 0).evicted, 1);
	close(t.fd);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "everything at once from many threads", everything_at_once_from_many_threads },
	{ "processes that are killed in the middle", processes_that_are_killed_in_the_middle },
	{ "close while waiting", close_while_waiting },
	{ "fork and exec keep mappings right", fork_and_exec_keep_mappings_right },
};
TAP_MAIN(tests)
