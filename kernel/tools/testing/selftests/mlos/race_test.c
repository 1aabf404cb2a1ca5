// SPDX-License-Identifier: GPL-2.0
/*
 * Races of close, mmap, free, fork, exec and kill, one pair at a time: threads do opposite things to the same objects for a fixed
 * number of steps. Calls may be refused, with the errors that fit; the kernel's own checks and what is left are the judges.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static uint64_t pick(uint32_t *seed)
{
	return atomic_load(&ids[next(seed) % 16]);
}

static bool begin(void)
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

static bool end(void)
{
	int i;

	for (i = 0; i < 4; i++)
		close(shared[i].fd);
	close(file);
	close(fd);
	return nothing_is_left();
}

/* Each worker once, at the same time; the argument is a seed. */
static void together(void *(*const workers[])(void *), int n)
{
	pthread_t threads[MAX_THREADS];
	int i;

	for (i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, workers[i], (void *)(uintptr_t)(i * 2654435761u + 1));
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static uint32_t seed_of(void *arg)
{
	return (uint32_t)(uintptr_t)arg;
}

/* --- mappings against everything that takes pages away --------------------------------------------------------------- */

static void touch(volatile uint8_t *p, uint32_t *seed)
{
	(void)p[next(seed) % BYTES];
}

static void *maps(void *arg)
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

static void *takes_pages(void *arg)
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

/* The kernel's own shortage of memory. */
static void *shrinks(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < STEPS / 10; i++)
		write_file("/proc/sys/vm/drop_caches", "2");
	return NULL;
}

static void *limits(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS / 4; i++) {
		set_parameter("memory_limit_mb", next(&seed) % 2 ? "1" : "0");
		sched_yield();
	}
	set_parameter("memory_limit_mb", "0");
	return NULL;
}

static void mappings_against_eviction(void)
{
	static void *(*const workers[])(void *) = { maps, maps, maps, takes_pages, takes_pages, shrinks, limits };

	EXPECT(begin());
	together(workers, 7);
	EXPECT(end());
}

/* Content is right whatever is evicted, read again, moved and shared meanwhile. */
static atomic_int wrong_bytes;

static void *reads_content(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i, page;

	for (i = 0; i < STEPS / 2; i++) {
		uint8_t *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, shared[1 + next(&seed) % 3].fd, 0);

		if (p == MAP_FAILED)
			continue;
		for (page = 0; page < PAGES; page++) {
			uint64_t at = page * 4096ULL + next(&seed) % 4096;

			wrong_bytes += p[at] != pattern(at, 1);
		}
		munmap(p, BYTES);
	}
	return NULL;
}

static void content_is_right_while_pages_come_and_go(void)
{
	static void *(*const workers[])(void *) = { reads_content, reads_content, takes_pages, takes_pages, shrinks };

	wrong_bytes = 0;
	EXPECT(begin());
	together(workers, 5);
	EXPECT_EQ(wrong_bytes, 0);
	EXPECT(end());
}

/* --- free against every use of an id ---------------------------------------------------------------------------------- */

static void *makes_and_frees(void *arg)
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

static void *uses_ids(void *arg)
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

static void free_against_use(void)
{
	static void *(*const workers[])(void *) = { makes_and_frees, makes_and_frees, makes_and_frees, uses_ids, uses_ids, uses_ids };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

/* --- plans against what they refer to --------------------------------------------------------------------------------- */

static void *plans(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_plan_entry e[3];
	struct mlos_prefetch_plan p = { .size = sizeof(p), .model_id = the_model, .entries = (uintptr_t)e, .count = 3,
					.element_size = sizeof(e[0]) };
	struct mlos_prefetch_plan none = { .size = sizeof(none), .model_id = the_model };
	struct mlos_prefetch_stats s = { .size = sizeof(s), .model_id = the_model };
	int i, n;

	for (i = 0; i < STEPS; i++) {
		memset(e, 0, sizeof(e));
		for (n = 0; n < 3; n++) {
			e[n].tensor_id = pick(&seed);
			e[n].flags = next(&seed) % 2;
			e[n].offset_ns = next(&seed) % MS;
		}
		p.flags = MLOS_PLAN_ENABLE_AUTO | MLOS_PLAN_ADAPTIVE;
		ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p);
		ioctl(fd, MLOS_IOC_PREFETCH_STATS, &s);
		if (next(&seed) % 4 == 0)
			ioctl(fd, MLOS_IOC_PREFETCH_PLAN_CLEAR, &none);
	}
	return NULL;
}

static void *follows_plans(void *arg)
{
	struct mlos_inference_start s;
	int i;

	(void)arg;
	for (i = 0; i < STEPS; i++) {
		if (start(fd, the_model, MLOS_PRIO_NORMAL, 1, 0, &s))
			continue;
		finish(fd, s.inference_id);
	}
	return NULL;
}

/* Tensors whose file goes at once while their mapping lives, and goes too. */
static void *short_lived(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_tensor_alloc t;
	uint8_t *p;
	int i;

	for (i = 0; i < STEPS; i++) {
		if (tensor(fd, BYTES, MLOS_TENSOR_BACKED, file, &t))
			continue;
		tensor_free(fd, atomic_exchange(&ids[next(&seed) % 16], t.tensor_id));
		p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, t.fd, 0);
		close(t.fd);
		if (p == MAP_FAILED)
			continue;
		touch(p, &seed);
		munmap(p, BYTES);
	}
	return NULL;
}

static void plans_against_their_tensors(void)
{
	static void *(*const workers[])(void *) = { plans, plans, follows_plans, follows_plans, short_lived, short_lived, uses_ids };

	EXPECT(begin());
	together(workers, 7);
	EXPECT(end());
}

/* --- descriptors of one tensor that come and go ------------------------------------------------------------------------- */

/* Now and then there is none left, and the next one begins anew. */
static void *shares(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_tensor_share s;
	uint8_t *p;
	int i;

	for (i = 0; i < STEPS; i++) {
		if (tensor_share(fd, pick(&seed), next(&seed) % 2 ? MLOS_SHARE_READONLY : 0, &s))
			continue;
		p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, s.fd, 0);
		close(s.fd);
		if (p == MAP_FAILED)
			continue;
		touch(p, &seed);
		munmap(p, BYTES);
	}
	return NULL;
}

static void descriptors_of_one_tensor_come_and_go(void)
{
	static void *(*const workers[])(void *) = { shares, shares, shares, makes_and_frees, plans, follows_plans };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

/* --- models that go while they are used ------------------------------------------------------------------------------- */

static atomic_uint_fast64_t models[4];

static void *registers(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		struct mlos_model_unregister u = { .size = sizeof(u) };
		atomic_uint_fast64_t *slot = &models[next(&seed) % 4];

		u.model_id = atomic_exchange(slot, model(fd, "short"));
		ioctl(fd, MLOS_IOC_MODEL_UNREGISTER, &u);
	}
	return NULL;
}

static void *uses_models(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		uint64_t m = atomic_load(&models[next(&seed) % 4]);
		struct mlos_model_predict p = { .size = sizeof(p), .model_id = m, .priority = 2, .threads = 1 };
		struct mlos_model_latency_ext l = { .size = sizeof(l), .model_id = m };
		struct mlos_deadline_predict d = { .size = sizeof(d) };
		struct mlos_plan_entry e = { .tensor_id = shared[1].tensor_id };
		struct mlos_prefetch_plan plan = { .size = sizeof(plan), .flags = MLOS_PLAN_ENABLE_AUTO, .model_id = m,
						   .entries = (uintptr_t)&e, .count = 1, .element_size = sizeof(e) };
		struct mlos_inference_start s;

		ioctl(fd, MLOS_IOC_MODEL_PREDICT, &p);
		ioctl(fd, MLOS_IOC_MODEL_LATENCY_EXT, &l);
		ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &plan);
		if (start(fd, m, next(&seed) % 4, 1, 0, &s))
			continue;
		d.inference_id = s.inference_id;
		ioctl(fd, MLOS_IOC_DEADLINE_PREDICT, &d);
		finish(fd, s.inference_id);
	}
	return NULL;
}

static void unregister_against_use(void)
{
	static void *(*const workers[])(void *) = { registers, registers, uses_models, uses_models, uses_models };

	EXPECT(begin());
	together(workers, 5);
	EXPECT(end());
}

/* --- one inference, many hands ---------------------------------------------------------------------------------------- */

static void *starts(void *arg)
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

static void *batches(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i, n;

	for (i = 0; i < STEPS; i++) {
		struct mlos_batch_entry e[8];
		struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)e, .count = 8, .element_size = sizeof(e[0]) };

		memset(e, 0, sizeof(e));
		for (n = 0; n < 8; n++) {
			e[n].op = next(&seed) % 4;
			e[n].id = e[n].op == MLOS_BATCH_DONE ? pick(&seed) : the_model;
			if (e[n].op == MLOS_BATCH_START) {
				e[n].priority = next(&seed) % 4;
				e[n].threads = 1;
				e[n].flags = next(&seed) % 2 ? MLOS_INFERENCE_NOWAIT : 0;
			} else if (e[n].op == MLOS_BATCH_RECORD) {
				e[n].end_ns = now_ns() - 1;
				e[n].start_ns = e[n].end_ns - MS;
			}
		}
		if (ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b))
			continue;
		for (n = 0; n < 8; n++)
			if (e[n].op == MLOS_BATCH_START && e[n].result == 0)
				finish(fd, e[n].id);
	}
	return NULL;
}

static void *waits(void *arg)
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

static void *ends(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < 2 * STEPS; i++)
		finish(fd, pick(&seed));
	return NULL;
}

static void start_wait_and_done_against_each_other(void)
{
	static void *(*const workers[])(void *) = { starts, starts, waits, waits, ends, batches };

	EXPECT(begin());
	/* Grants are taken back meanwhile too. */
	set_parameter("slot_timeout_ms", "1");
	set_parameter("aging_ms", "1");
	together(workers, 6);
	set_parameter("slot_timeout_ms", "60000");
	set_parameter("aging_ms", "1000");
	EXPECT(end());
}

/* --- boosts of threads that end --------------------------------------------------------------------------------------- */

static atomic_int tids[4];

static void *lives_shortly(void *arg)
{
	atomic_int *tid = arg;

	atomic_store(tid, gettid());
	sched_yield();
	return NULL;
}

static void *spawns(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, lives_shortly, &tids[next(&seed) % 4]))
			continue;
		pthread_join(t, NULL);
	}
	return NULL;
}

static void *boosts(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i, n;

	for (i = 0; i < STEPS; i++) {
		int32_t list[2];
		struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST, .model_id = the_model,
						  .priority = next(&seed) % 2, .threads = 1 };

		if (next(&seed) % 3 == 0) {
			s.flags |= MLOS_INFERENCE_GROUP;
		} else {
			for (n = 0; n < 2; n++)
				list[n] = atomic_load(&tids[next(&seed) % 4]);
			s.tids = (uintptr_t)list;
			s.n_tids = 2;
		}
		if (ioctl(fd, MLOS_IOC_INFERENCE_START, &s))
			continue;
		finish(fd, s.inference_id);
	}
	return NULL;
}

static void *throttled(void *arg)
{
	uint32_t seed = seed_of(arg);
	struct mlos_inference_start s;
	int i;

	for (i = 0; i < STEPS; i++) {
		if (start(fd, the_model, MLOS_PRIO_BATCH, 1, 0, &s))
			continue;
		if (next(&seed) % 2)
			sched_yield();
		finish(fd, s.inference_id);
	}
	return NULL;
}

static void boosts_against_threads_that_end(void)
{
	static void *(*const workers[])(void *) = { spawns, spawns, boosts, boosts, throttled };

	EXPECT(begin());
	together(workers, 5);
	EXPECT(end());
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

/* --- processes ---------------------------------------------------------------------------------------------------------- */

static void *forks(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i, status;

	for (i = 0; i < STEPS / 10; i++) {
		pid_t child = fork();

		if (child == 0) {
			uint8_t *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, shared[1].fd, 0);

			if (next(&seed) % 2)
				execl("/bin/true", "true", NULL);
			_exit(p == MAP_FAILED || p[1] != pattern(1, 1));
		}
		if (child > 0 && next(&seed) % 3 == 0)
			kill(child, SIGKILL);
		if (child > 0)
			waitpid(child, &status, 0);
	}
	return NULL;
}

static void forks_and_execs_against_mappings(void)
{
	static void *(*const workers[])(void *) = { forks, forks, maps, maps, takes_pages, starts };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

/* An exec ends the other threads wherever they are, in the module too. */
static void exec_while_other_threads_are_in_the_module(void)
{
	static void *(*const workers[])(void *) = { maps, takes_pages, starts, waits, uses_ids };
	int round, i, status;

	for (round = 0; round < 8; round++) {
		if (fork() == 0) {
			pthread_t t;

			if (!begin())
				_exit(1);
			for (i = 0; i < 5; i++)
				pthread_create(&t, NULL, workers[i], (void *)(uintptr_t)(round * 8 + i + 1));
			for (i = 0; i < round * 2; i++)
				sched_yield();
			execl("/bin/true", "true", NULL);
			_exit(2);
		}
		wait(&status);
		EXPECT_EQ(status, 0);
	}
	EXPECT(nothing_is_left());
}

/* --- descriptors that travel ------------------------------------------------------------------------------------------ */

static bool send_fd(int socket, int what)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	return sendmsg(socket, &m, 0) == 1;
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int got = -1;

	if (recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return got;
}

/* The maker is killed; who got the descriptor keeps the content, and nobody else can steer the tensor. */
static void a_tensor_outlives_the_process_that_made_it(void)
{
	int pair[2], got, status, own = dev();
	struct mlos_tensor_op op;
	uint64_t id;
	uint8_t *p;
	pid_t child;

	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	child = fork();
	if (child == 0) {
		struct mlos_tensor_alloc t;
		int fd_ = dev();

		tensor(fd_, BYTES, 0, -1, &t);
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
		p[5] = 77;
		if (!send_fd(pair[1], t.fd) || write(pair[1], &t.tensor_id, sizeof(t.tensor_id)) < 0)
			_exit(1);
		pause();
	}
	got = receive_fd(pair[0]);
	EXPECT(got >= 0);
	EXPECT_EQ(read(pair[0], &id, sizeof(id)), sizeof(id));
	EXPECT_ERRNO(tensor_op(own, MLOS_IOC_TENSOR_PIN, id, &op), ENOENT);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, got, 0);
	EXPECT(p != MAP_FAILED);
	EXPECT_EQ(p[5], 77);
	EXPECT_EQ(trim(own, 0).evicted, 0);
	munmap(p, BYTES);
	close(got);
	close(pair[0]);
	close(pair[1]);
	close(own);
	EXPECT(nothing_is_left());
}

/* Descriptors in flight in a socket that nobody reads hold the tensor until the socket goes. */
static void descriptors_in_a_closed_socket_go(void)
{
	struct mlos_tensor_alloc t;
	int pair[2], own = dev();

	EXPECT_EQ(tensor(own, BYTES, MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	EXPECT(send_fd(pair[1], t.fd));
	EXPECT(send_fd(pair[1], own));
	close(t.fd);
	close(own);
	EXPECT_EQ(figure("resident_bytes"), BYTES);
	close(pair[0]);
	close(pair[1]);
	EXPECT(nothing_is_left());
}

/* --- close against operations ----------------------------------------------------------------------------------------- */

static void *closes(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		int own = dev();
		struct mlos_inference_start s;
		uint64_t m = model(own, "closed");

		start(own, m, MLOS_PRIO_HIGH, 1, 0, &s);
		start(own, m, MLOS_PRIO_NORMAL, 1, 0, &s);
		if (next(&seed) % 2)
			dup2(own, fd); /* the operations of the others go over to this one; the last of fd is closed */
		close(own);
	}
	return NULL;
}

static void close_against_operations(void)
{
	static void *(*const workers[])(void *) = { closes, closes, starts, waits, uses_ids, takes_pages };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

/* --- those who look ---------------------------------------------------------------------------------------------------- */

static void *looks(void *arg)
{
	static const char *const files[] = { "/sys/kernel/debug/mlos/tensors", "/sys/kernel/debug/mlos/inferences",
					     "/sys/class/misc/mlos-ml/resident_bytes", "/sys/class/misc/mlos-ml/slots_free" };
	char text[4096], path[64];
	int i, file_;

	(void)arg;
	for (i = 0; i < STEPS; i++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", shared[i % 4].fd);
		file_ = open(i % 5 == 4 ? path : files[i % 5], O_RDONLY);
		while (file_ >= 0 && read(file_, text, sizeof(text)) > 0)
			;
		if (file_ >= 0)
			close(file_);
	}
	return NULL;
}

static void looking_against_everything(void)
{
	static void *(*const workers[])(void *) = { looks, looks, makes_and_frees, starts, maps, takes_pages };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

static const struct tap_test tests[] = {
	{ "mappings against eviction, migration, limits and shortage", mappings_against_eviction },
	{ "content is right while pages come and go", content_is_right_while_pages_come_and_go },
	{ "free against use", free_against_use },
	{ "descriptors of one tensor come and go", descriptors_of_one_tensor_come_and_go },
	{ "plans against their tensors", plans_against_their_tensors },
	{ "unregister against use", unregister_against_use },
	{ "start, wait and done against each other", start_wait_and_done_against_each_other },
	{ "boosts against threads that end", boosts_against_threads_that_end },
	{ "forks and execs against mappings", forks_and_execs_against_mappings },
	{ "exec while other threads are in the module", exec_while_other_threads_are_in_the_module },
	{ "a tensor outlives the process that made it", a_tensor_outlives_the_process_that_made_it },
	{ "descriptors in a closed socket go", descriptors_in_a_closed_socket_go },
	{ "close against operations", close_against_operations },
	{ "looking against everything", looking_against_everything },
};
TAP_MAIN(tests)
