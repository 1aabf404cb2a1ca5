// SPDX-License-Identifier: GPL-2.0
/* Races of mmap, free, eviction, unregistering, inferences and boosts with each other. */
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "race.h"

/* --- mappings against everything that takes pages away --------------------------------------------------------------- */

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
	{ "looking against everything", looking_against_everything },
};
TAP_MAIN(tests)
