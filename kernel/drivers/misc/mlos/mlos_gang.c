// SPDX-License-Identifier: GPL-2.0
/* The threads of one inference: raised while it is granted, lowered while it is in the way, and put back. */
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <uapi/linux/sched/types.h>

#include "mlos.h"

static int collect_process(struct mlos_gang *gang)
{
	struct task_struct *thread;
	int ret = 0;

	rcu_read_lock();
	for_each_thread(current, thread) {
		if (gang->count == MLOS_MAX_TIDS) {
			ret = -E2BIG;
			break;
		}
		get_task_struct(thread);
		gang->members[gang->count++].task = thread;
	}
	rcu_read_unlock();
	return ret;
}

static int collect_listed(struct mlos_gang *gang, const s32 *tids, u32 n_tids)
{
	u32 i;

	for (i = 0; i < n_tids; i++) {
		struct task_struct *thread;
		struct pid *pid = find_get_pid(tids[i]);

		thread = get_pid_task(pid, PIDTYPE_PID);
		put_pid(pid);
		if (!thread)
			return -ESRCH;
		gang->members[gang->count++].task = thread;
		if (!same_thread_group(thread, current))
			return -EPERM;
	}
	return 0;
}

int mlos_gang_collect(struct mlos_gang *gang, const s32 *tids, u32 n_tids, bool whole_process)
{
	u32 room = whole_process ? MLOS_MAX_TIDS : max_t(u32, n_tids, 1);
	int ret = 0;

	gang->mode = MLOS_GANG_PLAIN;
	gang->count = 0;
	gang->members = kcalloc(room, sizeof(*gang->members), GFP_KERNEL_ACCOUNT);
	if (!gang->members)
		return -ENOMEM;
	if (whole_process)
		ret = collect_process(gang);
	else if (n_tids)
		ret = collect_listed(gang, tids, n_tids);
	else
		gang->members[gang->count++].task = get_task_struct(current);
	if (ret)
		mlos_gang_release(gang);
	return ret;
}

static void set_policy(struct mlos_member *m, u32 policy, s32 nice, bool reset_on_fork)
{
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = policy,
		.sched_priority = policy == SCHED_FIFO,
		.sched_nice = nice,
		.sched_flags = reset_on_fork ? SCHED_FLAG_RESET_ON_FORK : 0,
	};

	sched_setattr_nocheck(m->task, &attr);
}

/* A thread that has a policy of its own choice is left alone. What it starts while boosted is not boosted: nobody would end that. */
static void raise(struct mlos_member *m)
{
	if (m->task->policy != SCHED_NORMAL || (m->task->flags & PF_EXITING))
		return;
	m->nice = task_nice(m->task);
	m->reset_on_fork = m->task->sched_reset_on_fork;
	m->changed = true;
	set_policy(m, SCHED_FIFO, 0, true);
}

static void lower(struct mlos_member *m)
{
	if (m->task->policy != SCHED_NORMAL || (m->task->flags & PF_EXITING))
		return;
	m->nice = task_nice(m->task);
	m->reset_on_fork = m->task->sched_reset_on_fork;
	m->changed = true;
	set_policy(m, SCHED_NORMAL, MAX_NICE, m->reset_on_fork);
}

/* Put back only what is still as we made it: the thread may have chosen something else since. */
static void put_back(struct mlos_member *m, enum mlos_gang_mode mode)
{
	bool ours = mode == MLOS_GANG_BOOSTED ? m->task->policy == SCHED_FIFO && m->task->rt_priority == 1 :
						m->task->policy == SCHED_NORMAL && task_nice(m->task) == MAX_NICE;

	if (m->changed && ours && !(m->task->flags & PF_EXITING))
		set_policy(m, SCHED_NORMAL, m->nice, m->reset_on_fork);
	m->changed = false;
}

void mlos_gang_set(struct mlos_gang *gang, enum mlos_gang_mode mode)
{
	u32 i;

	if (gang->mode == mode)
		return;
	for (i = 0; i < gang->count; i++) {
		struct mlos_member *m = &gang->members[i];

		if (gang->mode != MLOS_GANG_PLAIN)
			put_back(m, gang->mode);
		if (mode == MLOS_GANG_BOOSTED)
			raise(m);
		else if (mode == MLOS_GANG_THROTTLED)
			lower(m);
	}
	gang->mode = mode;
}

void mlos_gang_release(struct mlos_gang *gang)
{
	u32 i;

	mlos_gang_set(gang, MLOS_GANG_PLAIN);
	for (i = 0; i < gang->count; i++)
		put_task_struct(gang->members[i].task);
	kfree(gang->members);
	gang->members = NULL;
	gang->count = 0;
}
