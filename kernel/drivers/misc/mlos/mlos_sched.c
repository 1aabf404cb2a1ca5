// SPDX-License-Identifier: GPL-2.0
/* The queue of inferences and the CPU slots: who is granted one, who waits, who is thrown out. */
#include <linux/cpumask.h>
#include <linux/ktime.h>

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

/* --- the status page ------------------------------------------------------------------------------------------------- */

void mlos_sched_publish(void)
{
	struct mlos_status *s = mlos_sched.status;
	u32 class;

	WRITE_ONCE(s->slots_free, mlos_sched.slots_free);
	for (class = 0; class < MLOS_CLASSES; class++) {
		WRITE_ONCE(s->queued[class], mlos_queue_count(&mlos_sched.queue, class));
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

/* What is granted or thrown out while START looks on is told by START's own return. */
static void tell(struct mlos_inference *i)
{
	if (!i->awaited)
		return;
	list_add_tail(&i->told, &i->file->told);
	wake_up_interruptible(&i->file->wait);
}

void mlos_sched_fetched(struct mlos_inference *i)
{
	if (!i->awaited)
		return;
	i->awaited = false;
	i->file->awaited--;
	list_del_init(&i->told);
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

/* Whatever stands before it: who is late is told so at once. */
static void expire_late(u64 now_ns)
{
	struct mlos_qnode *first;
	u32 class;

	for (class = 0; class < MLOS_CLASSES; class++) {
		while ((first = mlos_queue_first(&mlos_sched.queue, class))) {
			if (!first->deadline_ns || first->deadline_ns > now_ns)
				break;
			expire(from_qnode(first));
		}
	}
}

static void arm(u64 now_ns);

/* After slots went to others. */
static void settle(u64 now_ns)
{
	throttle_batch();
	mlos_sched_publish();
	arm(now_ns);
}

/* Grants what can start. What stands first waits for room even when something smaller behind it would fit: else it starves. */
void mlos_sched_dispatch(void)
{
	u64 now_ns = ktime_get_ns();
	u64 aging_ns = (u64)READ_ONCE(mlos_aging_ms) * NSEC_PER_MSEC;
	struct mlos_qnode *node;

	expire_late(now_ns);
	while ((node = mlos_queue_peek(&mlos_sched.queue, now_ns, aging_ns))) {
		struct mlos_inference *i = from_qnode(node);

		if (!may_start(i, now_ns, aging_ns))
			break;
		mlos_queue_remove(&mlos_sched.queue, &i->qnode);
		grant(i, now_ns);
		tell(i);
	}
	settle(now_ns);
}

/* --- starting ------------------------------------------------------------------------------------------------------ */

static void count_start(struct mlos_inference *i)
{
	i->model->active++;
	mlos_sched.starts++;
	trace_mlos_start(i->node.id, i->priority, i->threads, i->deadline_ns);
}

static int enqueue(struct mlos_inference *i, u64 now_ns, u64 *predicted_wait_ns)
{
	int ret;

	*predicted_wait_ns = mlos_predict_wait(i->priority, i->deadline_ns, now_ns);
	mlos_predict_at_start(i, now_ns + *predicted_wait_ns);
	ret = mlos_queue_push(&mlos_sched.queue, &i->qnode, i->priority, i->deadline_ns, mlos_predict_work(i), now_ns);
	if (ret)
		return ret;
	count_start(i);
	mlos_sched_dispatch();
	if (i->granted_ns)
		return 0;
	i->awaited = true;
	i->file->awaited++;
	if (i->expired)
		tell(i);
	return 0;
}

/* Nobody waits and there is room: as the queue would have it, without the way through it. */
static bool starts_at_once(const struct mlos_inference *i)
{
	return mlos_queue_empty(&mlos_sched.queue) && i->threads <= mlos_sched.slots_free &&
	       (i->priority != MLOS_PRIO_BATCH || !upper_runs());
}

int mlos_sched_submit(struct mlos_inference *i, u64 *predicted_wait_ns)
{
	u64 now_ns = ktime_get_ns();
	int ret;

	if (i->deadline_ns && i->deadline_ns <= now_ns)
		return -ETIME;
	ret = mlos_idtable_add(&i->file->inferences, &i->node, mlos_new_id());
	if (ret)
		return -EAGAIN;
	i->started_ns = now_ns;
	if (starts_at_once(i)) {
		*predicted_wait_ns = 0;
		mlos_predict_at_start(i, now_ns);
		count_start(i);
		grant(i, now_ns);
		settle(now_ns);
		return 0;
	}
	ret = enqueue(i, now_ns, predicted_wait_ns);
	if (ret)
		mlos_idtable_remove(&i->file->inferences, &i->node);
	return ret;
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

void mlos_sched_forget(struct mlos_inference *i)
{
	mlos_sched_fetched(i);
	if (mlos_queued(&i->qnode))
		mlos_queue_remove(&mlos_sched.queue, &i->qnode);
	if (mlos_inference_granted(i))
		give_slots_back(i);
	mlos_gang_release(&i->gang);
	mlos_idtable_remove(&i->file->inferences, &i->node);
	i->model->active--;
	mlos_model_put(i->model);
	kfree(i);
}

void mlos_sched_finish(struct mlos_inference *i, u64 now_ns, bool failed, u64 *duration_ns, u32 *met)
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
	mlos_sched_dispatch();
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
		const struct mlos_qnode *first = mlos_queue_first(&mlos_sched.queue, class);

		if (!first)
			continue;
		if (first->deadline_ns)
			next_ns = min(next_ns, first->deadline_ns);
		if (class == MLOS_PRIO_BATCH && aging_ns)
			next_ns = min(next_ns, now_ns + aging_ns);
	}
	if (next_ns == U64_MAX || next_ns >= armed_ns)
		return;
	armed_ns = next_ns;
	mod_delayed_work(system_wq, &mlos_sched.reclaim,
			 next_ns > now_ns ? nsecs_to_jiffies(next_ns - now_ns) + 1 : 0);
}

void mlos_sched_apply_parameters(void)
{
	mutex_lock(&mlos_sched.lock);
	mlos_sched_dispatch();
	mutex_unlock(&mlos_sched.lock);
}

__poll_t mlos_sched_poll(struct mlos_file *file, struct file *filp, poll_table *wait)
{
	__poll_t mask;

	poll_wait(filp, &file->wait, wait);
	mutex_lock(&mlos_sched.lock);
	mask = !list_empty(&file->told) ? EPOLLIN | EPOLLRDNORM : 0;
	mutex_unlock(&mlos_sched.lock);
	return mask;
}

void mlos_sched_release(struct mlos_file *file)
{
	struct mlos_idnode *node;

	mutex_lock(&mlos_sched.lock);
	while ((node = mlos_idtable_any(&file->inferences)))
		mlos_sched_forget(container_of(node, struct mlos_inference, node));
	mlos_sched_dispatch();
	mutex_unlock(&mlos_sched.lock);
}

int mlos_sched_init(void)
{
	u32 cpus = num_online_cpus();

	BUILD_BUG_ON(MLOS_PRIO_BATCH + 1 != MLOS_CLASSES);
	mutex_init(&mlos_sched.lock);
	INIT_LIST_HEAD(&mlos_sched.granted);
	INIT_DELAYED_WORK(&mlos_sched.reclaim, reclaim);
	armed_ns = U64_MAX;
	mlos_sched.slots = mlos_slots ?: min_t(u32, cpus > mlos_io_cpus ? cpus - mlos_io_cpus : 1, MLOS_MAX_SLOTS);
	mlos_sched.slots_free = mlos_sched.slots;
	mlos_sched.status = (void *)get_zeroed_page(GFP_KERNEL);
	if (!mlos_sched.status)
		return -ENOMEM;
	mlos_queue_init(&mlos_sched.queue, 4 * MLOS_MAX_INFERENCES);
	mlos_sched.status->abi_major = MLOS_ABI_MAJOR;
	mlos_sched.status->abi_minor = MLOS_ABI_MINOR;
	mlos_sched.status->slots = mlos_sched.slots;
	mlos_sched_publish();
	return 0;
}

void mlos_sched_exit(void)
{
	u32 class;

	cancel_delayed_work_sync(&mlos_sched.reclaim);
	for (class = 0; class < MLOS_CLASSES; class++)
		WARN_ON(mlos_queue_count(&mlos_sched.queue, class));
	free_page((unsigned long)mlos_sched.status);
	mlos_sched.status = NULL;
}
