// SPDX-License-Identifier: GPL-2.0
/* Inferences: queued, granted CPU slots, ended. */
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/uaccess.h>

#include "mlos.h"
#define CREATE_TRACE_POINTS
#include "mlos_trace.h"

struct mlos_sched mlos_sched;

static atomic64_t last_id;
static u64 armed_ns; /* when the reclaim work runs; U64_MAX = not; guarded by mlos_sched.lock */

u64 mlos_new_id(void)
{
	return atomic64_inc_return(&last_id);
}

static struct mlos_inference *from_qnode(struct mlos_qnode *node)
{
	return container_of(node, struct mlos_inference, qnode);
}

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

static bool is_granted(const struct mlos_inference *i)
{
	return i->granted_ns && !i->reclaimed;
}

/* --- the status page ------------------------------------------------------------------------------------------------- */

static void publish(void)
{
	struct mlos_status *s = mlos_sched.status;
	u32 class;

	WRITE_ONCE(s->slots_free, mlos_sched.slots_free);
	for (class = 0; class < MLOS_CLASSES; class++) {
		WRITE_ONCE(s->queued[class], mlos_sched.queue.count[class]);
		WRITE_ONCE(s->granted[class], mlos_sched.granted_count[class]);
	}
}

void mlos_status_set_resident(u64 bytes)
{
	if (mlos_sched.status) {
		WRITE_ONCE(mlos_sched.status->resident_bytes, bytes);
		WRITE_ONCE(mlos_sched.status->memory_limit, (u64)mlos_memory_limit_pages() << PAGE_SHIFT);
	}
}

int mlos_sched_mmap_status(struct vm_area_struct *vma)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	mlos_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	return vm_insert_page(vma, vma->vm_start, virt_to_page(mlos_sched.status));
}

/* --- granting -------------------------------------------------------------------------------------------------------- */

static bool upper_runs(void)
{
	return mlos_sched.granted_count[MLOS_PRIO_REALTIME] || mlos_sched.granted_count[MLOS_PRIO_HIGH];
}

static void tell(struct mlos_inference *i)
{
	if (!i->fetched)
		i->file->unfetched++;
	wake_up_interruptible(&i->file->wait);
}

static void boost(struct mlos_inference *i)
{
	u32 cpus = num_online_cpus();
	u32 room = cpus > mlos_io_cpus ? cpus - mlos_io_cpus : 0;

	if (!i->boost || i->priority > MLOS_PRIO_HIGH || !READ_ONCE(mlos_enable_boost))
		return;
	if (mlos_sched.boosted_threads + i->gang.count > room)
		return;
	mlos_sched.boosted_threads += i->gang.count;
	mlos_gang_set(&i->gang, MLOS_GANG_BOOSTED);
}

static void grant(struct mlos_inference *i, u64 now_ns)
{
	mlos_queue_remove(&mlos_sched.queue, &i->qnode);
	i->granted_ns = now_ns;
	mlos_sched.slots_free -= i->threads;
	mlos_sched.granted_count[i->priority]++;
	mlos_sched.grants++;
	list_add_tail(&i->link, &mlos_sched.granted);
	boost(i);
	trace_mlos_grant(i->node.id, i->priority, i->threads, now_ns - i->started_ns);
}

/* BATCH yields its CPU, not its slot, while REALTIME or HIGH run. */
static void throttle_batch(void)
{
	enum mlos_gang_mode mode = upper_runs() ? MLOS_GANG_THROTTLED : MLOS_GANG_PLAIN;
	struct mlos_inference *i;

	if (!mlos_sched.granted_count[MLOS_PRIO_BATCH])
		return;
	list_for_each_entry(i, &mlos_sched.granted, link)
		if (i->priority == MLOS_PRIO_BATCH)
			mlos_gang_set(&i->gang, mode);
}

static bool may_start(const struct mlos_inference *i, u64 now_ns, u64 aging_ns)
{
	if (i->threads > mlos_sched.slots_free)
		return false;
	if (i->priority != MLOS_PRIO_BATCH || !upper_runs())
		return true;
	return aging_ns && now_ns - i->qnode.enqueued_ns >= 2 * aging_ns;
}

static void expire(struct mlos_inference *i)
{
	mlos_queue_remove(&mlos_sched.queue, &i->qnode);
	i->expired = true;
	mlos_sched.expired++;
	trace_mlos_expire(i->node.id, i->priority);
	tell(i);
}

static void arm(u64 now_ns);

/* Grants what can start. What stands first waits for room even when something smaller behind it would fit: else it starves. */
static void dispatch(void)
{
	u64 now_ns = ktime_get_ns();
	u64 aging_ns = (u64)READ_ONCE(mlos_aging_ms) * NSEC_PER_MSEC;
	struct mlos_qnode *node;

	while ((node = mlos_queue_peek(&mlos_sched.queue, now_ns, aging_ns))) {
		struct mlos_inference *i = from_qnode(node);

		if (i->deadline_ns && i->deadline_ns <= now_ns) {
			expire(i);
			continue;
		}
		if (!may_start(i, now_ns, aging_ns))
			break;
		grant(i, now_ns);
		tell(i);
	}
	throttle_batch();
	publish();
	arm(now_ns);
}

/* --- ending ---------------------------------------------------------------------------------------------------------- */

static void give_slots_back(struct mlos_inference *i)
{
	if (i->gang.mode == MLOS_GANG_BOOSTED)
		mlos_sched.boosted_threads -= i->gang.count;
	mlos_gang_release(&i->gang);
	list_del_init(&i->link);
	mlos_sched.slots_free += i->threads;
	mlos_sched.granted_count[i->priority]--;
}

static void forget(struct mlos_inference *i)
{
	if (!i->fetched && (i->granted_ns || i->expired))
		i->file->unfetched--;
	if (mlos_queued(&i->qnode))
		mlos_queue_remove(&mlos_sched.queue, &i->qnode);
	if (is_granted(i))
		give_slots_back(i);
	mlos_gang_release(&i->gang);
	mlos_idtable_remove(&i->file->inferences, &i->node);
	i->model->active--;
	mlos_model_put(i->model);
	kfree(i);
}

static void finish(struct mlos_inference *i, u64 now_ns, bool failed, u64 *duration_ns, u32 *met)
{
	bool late = i->deadline_ns && now_ns > i->deadline_ns;

	*duration_ns = now_ns - i->granted_ns;
	*met = !late;
	if (!failed) {
		mlos_latency_add(&i->model->latency, *duration_ns);
		if (i->deadline_ns)
			mlos_accuracy_add(&mlos_sched.accuracy, &i->prediction, now_ns, late);
	}
	mlos_sched.dones++;
	trace_mlos_done(i->node.id, i->priority, *duration_ns, *met);
}

/* A client that never calls DONE keeps neither the slots nor the boost. */
static void reclaim(struct work_struct *work)
{
	u64 timeout_ns = (u64)READ_ONCE(mlos_slot_timeout_ms) * NSEC_PER_MSEC;
	struct mlos_inference *i, *next;
	u64 now_ns;

	mutex_lock(&mlos_sched.lock);
	armed_ns = U64_MAX;
	now_ns = ktime_get_ns();
	list_for_each_entry_safe(i, next, &mlos_sched.granted, link) {
		if (!timeout_ns || now_ns - i->granted_ns < timeout_ns)
			break;
		give_slots_back(i);
		i->reclaimed = true;
		mlos_sched.reclaimed++;
		trace_mlos_reclaim(i->node.id, i->priority);
	}
	dispatch();
	mutex_unlock(&mlos_sched.lock);
}

/* Wakes the work up for the next deadline, aging step or time-out, unless it is to wake earlier anyway. */
static void arm(u64 now_ns)
{
	u64 timeout_ns = (u64)READ_ONCE(mlos_slot_timeout_ms) * NSEC_PER_MSEC;
	u64 aging_ns = (u64)READ_ONCE(mlos_aging_ms) * NSEC_PER_MSEC;
	u64 next_ns = U64_MAX;
	u32 class;

	if (timeout_ns && !list_empty(&mlos_sched.granted))
		next_ns = list_first_entry(&mlos_sched.granted, struct mlos_inference, link)->granted_ns + timeout_ns;
	for (class = 0; class < MLOS_CLASSES; class++) {
		if (!mlos_sched.queue.count[class])
			continue;
		if (mlos_sched.queue.heap[class][0]->deadline_ns)
			next_ns = min(next_ns, mlos_sched.queue.heap[class][0]->deadline_ns);
		if (class == MLOS_PRIO_BATCH && aging_ns)
			next_ns = min(next_ns, now_ns + aging_ns);
	}
	if (next_ns == U64_MAX || next_ns >= armed_ns)
		return;
	armed_ns = next_ns;
	mod_delayed_work(system_wq, &mlos_sched.reclaim,
			 next_ns > now_ns ? nsecs_to_jiffies(next_ns - now_ns) + 1 : 0);
}

/* --- the operations -------------------------------------------------------------------------------------------------- */

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
	i->file = file;
	i->priority = priority;
	i->threads = threads;
	i->deadline_ns = deadline_ns;
	return i;
}

static void discard(struct mlos_inference *i)
{
	mlos_gang_release(&i->gang);
	mlos_model_put(i->model);
	kfree(i);
}

/* Takes over `i` when it returns 0. The id is valid afterwards, granted_ns says whether it runs. */
static int submit(struct mlos_inference *i, u64 *predicted_wait_ns)
{
	u64 now_ns = ktime_get_ns();
	int ret;

	if (i->deadline_ns && i->deadline_ns <= now_ns)
		return -ETIME;
	ret = mlos_idtable_add(&i->file->inferences, &i->node, mlos_new_id());
	if (ret)
		return -EAGAIN;
	*predicted_wait_ns = mlos_predict_wait(i->priority, i->deadline_ns, now_ns);
	mlos_predict_at_start(i, now_ns);
	i->started_ns = now_ns;
	ret = mlos_queue_push(&mlos_sched.queue, &i->qnode, i->priority, i->deadline_ns, now_ns);
	if (ret) {
		mlos_idtable_remove(&i->file->inferences, &i->node);
		return ret;
	}
	i->model->active++;
	mlos_sched.starts++;
	trace_mlos_start(i->node.id, i->priority, i->threads, i->deadline_ns);
	i->fetched = true; /* what is granted at once is told by the caller's own return */
	dispatch();
	i->fetched = i->granted_ns;
	if (i->expired)
		tell(i);
	return 0;
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
	u64 wait_ns;
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
	ret = submit(i, &wait_ns);
	if (ret) {
		mutex_unlock(&mlos_sched.lock);
		discard(i);
		return ret;
	}
	a->inference_id = i->node.id;
	a->state = i->granted_ns ? MLOS_INFERENCE_GRANTED : MLOS_INFERENCE_QUEUED;
	a->predicted_wait_ns = i->granted_ns ? 0 : wait_ns;
	a->boosted = mlos_gang_boosted(&i->gang);
	if (!i->granted_ns && (a->flags & MLOS_INFERENCE_NOWAIT)) {
		forget(i);
		publish();
		ret = -EAGAIN;
	}
	mutex_unlock(&mlos_sched.lock);
	if (!ret)
		mlos_prefetch_start(file, a->model_id, a->inference_id);
	return ret;
}

/* One that has something to tell; the file's first when id is 0. */
static struct mlos_inference *find_told(struct mlos_file *file, u64 id, bool *any)
{
	u32 bucket;

	if (id) {
		struct mlos_inference *i = find(file, id);

		*any = i != NULL;
		return i && (i->granted_ns || i->expired) ? i : NULL;
	}
	*any = false;
	for (bucket = 0; file->inferences.count && bucket <= file->inferences.mask; bucket++) {
		struct mlos_idnode *node;

		for (node = file->inferences.buckets[bucket]; node; node = node->next) {
			struct mlos_inference *i = container_of(node, struct mlos_inference, node);

			if (i->fetched)
				continue;
			*any = true;
			if (i->granted_ns || i->expired)
				return i;
		}
	}
	return NULL;
}

/* What an end tells the caller and the plan of the model. */
struct ended {
	u64 duration_ns;
	u32 met;
	u64 model_id; /* 0 = there was no such inference */
	u64 granted_ns; /* 0 = it was not granted */
};

static void fetch(struct mlos_inference *i, struct mlos_inference_wait *a, struct ended *e)
{
	a->granted_id = i->node.id;
	a->state = i->expired ? MLOS_INFERENCE_EXPIRED : MLOS_INFERENCE_GRANTED;
	a->boosted = mlos_gang_boosted(&i->gang);
	a->queued_ns = (i->expired ? ktime_get_ns() : i->granted_ns) - i->started_ns;
	if (!i->fetched)
		i->file->unfetched--;
	i->fetched = true;
	if (!i->expired)
		return;
	e->model_id = i->model->node.id;
	forget(i);
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
	if (e.model_id)
		mlos_prefetch_end(file, e.model_id, a->granted_id, 0);
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
	e->model_id = i->model->node.id;
	if (is_granted(i)) {
		e->granted_ns = i->granted_ns;
		finish(i, ktime_get_ns(), flags & MLOS_DONE_FAILED, &e->duration_ns, &e->met);
	}
	forget(i);
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
		dispatch();
	mutex_unlock(&mlos_sched.lock);
	a->duration_ns = e.duration_ns;
	a->deadline_met = e.met;
	if (e.model_id)
		mlos_prefetch_end(file, e.model_id, a->inference_id, e.granted_ns);
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
			dispatch();
	} else {
		e->result = submit(o->start, &unused_ns);
		if (e->result)
			return;
		e->id = o->start->node.id;
		e->state = o->start->granted_ns ? MLOS_INFERENCE_GRANTED : MLOS_INFERENCE_QUEUED;
		if (!o->start->granted_ns && (e->flags & MLOS_INFERENCE_NOWAIT)) {
			forget(o->start);
			e->result = -EAGAIN;
		} else {
			o->plan_start = o->start->model->node.id;
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
	publish();
	mutex_unlock(&mlos_sched.lock);
	a->failed = 0;
	for (n = 0; n < a->count; n++) {
		a->failed += entries[n].result != 0;
		if (objects[n].plan_start)
			mlos_prefetch_start(file, objects[n].plan_start, entries[n].id);
		if (objects[n].ended.model_id)
			mlos_prefetch_end(file, objects[n].ended.model_id, entries[n].id, objects[n].ended.granted_ns);
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

__poll_t mlos_sched_poll(struct mlos_file *file, struct file *filp, poll_table *wait)
{
	__poll_t mask;

	poll_wait(filp, &file->wait, wait);
	mutex_lock(&mlos_sched.lock);
	mask = file->unfetched ? EPOLLIN | EPOLLRDNORM : 0;
	mutex_unlock(&mlos_sched.lock);
	return mask;
}

void mlos_sched_release(struct mlos_file *file)
{
	struct mlos_idnode *node;

	mutex_lock(&mlos_sched.lock);
	while ((node = mlos_idtable_any(&file->inferences)))
		forget(container_of(node, struct mlos_inference, node));
	dispatch();
	mutex_unlock(&mlos_sched.lock);
}

int mlos_sched_init(void)
{
	u32 cpus = num_online_cpus();
	int ret;

	BUILD_BUG_ON(MLOS_PRIO_BATCH + 1 != MLOS_CLASSES);
	mutex_init(&mlos_sched.lock);
	INIT_LIST_HEAD(&mlos_sched.granted);
	INIT_DELAYED_WORK(&mlos_sched.reclaim, reclaim);
	armed_ns = U64_MAX;
	mlos_sched.slots = mlos_slots ?: (cpus > mlos_io_cpus ? cpus - mlos_io_cpus : 1);
	mlos_sched.slots = clamp_t(u32, mlos_sched.slots, 1, 4096);
	mlos_sched.slots_free = mlos_sched.slots;
	mlos_sched.status = (void *)get_zeroed_page(GFP_KERNEL);
	if (!mlos_sched.status)
		return -ENOMEM;
	ret = mlos_queue_init(&mlos_sched.queue, 4 * MLOS_MAX_INFERENCES);
	if (ret) {
		free_page((unsigned long)mlos_sched.status);
		return ret;
	}
	mlos_sched.status->abi_major = MLOS_ABI_MAJOR;
	mlos_sched.status->abi_minor = MLOS_ABI_MINOR;
	mlos_sched.status->slots = mlos_sched.slots;
	publish();
	return 0;
}

void mlos_sched_exit(void)
{
	cancel_delayed_work_sync(&mlos_sched.reclaim);
	mlos_queue_destroy(&mlos_sched.queue);
	free_page((unsigned long)mlos_sched.status);
	mlos_sched.status = NULL;
}
