// SPDX-License-Identifier: GPL-2.0
/* The operations on inferences: START, WAIT, DONE and BATCH, as their callers see them. */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/uaccess.h>

#include "mlos.h"

static struct mlos_inference *find(struct mlos_file *file, u64 id)
{
	struct mlos_idnode *node = mlos_idtable_find(&file->inferences, id);

	return node ? container_of(node, struct mlos_inference, node) : NULL;
}

bool mlos_inference_exists(struct mlos_file *file, u64 id)
{
	bool exists;

	mutex_lock(&mlos_sched.lock);
	exists = find(file, id);
	mutex_unlock(&mlos_sched.lock);
	return exists;
}

static struct mlos_inference *new_inference(struct mlos_file *file, u64 model_id, u32 priority, u32 threads,
					    u64 deadline_ns)
{
	struct mlos_inference *i;

	if (priority >= MLOS_CLASSES || !threads || threads > mlos_sched.slots)
		return ERR_PTR(-EINVAL);
	i = kzalloc(sizeof(*i), GFP_KERNEL_ACCOUNT);
	if (!i)
		return ERR_PTR(-ENOMEM);
	i->model = mlos_model_get(file, model_id);
	if (!i->model) {
		kfree(i);
		return ERR_PTR(-ENOENT);
	}
	INIT_LIST_HEAD(&i->link);
	INIT_LIST_HEAD(&i->told);
	i->file = file;
	i->priority = priority;
	i->threads = threads;
	i->deadline_ns = deadline_ns;
	return i;
}

/* Its id when it has a plan, else 0: then there is nothing to follow. */
static u64 planned(const struct mlos_model *model)
{
	return mlos_model_has_plan(model) ? model->node.id : 0;
}

static void discard(struct mlos_inference *i)
{
	mlos_gang_release(&i->gang);
	mlos_model_put(i->model);
	kfree(i);
}

static int collect_gang(struct mlos_inference *i, const struct mlos_inference_start *a)
{
	s32 tids[MLOS_MAX_TIDS];

	if (a->n_tids && copy_from_user(tids, u64_to_user_ptr(a->tids), a->n_tids * sizeof(*tids)))
		return -EFAULT;
	i->boost = a->flags & MLOS_INFERENCE_BOOST;
	return mlos_gang_collect(&i->gang, tids, a->n_tids, a->flags & MLOS_INFERENCE_GROUP);
}

static bool start_valid(const struct mlos_inference_start *a)
{
	if (a->reserved || a->flags & ~(MLOS_INFERENCE_BOOST | MLOS_INFERENCE_GROUP | MLOS_INFERENCE_NOWAIT))
		return false;
	if (a->n_tids > MLOS_MAX_TIDS || !a->n_tids != !a->tids)
		return false;
	if ((a->flags & MLOS_INFERENCE_GROUP) && (a->n_tids || !(a->flags & MLOS_INFERENCE_BOOST)))
		return false;
	return true;
}

long mlos_ioc_inference_start(struct mlos_file *file, void *arg)
{
	struct mlos_inference_start *a = arg;
	struct mlos_inference *i;
	u64 wait_ns, plan;
	long ret = 0;

	if (!start_valid(a))
		return -EINVAL;
	i = new_inference(file, a->model_id, a->priority, a->threads, a->deadline_ns);
	if (IS_ERR(i))
		return PTR_ERR(i);
	/* BATCH is lowered, the upper classes raised when they ask; NORMAL's threads are never touched. */
	if ((a->flags & MLOS_INFERENCE_BOOST) || a->n_tids || a->priority == MLOS_PRIO_BATCH) {
		ret = collect_gang(i, a);
		if (ret) {
			discard(i);
			return ret;
		}
	}
	mutex_lock(&mlos_sched.lock);
	ret = mlos_sched_submit(i, &wait_ns);
	if (ret) {
		mutex_unlock(&mlos_sched.lock);
		discard(i);
		return ret;
	}
	a->inference_id = i->node.id;
	a->state = i->granted_ns ? MLOS_INFERENCE_GRANTED : MLOS_INFERENCE_QUEUED;
	a->predicted_wait_ns = i->granted_ns ? 0 : wait_ns;
	a->boosted = mlos_gang_boosted(&i->gang);
	plan = planned(i->model);
	if (!i->granted_ns && (a->flags & MLOS_INFERENCE_NOWAIT)) {
		mlos_sched_forget(i);
		mlos_sched_publish();
		ret = -EAGAIN;
	}
	mutex_unlock(&mlos_sched.lock);
	if (!ret && plan)
		mlos_prefetch_start(file, plan, a->inference_id);
	return ret;
}

/* One that has something to tell; the file's first when id is 0. */
static struct mlos_inference *find_told(struct mlos_file *file, u64 id, bool *any)
{
	struct mlos_inference *i;

	if (!id) {
		*any = file->awaited;
		return list_first_entry_or_null(&file->told, struct mlos_inference, told);
	}
	i = find(file, id);
	*any = i;
	return i && (i->granted_ns || i->expired) ? i : NULL;
}

/* What an end tells the caller and the plan of the model. */
struct ended {
	u64 duration_ns;
	u32 met;
	u64 planned; /* the model when it has a plan, else 0 */
	u64 granted_ns; /* 0 = it was not granted */
};

static void fetch(struct mlos_inference *i, struct mlos_inference_wait *a, struct ended *e)
{
	a->granted_id = i->node.id;
	a->state = i->expired ? MLOS_INFERENCE_EXPIRED : MLOS_INFERENCE_GRANTED;
	a->boosted = mlos_gang_boosted(&i->gang);
	a->queued_ns = (i->expired ? ktime_get_ns() : i->granted_ns) - i->started_ns;
	mlos_sched_fetched(i);
	if (!i->expired)
		return;
	e->planned = planned(i->model);
	mlos_sched_forget(i);
}

/* 0 and *a filled; 1 to sleep; a negative errno. */
static int try_fetch(struct mlos_file *file, struct mlos_inference_wait *a)
{
	struct mlos_inference *i;
	struct ended e = { 0 };
	bool any;
	int ret = 1;

	mutex_lock(&mlos_sched.lock);
	i = find_told(file, a->inference_id, &any);
	if (i) {
		fetch(i, a, &e);
		ret = 0;
	} else if (!any) {
		ret = -ENOENT;
	}
	mutex_unlock(&mlos_sched.lock);
	if (e.planned)
		mlos_prefetch_end(file, e.planned, a->granted_id, 0);
	return ret;
}

long mlos_ioc_inference_wait(struct mlos_file *file, void *arg)
{
	struct mlos_inference_wait *a = arg;
	ktime_t expires = ns_to_ktime(min_t(u64, a->timeout_ns, KTIME_MAX));
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	long ret;

	if (a->flags)
		return -EINVAL;
	add_wait_queue(&file->wait, &wait);
	for (;;) {
		set_current_state(TASK_RUNNING);
		ret = try_fetch(file, a);
		if (ret <= 0)
			break;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		if (a->timeout_ns && ktime_get_ns() >= a->timeout_ns) {
			ret = -ETIME;
			break;
		}
		set_current_state(TASK_INTERRUPTIBLE);
		/* Told between the look and here: the wake-up is noted in the entry. */
		if (!(wait.flags & WQ_FLAG_WOKEN))
			schedule_hrtimeout(a->timeout_ns ? &expires : NULL, HRTIMER_MODE_ABS);
		__set_current_state(TASK_RUNNING);
		/* Pairs with the barrier in woken_wake_function(): the flag is down before the next look. */
		smp_store_mb(wait.flags, wait.flags & ~WQ_FLAG_WOKEN);
	}
	remove_wait_queue(&file->wait, &wait);
	return ret;
}

static int done(struct mlos_file *file, u64 id, u32 flags, struct ended *e)
{
	struct mlos_inference *i = find(file, id);
	bool reclaimed;

	*e = (struct ended){ .met = 1 };
	if (!i)
		return -ENOENT;
	reclaimed = i->reclaimed;
	e->planned = planned(i->model);
	if (mlos_inference_granted(i)) {
		e->granted_ns = i->granted_ns;
		mlos_sched_finish(i, ktime_get_ns(), flags & MLOS_DONE_FAILED, &e->duration_ns, &e->met);
	}
	mlos_sched_forget(i);
	return reclaimed ? -ECANCELED : 0;
}

long mlos_ioc_inference_done(struct mlos_file *file, void *arg)
{
	struct mlos_inference_done *a = arg;
	struct ended e;
	long ret;

	if ((a->flags & ~MLOS_DONE_FAILED) || a->reserved)
		return -EINVAL;
	mutex_lock(&mlos_sched.lock);
	ret = done(file, a->inference_id, a->flags, &e);
	if (ret != -ENOENT)
		mlos_sched_dispatch();
	mutex_unlock(&mlos_sched.lock);
	a->duration_ns = e.duration_ns;
	a->deadline_met = e.met;
	if (e.planned)
		mlos_prefetch_end(file, e.planned, a->inference_id, e.granted_ns);
	return ret;
}

/* Times of an execution that ran without asking. */
static int record(struct mlos_model *model, const struct mlos_batch_entry *e, u64 now_ns)
{
	if (!model)
		return -ENOENT;
	if (e->flags || e->priority || e->threads || e->end_ns <= e->start_ns || e->end_ns > now_ns)
		return -EINVAL;
	mlos_latency_add(&model->latency, e->end_ns - e->start_ns);
	return 0;
}

struct batch_object {
	struct mlos_inference *start; /* START: made before the lock is taken */
	struct mlos_model *model;     /* RECORD */
	u64 plan_start;		      /* model whose plan is to be followed once the lock is given back */
	struct ended ended;
};

static void batch_prepare(struct mlos_file *file, struct mlos_batch_entry *e, struct batch_object *o)
{
	e->result = 0;
	e->state = 0;
	switch (e->op) {
	case MLOS_BATCH_START:
		if (e->flags & ~MLOS_INFERENCE_NOWAIT || e->start_ns || e->end_ns) {
			e->result = -EINVAL;
			return;
		}
		o->start = new_inference(file, e->id, e->priority, e->threads, e->deadline_ns);
		if (IS_ERR(o->start)) {
			e->result = PTR_ERR(o->start);
			o->start = NULL;
		}
		return;
	case MLOS_BATCH_RECORD:
		o->model = mlos_model_get(file, e->id);
		return;
	case MLOS_BATCH_DONE:
		if (e->flags & ~MLOS_DONE_FAILED || e->priority || e->threads || e->deadline_ns || e->start_ns ||
		    e->end_ns)
			e->result = -EINVAL;
		return;
	}
	e->result = -EINVAL;
}

static void batch_run(struct mlos_file *file, struct mlos_batch_entry *e, struct batch_object *o, u64 now_ns)
{
	u64 unused_ns;

	if (e->result)
		return;
	if (e->op == MLOS_BATCH_RECORD) {
		e->result = record(o->model, e, now_ns);
	} else if (e->op == MLOS_BATCH_DONE) {
		e->result = done(file, e->id, e->flags, &o->ended);
		if (e->result != -ENOENT)
			mlos_sched_dispatch();
	} else {
		e->result = mlos_sched_submit(o->start, &unused_ns);
		if (e->result)
			return;
		e->id = o->start->node.id;
		e->state = o->start->granted_ns ? MLOS_INFERENCE_GRANTED : MLOS_INFERENCE_QUEUED;
		if (!o->start->granted_ns && (e->flags & MLOS_INFERENCE_NOWAIT)) {
			mlos_sched_forget(o->start);
			e->result = -EAGAIN;
		} else {
			o->plan_start = planned(o->start->model);
		}
		o->start = NULL;
	}
}

long mlos_ioc_inference_batch(struct mlos_file *file, void *arg)
{
	struct mlos_inference_batch *a = arg;
	struct mlos_batch_entry *entries;
	struct batch_object *objects;
	long ret = 0;
	u64 now_ns;
	u32 n;

	if (a->flags || a->reserved || !a->count || a->count > MLOS_MAX_BATCH || a->element_size != sizeof(*entries))
		return -EINVAL;
	entries = vmemdup_user(u64_to_user_ptr(a->entries), a->count * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	/* As for the argument itself: nothing is done where no answer can be written. */
	if (copy_to_user(u64_to_user_ptr(a->entries), entries, a->count * sizeof(*entries))) {
		kvfree(entries);
		return -EFAULT;
	}
	objects = kcalloc(a->count, sizeof(*objects), GFP_KERNEL_ACCOUNT);
	if (!objects) {
		kvfree(entries);
		return -ENOMEM;
	}
	for (n = 0; n < a->count; n++)
		batch_prepare(file, &entries[n], &objects[n]);
	mutex_lock(&mlos_sched.lock);
	now_ns = ktime_get_ns();
	for (n = 0; n < a->count; n++)
		batch_run(file, &entries[n], &objects[n], now_ns);
	mlos_sched_publish();
	mutex_unlock(&mlos_sched.lock);
	a->failed = 0;
	for (n = 0; n < a->count; n++) {
		a->failed += entries[n].result != 0;
		if (objects[n].plan_start)
			mlos_prefetch_start(file, objects[n].plan_start, entries[n].id);
		if (objects[n].ended.planned)
			mlos_prefetch_end(file, objects[n].ended.planned, entries[n].id, objects[n].ended.granted_ns);
		if (objects[n].start)
			discard(objects[n].start);
		if (objects[n].model)
			mlos_model_put(objects[n].model);
	}
	if (copy_to_user(u64_to_user_ptr(a->entries), entries, a->count * sizeof(*entries)))
		ret = -EFAULT;
	kfree(objects);
	kvfree(entries);
	return ret;
}
