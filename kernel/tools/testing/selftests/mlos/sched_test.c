// SPDX-License-Identifier: GPL-2.0
/* Inferences: order, deadlines, aging, boosts that end, predictions, plans. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "client.h"

/* Takes every slot but `leave`; ids in `held`. */
static int hold_slots(int fd, uint64_t m, uint32_t leave, uint64_t *held)
{
	struct mlos_inference_start s;
	uint32_t slots = version(fd).slots;

	*held = 0;
	if (slots == leave)
		return 0;
	if (start(fd, m, MLOS_PRIO_NORMAL, slots - leave, 0, &s) || s.state != MLOS_INFERENCE_GRANTED)
		return -1;
	*held = s.inference_id;
	return 0;
}

static void idle_slots_are_granted_at_once(void)
{
	int fd = dev();
	struct mlos_inference_start s;
	struct mlos_inference_wait w;
	struct mlos_inference_done d = { .size = sizeof(d) };

	EXPECT_EQ(start(fd, model(fd, "m"), MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_EQ(s.state, MLOS_INFERENCE_GRANTED);
	EXPECT_EQ(await(fd, s.inference_id, 0, &w), 0);
	EXPECT_EQ(w.granted_id, s.inference_id);
	usleep(2000);
	d.inference_id = s.inference_id;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_DONE, &d), 0);
	EXPECT(d.duration_ns >= 2 * MS);
	EXPECT_EQ(d.deadline_met, 1);
	EXPECT_ERRNO(finish(fd, s.inference_id), ENOENT);
	close(fd);
}

static void order_is_by_class_then_deadline_then_arrival(void)
{
	static const struct {
		uint32_t priority;
		int deadline_s;
	} in[] = { { 3, 0 }, { 2, 0 }, { 2, 90 }, { 2, 30 }, { 1, 0 }, { 0, 0 }, { 2, 0 }, { 1, 99 } };
	static const int expected[] = { 5, 7, 4, 3, 2, 1, 6, 0 };
	int fd = dev(), i;
	uint64_t m = model(fd, "m"), held, ids[8];
	uint32_t slots = version(fd).slots;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(start(fd, m, in[i].priority, slots,
				in[i].deadline_s ? now_ns() + in[i].deadline_s * 1000 * MS : 0, &s), 0);
		EXPECT_EQ(s.state, MLOS_INFERENCE_QUEUED);
		ids[i] = s.inference_id;
	}
	EXPECT_ERRNO(await(fd, ids[0], 1, &w), ETIME);
	EXPECT_EQ(finish(fd, held), 0);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(await(fd, 0, now_ns() + 2000 * MS, &w), 0);
		EXPECT_EQ(w.granted_id, ids[expected[i]]);
		EXPECT_EQ(finish(fd, w.granted_id), 0);
	}
	close(fd);
}

static void the_lowest_class_starts_in_the_end(void)
{
	int fd = dev(), i, at = -1;
	uint64_t m = model(fd, "m"), held, batch;
	uint32_t slots = version(fd).slots;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;

	set_parameter("aging_ms", "20");
	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_BATCH, slots, 0, &s), 0);
	batch = s.inference_id;
	for (i = 0; i < 40 && at < 0; i++) {
		EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, slots, 0, &s), 0);
		usleep(5000);
		EXPECT_EQ(finish(fd, held), 0);
		EXPECT_EQ(await(fd, 0, now_ns() + 2000 * MS, &w), 0);
		if (w.granted_id == batch)
			at = i;
		held = w.granted_id;
	}
	set_parameter("aging_ms", "1000");
	EXPECT(at > 0);
	close(fd);
}

static void what_is_late_in_the_queue_expires(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, now_ns() + 30 * MS, &s), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(await(fd, s.inference_id, now_ns() + 3000 * MS, &w), 0);
	EXPECT_EQ(w.state, MLOS_INFERENCE_EXPIRED);
	EXPECT_ERRNO(finish(fd, s.inference_id), ENOENT);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, now_ns() + 30 * MS, &s), 0);
	EXPECT_EQ(poll(&p, 1, 3000), 1);
	EXPECT_EQ(await(fd, 0, 0, &w), 0);
	EXPECT_EQ(w.state, MLOS_INFERENCE_EXPIRED);
	EXPECT_EQ(w.granted_id, s.inference_id);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(finish(fd, held), 0);
	close(fd);
}

static void poll_tells_of_grants(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(finish(fd, held), 0);
	EXPECT_EQ(poll(&p, 1, 2000), 1);
	EXPECT_EQ(await(fd, 0, 0, &w), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

/* Bug: what was late behind others was told so only when it came to stand first, and was looked for without pause until then. */
static void waiting_for_any_tells_in_order_of_grants(void)
{
	int fd = dev(), i;
	uint64_t m = model(fd, "m"), held, ids[3];
	struct mlos_inference_start s;
	struct mlos_inference_wait w;

	EXPECT(version(fd).slots >= 2);
	EXPECT_ERRNO(await(fd, 0, now_ns() + 1000 * MS, &w), ENOENT);
	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(start(fd, m, i == 1 ? MLOS_PRIO_HIGH : MLOS_PRIO_NORMAL, 1, i == 2 ? now_ns() + 50 * MS : 0, &s), 0);
		ids[i] = s.inference_id;
	}
	EXPECT_ERRNO(await(fd, 0, now_ns() + MS, &w), ETIME);
	/* The one with a deadline comes too late. */
	EXPECT_EQ(await(fd, 0, now_ns() + 5000 * MS, &w), 0);
	EXPECT_EQ(w.granted_id, ids[2]);
	EXPECT_EQ(w.state, MLOS_INFERENCE_EXPIRED);
	EXPECT_EQ(finish(fd, held), 0);
	EXPECT_EQ(await(fd, 0, now_ns() + 5000 * MS, &w), 0);
	EXPECT_EQ(w.granted_id, ids[1]);
	EXPECT_EQ(await(fd, 0, now_ns() + 5000 * MS, &w), 0);
	EXPECT_EQ(w.granted_id, ids[0]);
	EXPECT_EQ(w.state, MLOS_INFERENCE_GRANTED);
	/* What runs is told already. */
	EXPECT_ERRNO(await(fd, 0, now_ns() + 1000 * MS, &w), ENOENT);
	EXPECT_EQ(await(fd, ids[0], now_ns() + 1000 * MS, &w), 0);
	EXPECT_EQ(finish(fd, ids[0]), 0);
	EXPECT_EQ(finish(fd, ids[1]), 0);
	close(fd);
}

static void nowait_does_not_queue(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held;
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_NOWAIT, .model_id = m, .priority = 2,
					  .threads = 1 };

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), EAGAIN);
	EXPECT_EQ(finish(fd, held), 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

static void a_signal_ends_waiting(void)
{
	int fd = dev(), status;
	uint64_t m = model(fd, "m"), held;
	pid_t child;

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	child = fork();
	if (child == 0) {
		struct mlos_inference_start s;
		struct mlos_inference_wait w;
		int own = dev();

		start(own, model(own, "m"), MLOS_PRIO_NORMAL, 1, 0, &s);
		await(own, s.inference_id, 0, &w);
		_exit(0);
	}
	usleep(50000);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	EXPECT(WIFSIGNALED(status));
	EXPECT_EQ(finish(fd, held), 0);
	close(fd);
}

static int boosted_start(int fd, uint64_t m, struct mlos_inference_start *s)
{
	*s = (struct mlos_inference_start){ .size = sizeof(*s), .flags = MLOS_INFERENCE_BOOST, .model_id = m,
					    .priority = MLOS_PRIO_HIGH, .threads = 1 };
	return ioctl(fd, MLOS_IOC_INFERENCE_START, s);
}

static void a_boost_lasts_as_long_as_the_grant(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_inference_start s;
	struct sched_param p;

	setpriority(PRIO_PROCESS, 0, 5);
	EXPECT_EQ(boosted_start(fd, m, &s), 0);
	EXPECT_EQ(policy_of(0), SCHED_FIFO);
	sched_getparam(0, &p);
	EXPECT_EQ(p.sched_priority, 1);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 5);
	EXPECT_EQ(boosted_start(fd, m, &s), 0);
	close(fd);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 5);
	setpriority(PRIO_PROCESS, 0, 0);
}

static int policy_in_child(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(sched_getscheduler(0));
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void *policy_in_thread(void *arg)
{
	*(int *)arg = sched_getscheduler(0);
	return NULL;
}

/* Bug: what a boosted thread started kept real-time priority for ever. */
static void what_a_boosted_thread_starts_is_not_boosted(void)
{
	int fd = dev(), policy = -1;
	struct mlos_inference_start s;
	pthread_attr_t inherit;
	pthread_t t;

	EXPECT_EQ(boosted_start(fd, model(fd, "m"), &s), 0);
	EXPECT_EQ(policy_of(0), SCHED_FIFO);
	EXPECT_EQ(policy_in_child(), SCHED_OTHER);
	pthread_attr_init(&inherit);
	pthread_attr_setinheritsched(&inherit, PTHREAD_INHERIT_SCHED);
	pthread_create(&t, &inherit, policy_in_thread, &policy);
	pthread_join(t, NULL);
	EXPECT_EQ(policy, SCHED_OTHER);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	/* The thread's own wish about that is as it was. */
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	close(fd);
}

static void lower_classes_are_not_boosted(void)
{
	int fd = dev();
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST, .model_id = model(fd, "m"),
					  .priority = MLOS_PRIO_NORMAL, .threads = 1 };

	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

static void a_policy_of_the_threads_own_is_left_alone(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_inference_start s;
	struct sched_param p = { .sched_priority = 7 }, none = { 0 };

	if (sched_setscheduler(0, SCHED_RR, &p))
		SKIP("no right to SCHED_RR");
	EXPECT_EQ(boosted_start(fd, m, &s), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_RR);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_RR);
	sched_setscheduler(0, SCHED_OTHER, &none);
	/* A choice made while boosted stays too. */
	EXPECT_EQ(boosted_start(fd, m, &s), 0);
	p.sched_priority = 9;
	EXPECT_EQ(sched_setscheduler(0, SCHED_FIFO, &p), 0);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_FIFO);
	sched_setscheduler(0, SCHED_OTHER, &none);
	close(fd);
}

static void *sleeper(void *arg)
{
	int32_t *tid = arg;

	__atomic_store_n(tid, gettid(), __ATOMIC_RELEASE);
	pause();
	return NULL;
}

static void a_gang_is_boosted_and_restored_together(void)
{
	int fd = dev(), i;
	uint64_t m = model(fd, "m");
	int32_t tids[2] = { 0, 0 };
	pthread_t threads[2];
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST, .model_id = m,
					  .priority = MLOS_PRIO_REALTIME, .threads = 1, .tids = (uintptr_t)tids, .n_tids = 2 };

	if (sysconf(_SC_NPROCESSORS_ONLN) < 3)
		SKIP("fewer than 3 CPUs");
	for (i = 0; i < 2; i++) {
		pthread_create(&threads[i], NULL, sleeper, &tids[i]);
		while (!__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE))
			usleep(100);
	}
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(policy_of(tids[0]), SCHED_FIFO);
	EXPECT_EQ(policy_of(tids[1]), SCHED_FIFO);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(sched_getscheduler(tids[0]), SCHED_OTHER);
	EXPECT_EQ(sched_getscheduler(tids[1]), SCHED_OTHER);
	close(fd);
}

static void a_client_that_never_says_done_loses_its_slot(void)
{
	int fd = dev(), other = dev();
	uint64_t m = model(fd, "m");
	uint32_t slots = version(fd).slots;
	struct mlos_inference_start s, t;
	struct mlos_inference_wait w;

	set_parameter("slot_timeout_ms", "100");
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, slots, 0, &s), 0);
	EXPECT_EQ(start(other, model(other, "n"), MLOS_PRIO_NORMAL, 1, 0, &t), 0);
	EXPECT_EQ(await(other, t.inference_id, now_ns() + 5000 * MS, &w), 0);
	EXPECT_EQ(w.state, MLOS_INFERENCE_GRANTED);
	EXPECT_ERRNO(finish(fd, s.inference_id), ECANCELED);
	EXPECT_ERRNO(finish(fd, s.inference_id), ENOENT);
	EXPECT_EQ(boosted_start(fd, m, &s), 0);
	usleep(400000);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	set_parameter("slot_timeout_ms", "60000");
	close(fd);
	close(other);
}

/* Bug: a time-out that was set to free a slot did so only when something else happened. */
static void a_new_time_out_counts_for_what_is_granted(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held;
	struct mlos_inference_start s;
	struct mlos_inference_wait w;

	set_parameter("slot_timeout_ms", "0");
	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_ERRNO(await(fd, s.inference_id, now_ns() + 50 * MS, &w), ETIME);
	set_parameter("slot_timeout_ms", "100");
	EXPECT_EQ(await(fd, s.inference_id, now_ns() + 5000 * MS, &w), 0);
	set_parameter("slot_timeout_ms", "60000");
	EXPECT_ERRNO(finish(fd, held), ECANCELED);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

static void batch_makes_room_for_the_upper_classes(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), batch;
	struct mlos_inference_start s;

	if (version(fd).slots < 3)
		SKIP("fewer than 3 slots");
	EXPECT_EQ(start(fd, m, MLOS_PRIO_BATCH, 1, 0, &s), 0);
	batch = s.inference_id;
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, 1, 0, &s), 0);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 0);
	EXPECT_EQ(finish(fd, batch), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, 1, 0, &s), 0);
	batch = s.inference_id;
	EXPECT_EQ(start(fd, m, MLOS_PRIO_BATCH, 1, 0, &s), 0);
	EXPECT_EQ(s.state, MLOS_INFERENCE_QUEUED);
	EXPECT_EQ(finish(fd, batch), 0);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

static void models_in_use_stay_registered(void)
{
	int fd = dev();
	struct mlos_model_unregister u = { .size = sizeof(u), .model_id = model(fd, "m") };
	struct mlos_inference_start s;

	EXPECT_EQ(start(fd, u.model_id, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_MODEL_UNREGISTER, &u), EBUSY);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_UNREGISTER, &u), 0);
	EXPECT_ERRNO(start(fd, u.model_id, MLOS_PRIO_NORMAL, 1, 0, &s), ENOENT);
	close(fd);
}

static void record(int fd, uint64_t m, uint64_t duration_ns, int n)
{
	struct mlos_batch_entry e[64];
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)e, .count = n, .element_size = sizeof(e[0]) };
	uint64_t end = now_ns() - MS;
	int i;

	memset(e, 0, sizeof(e));
	for (i = 0; i < n; i++)
		e[i] = (struct mlos_batch_entry){ .op = MLOS_BATCH_RECORD, .id = m, .start_ns = end - duration_ns, .end_ns = end };
	if (ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b) || b.failed)
		printf("# RECORD: %u failed, first %d\n", b.failed, e[0].result);
}

static void latencies_are_learnt(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_model_latency_ext l = { .size = sizeof(l), .model_id = m };
	struct mlos_model_predict p = { .size = sizeof(p), .model_id = m, .priority = 2, .threads = 1 };

	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_LATENCY_EXT, &l), 0);
	EXPECT_EQ(l.samples, 0);
	EXPECT_EQ(l.p50_duration_ns, 0);
	record(fd, m, 10 * MS, 63);
	record(fd, m, 100 * MS, 1);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_LATENCY_EXT, &l), 0);
	EXPECT_EQ(l.samples, 64);
	EXPECT(l.p50_duration_ns >= 10 * MS && l.p50_duration_ns <= 12 * MS);
	EXPECT(l.p99_duration_ns >= 100 * MS && l.p99_duration_ns <= 115 * MS);
	EXPECT_EQ(l.outlier_count, 1);
	p.deadline_ns = now_ns() + 50 * MS;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_PREDICT, &p), 0);
	EXPECT_EQ(p.samples, 64);
	EXPECT_EQ(p.min_ns, 10 * MS);
	EXPECT_EQ(p.max_ns, 100 * MS);
	EXPECT_EQ(p.predicted_wait_ns, 0);
	EXPECT(p.miss_probability_pct <= 5);
	p.deadline_ns = now_ns() + 5 * MS;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_PREDICT, &p), 0);
	EXPECT_EQ(p.miss_probability_pct, 100);
	close(fd);
}

static void waiting_and_lateness_are_predicted(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held;
	uint32_t slots = version(fd).slots;
	struct mlos_inference_start s;
	struct mlos_deadline_predict d = { .size = sizeof(d) };

	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	d.inference_id = held;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_DEADLINE_PREDICT, &d), ENODATA);
	record(fd, m, 500 * MS, 32);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, slots, now_ns() + 700 * MS, &s), 0);
	EXPECT(s.predicted_wait_ns > 300 * MS && s.predicted_wait_ns < 700 * MS);
	d.inference_id = s.inference_id;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_DEADLINE_PREDICT, &d), 0);
	EXPECT(d.miss_probability_pct >= 50);
	EXPECT(d.slack_ns < 0);
	EXPECT_EQ(d.should_preempt, 1);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(finish(fd, held), 0);
	close(fd);
}

/* Time from now to the predicted end. */
static uint64_t predicted_ns(int fd, uint64_t id)
{
	struct mlos_deadline_predict d = { .size = sizeof(d), .inference_id = id };
	uint64_t now = now_ns();

	return ioctl(fd, MLOS_IOC_DEADLINE_PREDICT, &d) || d.predicted_completion_ns < now ? 0 : d.predicted_completion_ns - now;
}

/* Latencies are kept in steps of an eighth. */
static bool about(uint64_t ns, uint64_t wanted_ns)
{
	return ns > wanted_ns * 9 / 10 && ns < wanted_ns * 12 / 10;
}

/* Bug: what waits counted itself as standing before itself. */
static void predictions_count_what_stands_before(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), held, normal;
	uint32_t slots = version(fd).slots;
	struct mlos_inference_start s;

	/* Of this one nothing is known, so it counts nothing. */
	EXPECT_EQ(hold_slots(fd, model(fd, "unknown"), 0, &held), 0);
	record(fd, m, 1000 * MS, 32);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, slots, now_ns() + 60000 * MS, &s), 0);
	EXPECT_EQ(s.predicted_wait_ns, 0);
	normal = s.inference_id;
	EXPECT(about(predicted_ns(fd, normal), 1000 * MS));
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, slots, now_ns() + 50000 * MS, &s), 0);
	EXPECT_EQ(s.predicted_wait_ns, 0);
	EXPECT(about(predicted_ns(fd, normal), 2000 * MS));
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, slots, now_ns() + 70000 * MS, &s), 0);
	EXPECT(about(s.predicted_wait_ns, 2000 * MS));
	EXPECT(about(predicted_ns(fd, normal), 2000 * MS));
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, slots, 0, &s), 0);
	EXPECT_EQ(s.predicted_wait_ns, 0);
	EXPECT(about(predicted_ns(fd, normal), 3000 * MS));
	EXPECT_EQ(start(fd, m, MLOS_PRIO_BATCH, slots, 0, &s), 0);
	EXPECT(about(s.predicted_wait_ns, 4000 * MS));
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	close(fd);
}

static void accuracy_of_predictions_is_counted(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_prediction_accuracy a = { .size = sizeof(a), .flags = MLOS_ACCURACY_RESET };
	struct mlos_inference_start s;
	int i;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREDICTION_ACCURACY, &a), 0);
	record(fd, m, 1 * MS, 32);
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, now_ns() + 5000 * MS, &s), 0);
		EXPECT_EQ(finish(fd, s.inference_id), 0);
	}
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, now_ns() + 300 * MS, &s), 0);
	usleep(320000);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	a.flags = 0;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREDICTION_ACCURACY, &a), 0);
	EXPECT_EQ(a.total_predictions, 11);
	EXPECT_EQ(a.missed_predictions, 1);
	EXPECT_EQ(a.false_alarms, 0);
	EXPECT_EQ(a.accuracy_pct, 91);
	close(fd);
}

static void plans_are_followed(void)
{
	int fd = dev(), file = pattern_file(64 * 4096, 1);
	struct mlos_tensor_alloc t;
	struct mlos_plan_entry e = { .flags = MLOS_PLAN_CRITICAL };
	struct mlos_prefetch_plan p = { .size = sizeof(p), .flags = MLOS_PLAN_ENABLE_AUTO | MLOS_PLAN_ADAPTIVE,
					.model_id = model(fd, "m"), .entries = (uintptr_t)&e, .count = 1, .element_size = sizeof(e) };
	struct mlos_prefetch_stats st = { .size = sizeof(st), .model_id = p.model_id };
	struct mlos_prefetch_learning l = { .size = sizeof(l), .model_id = p.model_id };
	struct mlos_inference_start s;
	volatile uint8_t *map;
	int i;

	EXPECT_EQ(tensor(fd, 64 * 4096, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), 0);
	e.tensor_id = t.tensor_id;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), 0);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(start(fd, p.model_id, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
		usleep(60000);
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, t.fd, 0);
		EXPECT_EQ(map[0], pattern(0, 1));
		EXPECT_EQ(finish(fd, s.inference_id), 0);
		munmap((void *)map, 4096);
	}
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_STATS, &st), 0);
	EXPECT_EQ(st.runs, 5);
	EXPECT(st.issued >= 3);
	EXPECT_EQ(st.bytes, 64 * 4096);
	EXPECT_EQ(st.failed, 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_LEARNING, &l), 0);
	EXPECT_EQ(l.learning_enabled, 1);
	EXPECT(l.offset_adjustment_ns > 0);
	EXPECT(l.successful_prefetches + l.early_prefetches + l.late_prefetches >= 5);
	p.flags = 0;
	p.entries = p.count = p.element_size = 0;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_CLEAR, &p), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_STATS, &st), ENODATA);
	close(t.fd);
	close(file);
	close(fd);
}

static void death_gives_slots_back(void)
{
	int fd = dev(), status;
	uint64_t m = model(fd, "m"), held;

	if (fork() == 0) {
		int own = dev();
		struct mlos_inference_start s;

		start(own, model(own, "dies"), MLOS_PRIO_HIGH, version(own).slots, 0, &s);
		abort();
	}
	wait(&status);
	EXPECT_EQ(hold_slots(fd, m, 0, &held), 0);
	EXPECT_EQ(finish(fd, held), 0);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "idle slots are granted at once", idle_slots_are_granted_at_once },
	{ "order is by class, then deadline, then arrival", order_is_by_class_then_deadline_then_arrival },
	{ "the lowest class starts in the end", the_lowest_class_starts_in_the_end },
	{ "what is late in the queue expires", what_is_late_in_the_queue_expires },
	{ "poll tells of grants", poll_tells_of_grants },
	{ "waiting for any tells in the order of grants", waiting_for_any_tells_in_order_of_grants },
	{ "NOWAIT does not queue", nowait_does_not_queue },
	{ "a signal ends waiting", a_signal_ends_waiting },
	{ "a boost lasts as long as the grant", a_boost_lasts_as_long_as_the_grant },
	{ "what a boosted thread starts is not boosted", what_a_boosted_thread_starts_is_not_boosted },
	{ "lower classes are not boosted", lower_classes_are_not_boosted },
	{ "a policy of the thread's own is left alone", a_policy_of_the_threads_own_is_left_alone },
	{ "a gang is boosted and restored together", a_gang_is_boosted_and_restored_together },
	{ "a client that never says DONE loses its slot", a_client_that_never_says_done_loses_its_slot },
	{ "a new time-out counts for what is granted", a_new_time_out_counts_for_what_is_granted },
	{ "BATCH makes room for the upper classes", batch_makes_room_for_the_upper_classes },
	{ "models in use stay registered", models_in_use_stay_registered },
	{ "latencies are learnt", latencies_are_learnt },
	{ "waiting and lateness are predicted", waiting_and_lateness_are_predicted },
	{ "predictions count what stands before", predictions_count_what_stands_before },
	{ "the accuracy of predictions is counted", accuracy_of_predictions_is_counted },
	{ "plans are followed", plans_are_followed },
	{ "death gives slots back", death_gives_slots_back },
};
TAP_MAIN(tests)
