// SPDX-License-Identifier: GPL-2.0
/* Prefetch plans ahead of their inference, in batches and behind a queue; what a grant tells of its boost. */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "client.h"

#define PAGES 16

struct planned {
	int fd, file;
	uint64_t model;
	struct mlos_tensor_alloc tensor;
};

/* A model whose plan has one tensor, needed at once. */
static int set_up(struct planned *p, uint32_t flags)
{
	struct mlos_plan_entry e = { .flags = MLOS_PLAN_CRITICAL };
	struct mlos_prefetch_plan plan = { .size = sizeof(plan), .flags = flags, .entries = (uintptr_t)&e, .count = 1,
					   .element_size = sizeof(e) };

	p->fd = dev();
	p->file = pattern_file(PAGES * 4096, 2);
	p->model = plan.model_id = model(p->fd, "planned");
	if (tensor(p->fd, PAGES * 4096, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, p->file, &p->tensor))
		return -1;
	e.tensor_id = p->tensor.tensor_id;
	return ioctl(p->fd, MLOS_IOC_PREFETCH_PLAN_SET, &plan);
}

static void tear_down(struct planned *p)
{
	close(p->tensor.fd);
	close(p->file);
	close(p->fd);
}

static int start_plan(const struct planned *p)
{
	struct mlos_prefetch_run a = { .size = sizeof(a), .model_id = p->model };

	return ioctl(p->fd, MLOS_IOC_PREFETCH_PLAN_START, &a);
}

static struct mlos_prefetch_stats stats_of(const struct planned *p)
{
	struct mlos_prefetch_stats s = { .size = sizeof(s), .model_id = p->model };

	ioctl(p->fd, MLOS_IOC_PREFETCH_STATS, &s);
	return s;
}

static bool wait_for_reads(const struct planned *p, uint64_t issued)
{
	int i;

	for (i = 0; i < 3000 && stats_of(p).issued < issued; i++)
		usleep(10000);
	return stats_of(p).issued >= issued;
}

static struct mlos_prefetch_learning learning(const struct planned *p, uint32_t flags)
{
	struct mlos_prefetch_learning l = { .size = sizeof(l), .model_id = p->model, .flags = flags, .learning_enabled = flags,
					    .learning_rate_pct = flags ? 100 : 0 };

	ioctl(p->fd, MLOS_IOC_PREFETCH_LEARNING, &l);
	return l;
}

static int touch(const struct planned *p)
{
	volatile uint8_t *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, p->tensor.fd, 0);
	int right = map != MAP_FAILED && map[0] == pattern(0, 2);

	munmap((void *)map, 4096);
	return right;
}

static void a_plan_is_followed_ahead_of_its_inference(void)
{
	struct planned p;
	struct mlos_inference_start s;
	struct mlos_prefetch_learning l;

	EXPECT_EQ(set_up(&p, 0), 0);
	EXPECT_EQ(start_plan(&p), 0);
	EXPECT_ERRNO(start_plan(&p), EBUSY);
	EXPECT(wait_for_reads(&p, 1));
	EXPECT_EQ(stats_of(&p).bytes, PAGES * 4096);
	/* The inference goes on with that run. */
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT(touch(&p));
	EXPECT_EQ(finish(p.fd, s.inference_id), 0);
	EXPECT_EQ(stats_of(&p).runs, 1);
	l = learning(&p, 0);
	EXPECT_EQ(l.late_prefetches, 0);
	EXPECT_EQ(l.successful_prefetches + l.early_prefetches, 1);
	/* And its end ends it. */
	EXPECT_EQ(start_plan(&p), 0);
	EXPECT_EQ(stats_of(&p).runs, 2);
	tear_down(&p);
}

static void an_end_does_not_end_a_run_ahead_of_the_next(void)
{
	struct planned p;
	struct mlos_inference_start first, second;

	EXPECT_EQ(set_up(&p, 0), 0);
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &first), 0);
	EXPECT_EQ(start_plan(&p), 0);
	EXPECT_EQ(finish(p.fd, first.inference_id), 0);
	EXPECT_ERRNO(start_plan(&p), EBUSY);
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &second), 0);
	EXPECT_EQ(finish(p.fd, second.inference_id), 0);
	EXPECT_EQ(start_plan(&p), 0);
	tear_down(&p);
}

static bool no_run_is_followed(const struct planned *p)
{
	return start_plan(p) == 0;
}

static void a_run_ends_with_its_inference_however_that_ends(void)
{
	struct mlos_inference_start held, s;
	struct mlos_inference_wait w;
	struct planned p;

	EXPECT_EQ(set_up(&p, MLOS_PLAN_ENABLE_AUTO), 0);
	EXPECT_EQ(start(p.fd, model(p.fd, "holder"), MLOS_PRIO_NORMAL, version(p.fd).slots, 0, &held), 0);
	/* Taken away while it waited. */
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_EQ(finish(p.fd, s.inference_id), 0);
	EXPECT_EQ(stats_of(&p).runs, 1);
	/* Expired: its run ends when that is fetched. */
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, now_ns() + 20 * MS, &s), 0);
	EXPECT_EQ(stats_of(&p).runs, 2);
	EXPECT_EQ(await(p.fd, s.inference_id, 0, &w), 0);
	EXPECT_EQ(w.state, MLOS_INFERENCE_EXPIRED);
	EXPECT(no_run_is_followed(&p));
	tear_down(&p);
}

static void another_inference_does_not_end_the_run(void)
{
	struct mlos_inference_start first, second;
	struct planned p;

	EXPECT_EQ(set_up(&p, MLOS_PLAN_ENABLE_AUTO), 0);
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &first), 0);
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &second), 0);
	EXPECT_EQ(stats_of(&p).runs, 1);
	EXPECT_EQ(finish(p.fd, second.inference_id), 0);
	EXPECT_ERRNO(start_plan(&p), EBUSY);
	EXPECT_EQ(finish(p.fd, first.inference_id), 0);
	EXPECT(no_run_is_followed(&p));
	tear_down(&p);
}

static void *sleep_for_ever(void *unused)
{
	pause();
	return unused;
}

static void a_group_of_more_threads_than_can_be_raised_is_refused(void)
{
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST | MLOS_INFERENCE_GROUP,
					  .priority = MLOS_PRIO_HIGH, .threads = 1 };
	int fd = dev(), status;
	pid_t child = fork();

	if (child == 0) {
		pthread_t thread;
		int i;

		s.model_id = model(fd, "m");
		for (i = 0; i < 63; i++)
			pthread_create(&thread, NULL, sleep_for_ever, NULL);
		if (ioctl(fd, MLOS_IOC_INFERENCE_START, &s) || s.boosted || finish(fd, s.inference_id))
			_exit(1); /* 64, which are more than this machine has CPUs: granted, none raised */
		pthread_create(&thread, NULL, sleep_for_ever, NULL);
		_exit(ioctl(fd, MLOS_IOC_INFERENCE_START, &s) == -1 && errno == E2BIG ? 0 : 2);
	}
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	close(fd);
}

static void a_plan_start_without_a_plan_is_told(void)
{
	struct planned p = { .fd = dev() };
	struct mlos_prefetch_run a = { .size = sizeof(a), .model_id = model(p.fd, "m") };

	EXPECT_ERRNO(ioctl(p.fd, MLOS_IOC_PREFETCH_PLAN_START, &a), ENODATA);
	a.flags = 1;
	EXPECT_ERRNO(ioctl(p.fd, MLOS_IOC_PREFETCH_PLAN_START, &a), EINVAL);
	a.flags = 0;
	a.model_id = 1;
	EXPECT_ERRNO(ioctl(p.fd, MLOS_IOC_PREFETCH_PLAN_START, &a), ENOENT);
	close(p.fd);
}

static int batch(int fd, struct mlos_batch_entry *e)
{
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)e, .count = 1, .element_size = sizeof(*e) };

	return ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b) ? -1 : e->result;
}

static void batches_follow_plans(void)
{
	struct planned p;
	struct mlos_batch_entry e = { .op = MLOS_BATCH_START, .priority = MLOS_PRIO_NORMAL, .threads = 1 };
	struct mlos_batch_entry d = { .op = MLOS_BATCH_DONE };

	EXPECT_EQ(set_up(&p, MLOS_PLAN_ENABLE_AUTO), 0);
	e.id = p.model;
	EXPECT_EQ(batch(p.fd, &e), 0);
	EXPECT_EQ(stats_of(&p).runs, 1);
	EXPECT(wait_for_reads(&p, 1));
	d.id = e.id;
	EXPECT_EQ(batch(p.fd, &d), 0);
	e = (struct mlos_batch_entry){ .op = MLOS_BATCH_START, .id = p.model, .priority = MLOS_PRIO_NORMAL, .threads = 1 };
	EXPECT_EQ(batch(p.fd, &e), 0);
	EXPECT_EQ(stats_of(&p).runs, 2);
	tear_down(&p);
}

static void offsets_are_learnt_from_the_grant_on(void)
{
	struct planned p;
	struct mlos_inference_start held, s;
	struct mlos_inference_wait w;
	uint64_t asked, touched;

	EXPECT_EQ(set_up(&p, MLOS_PLAN_ENABLE_AUTO), 0);
	learning(&p, MLOS_LEARNING_SET);
	EXPECT_EQ(start(p.fd, model(p.fd, "holder"), MLOS_PRIO_NORMAL, version(p.fd).slots, 0, &held), 0);
	asked = now_ns();
	EXPECT_EQ(start(p.fd, p.model, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_EQ(s.state, MLOS_INFERENCE_QUEUED);
	EXPECT(wait_for_reads(&p, 1)); /* it reads while it waits */
	usleep(200000);
	EXPECT_EQ(finish(p.fd, held.inference_id), 0);
	EXPECT_EQ(await(p.fd, s.inference_id, 0, &w), 0);
	EXPECT(touch(&p));
	touched = now_ns();
	EXPECT_EQ(finish(p.fd, s.inference_id), 0);
	EXPECT(w.queued_ns >= 200 * MS);
	/* Not the time in the queue. */
	EXPECT(learning(&p, 0).offset_adjustment_ns <= (int64_t)(touched - asked - w.queued_ns));
	tear_down(&p);
}

static void a_grant_tells_how_many_threads_it_raised(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST, .model_id = m,
					  .priority = MLOS_PRIO_HIGH, .threads = 1 }, held;
	struct mlos_inference_start old = s;
	struct mlos_inference_wait w;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(s.boosted, 1);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, 1, 0, &held), 0);
	EXPECT_EQ(held.boosted, 0);
	EXPECT_EQ(finish(fd, held.inference_id), 0);

	/* Told when it is fetched, when it was queued. */
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, version(fd).slots, 0, &held), 0);
	s.flags = MLOS_INFERENCE_BOOST;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(s.boosted, 0);
	EXPECT_EQ(finish(fd, held.inference_id), 0);
	EXPECT_EQ(await(fd, s.inference_id, 0, &w), 0);
	EXPECT_EQ(w.boosted, 1);
	EXPECT_EQ(policy_of(0), SCHED_FIFO);
	EXPECT_EQ(finish(fd, s.inference_id), 0);

	/* A caller of ABI 1.0 has no such member, and none is written. */
	old.size = 64;
	old.boosted = 0x1234;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &old), 0);
	EXPECT_EQ(old.boosted, 0x1234);
	EXPECT_EQ(finish(fd, old.inference_id), 0);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "a plan is followed ahead of its inference", a_plan_is_followed_ahead_of_its_inference },
	{ "an end does not end a run ahead of the next inference", an_end_does_not_end_a_run_ahead_of_the_next },
	{ "a run ends with its inference, however that ends", a_run_ends_with_its_inference_however_that_ends },
	{ "another inference of the model does not end the run", another_inference_does_not_end_the_run },
	{ "a group of more threads than can be raised is refused", a_group_of_more_threads_than_can_be_raised_is_refused },
	{ "a plan start without a plan is told", a_plan_start_without_a_plan_is_told },
	{ "batches follow plans", batches_follow_plans },
	{ "offsets are learnt from the grant on", offsets_are_learnt_from_the_grant_on },
	{ "a grant tells how many threads it raised", a_grant_tells_how_many_threads_it_raised },
};
TAP_MAIN(tests)
