// SPDX-License-Identifier: GPL-2.0
/* Prefetch plans: the tensors of a model, read shortly before an inference needs them. */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "mlos.h"

struct prefetch_item {
	struct delayed_work work;
	struct mlos_prefetcher *owner;
	struct mlos_tensor *tensor;
	u32 index;
};

struct mlos_prefetcher {
	struct mutex lock; /* guards plan, running and inference_id; innermost */
	struct mlos_plan plan;
	bool running;	   /* one run is followed at a time */
	u64 inference_id;  /* whose run it is; 0 = ahead of its inference */
	struct prefetch_item items[];
};

static void prefetch_now(struct work_struct *work)
{
	struct prefetch_item *item = container_of(to_delayed_work(work), struct prefetch_item, work);
	struct mlos_prefetcher *p = item->owner;
	bool optional = !(p->plan.items[item->index].flags & MLOS_PLAN_CRITICAL);
	u64 began_ns = ktime_get_ns(), bytes = 0, now_ns;
	int ret = mlos_tensor_load(item->tensor, optional, &bytes);

	now_ns = ktime_get_ns();
	mutex_lock(&p->lock);
	p->plan.issued++;
	p->plan.bytes += bytes;
	if (ret == -ENOMEM && optional)
		p->plan.skipped++;
	else if (ret)
		p->plan.failed++;
	else {
		p->plan.resident_already += bytes == 0;
		if (p->running)
			mlos_plan_ready(&p->plan, item->index, now_ns, bytes ? now_ns - began_ns : 0);
	}
	mutex_unlock(&p->lock);
}

/* Stops all work of the plan and gives the tensors back. */
static void destroy(struct mlos_prefetcher *p)
{
	u32 i;

	for (i = 0; i < p->plan.count; i++) {
		struct mlos_tensor *tensor = p->items[i].tensor;

		if (!tensor)
			continue;
		cancel_delayed_work_sync(&p->items[i].work);
		mutex_lock(&tensor->lock);
		if (tensor->watcher == p)
			tensor->watcher = NULL;
		mutex_unlock(&tensor->lock);
		mlos_tensor_put(tensor);
	}
	mutex_destroy(&p->lock);
	kvfree(p->plan.items);
	kvfree(p);
}

void mlos_prefetch_drop(struct mlos_model *model)
{
	if (model->prefetcher)
		destroy(model->prefetcher);
	WRITE_ONCE(model->prefetcher, NULL);
}

/* file->lock held. */
static struct mlos_model *find_model(struct mlos_file *file, u64 id)
{
	struct mlos_idnode *node = mlos_idtable_find(&file->models, id);

	return node ? container_of(node, struct mlos_model, node) : NULL;
}

/* --- setting -------------------------------------------------------------------------------------------------------- */

static bool entry_valid(const struct mlos_plan_entry *e)
{
	return !(e->flags & ~MLOS_PLAN_CRITICAL) && !e->reserved && e->offset_ns <= MLOS_PLAN_MAX_OFFSET_NS;
}

/* file->lock held: the tensor cannot lose its id meanwhile. */
static int add_item(struct mlos_file *file, struct mlos_prefetcher *p, const struct mlos_plan_entry *e)
{
	struct mlos_idnode *node = mlos_idtable_find(&file->tensors, e->tensor_id);
	struct mlos_plan_item *item = &p->plan.items[p->plan.count];
	struct prefetch_item *work = &p->items[p->plan.count];
	struct mlos_tensor *tensor;

	if (!entry_valid(e))
		return -EINVAL;
	if (!node)
		return -ENOENT;
	tensor = container_of(node, struct mlos_tensor, node);
	if (!(tensor->flags & MLOS_TENSOR_BACKED))
		return -EINVAL;
	item->tensor_id = e->tensor_id;
	item->given_ns = e->offset_ns;
	item->learnt_ns = e->offset_ns;
	item->flags = e->flags;
	kref_get(&tensor->ref);
	work->tensor = tensor;
	work->owner = p;
	work->index = p->plan.count;
	INIT_DELAYED_WORK(&work->work, prefetch_now);
	p->plan.count++;
	return 0;
}

static struct mlos_prefetcher *new_prefetcher(struct mlos_file *file, const struct mlos_prefetch_plan *a,
					      const struct mlos_plan_entry *entries)
{
	struct mlos_prefetcher *p = kvzalloc(struct_size(p, items, a->count), GFP_KERNEL_ACCOUNT);
	int ret = 0;
	u32 i;

	if (!p)
		return ERR_PTR(-ENOMEM);
	mutex_init(&p->lock);
	p->plan.items = kvcalloc(a->count, sizeof(*p->plan.items), GFP_KERNEL_ACCOUNT);
	if (!p->plan.items) {
		kvfree(p);
		return ERR_PTR(-ENOMEM);
	}
	p->plan.flags = a->flags;
	p->plan.learning = a->flags & MLOS_PLAN_ADAPTIVE;
	p->plan.rate_pct = 25;
	for (i = 0; i < a->count && !ret; i++)
		ret = add_item(file, p, &entries[i]);
	if (ret) {
		destroy(p);
		return ERR_PTR(ret);
	}
	return p;
}

static void watch(struct mlos_prefetcher *p)
{
	u32 i;

	for (i = 0; i < p->plan.count; i++) {
		struct mlos_tensor *tensor = p->items[i].tensor;

		mutex_lock(&tensor->lock);
		tensor->watcher = p;
		mutex_unlock(&tensor->lock);
	}
}

long mlos_ioc_plan_set(struct mlos_file *file, void *arg)
{
	struct mlos_prefetch_plan *a = arg;
	struct mlos_plan_entry *entries;
	struct mlos_prefetcher *p;
	struct mlos_model *model;
	long ret = 0;

	if ((a->flags & ~(MLOS_PLAN_ENABLE_AUTO | MLOS_PLAN_ADAPTIVE)) || !a->count ||
	    a->count > MLOS_PLAN_MAX_ENTRIES || a->element_size != sizeof(*entries))
		return -EINVAL;
	entries = vmemdup_user(u64_to_user_ptr(a->entries), a->count * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	mutex_lock(&file->lock);
	model = find_model(file, a->model_id);
	p = model ? new_prefetcher(file, a, entries) : ERR_PTR(-ENOENT);
	if (IS_ERR(p)) {
		ret = PTR_ERR(p);
	} else {
		mlos_prefetch_drop(model);
		WRITE_ONCE(model->prefetcher, p);
		watch(p);
	}
	mutex_unlock(&file->lock);
	kvfree(entries);
	return ret;
}

long mlos_ioc_plan_clear(struct mlos_file *file, void *arg)
{
	struct mlos_prefetch_plan *a = arg;
	struct mlos_model *model;

	if (a->flags || a->entries || a->count || a->element_size)
		return -EINVAL;
	mutex_lock(&file->lock);
	model = find_model(file, a->model_id);
	if (model)
		mlos_prefetch_drop(model);
	mutex_unlock(&file->lock);
	return model ? 0 : -ENOENT;
}

/* --- following ------------------------------------------------------------------------------------------------------ */

/* So that the first touch of this run is seen even where an earlier run left the pages mapped. */
static void forget_touches(struct mlos_prefetcher *p)
{
	u32 i;

	for (i = 0; i < p->plan.count; i++) {
		struct mlos_tensor *tensor = p->items[i].tensor;

		/* A mapping that is counted holds the tensor's file, and with it `mapping`. */
		mutex_lock(&tensor->lock);
		if (tensor->maps)
			unmap_mapping_range(tensor->mapping, 0, 0, 0);
		mutex_unlock(&tensor->lock);
	}
}

/* False when a run is followed already; one ahead becomes that of the inference. */
static bool follow(struct mlos_prefetcher *p, u64 inference_id)
{
	bool adaptive;
	u32 i;

	mutex_lock(&p->lock);
	if (p->running) {
		if (!p->inference_id)
			p->inference_id = inference_id;
		mutex_unlock(&p->lock);
		return false;
	}
	p->running = true;
	p->inference_id = inference_id;
	mlos_plan_begin(&p->plan);
	for (i = 0; i < p->plan.count; i++)
		queue_delayed_work(system_unbound_wq, &p->items[i].work,
				   nsecs_to_jiffies(mlos_plan_issue_at(&p->plan, i)));
	adaptive = p->plan.flags & MLOS_PLAN_ADAPTIVE;
	mutex_unlock(&p->lock);
	if (adaptive)
		forget_touches(p);
	return true;
}

static bool automatic(const struct mlos_prefetcher *p)
{
	return p->plan.flags & MLOS_PLAN_ENABLE_AUTO;
}

/* What was needed before the grant is not learnt from: it says how long the inference waited, not when it needs its tensors. */
static void end_run(struct mlos_prefetcher *p, u64 inference_id, u64 granted_ns)
{
	mutex_lock(&p->lock);
	if (p->running && p->inference_id == inference_id) {
		if (granted_ns)
			mlos_plan_end(&p->plan, granted_ns);
		p->running = false;
	}
	mutex_unlock(&p->lock);
}

void mlos_prefetch_start(struct mlos_file *file, u64 model_id, u64 inference_id)
{
	struct mlos_model *model;
	struct mlos_prefetcher *p;

	mutex_lock(&file->lock);
	model = find_model(file, model_id);
	p = model ? model->prefetcher : NULL;
	if (p && (p->running || automatic(p))) {
		follow(p, inference_id);
		/* Another thread may have ended it already. */
		if (!mlos_inference_exists(file, inference_id))
			end_run(p, inference_id, 0);
	}
	mutex_unlock(&file->lock);
}

long mlos_ioc_plan_start(struct mlos_file *file, void *arg)
{
	struct mlos_prefetch_run *a = arg;
	struct mlos_model *model;
	long ret = 0;

	if (a->flags)
		return -EINVAL;
	mutex_lock(&file->lock);
	model = find_model(file, a->model_id);
	if (!model)
		ret = -ENOENT;
	else if (!model->prefetcher)
		ret = -ENODATA;
	else if (!follow(model->prefetcher, 0))
		ret = -EBUSY;
	mutex_unlock(&file->lock);
	return ret;
}

u32 mlos_prefetch_entries(const struct mlos_model *model)
{
	return model->prefetcher ? model->prefetcher->plan.count : 0;
}

void mlos_prefetch_end(struct mlos_file *file, u64 model_id, u64 inference_id, u64 granted_ns)
{
	struct mlos_model *model;

	mutex_lock(&file->lock);
	model = find_model(file, model_id);
	if (model && model->prefetcher)
		end_run(model->prefetcher, inference_id, granted_ns);
	mutex_unlock(&file->lock);
}

void mlos_prefetch_touched(struct mlos_tensor *tensor)
{
	struct mlos_prefetcher *p = tensor->watcher;

	lockdep_assert_held(&tensor->lock);
	if (!p)
		return;
	mutex_lock(&p->lock);
	if (p->running)
		mlos_plan_touched(&p->plan, tensor->id, ktime_get_ns());
	mutex_unlock(&p->lock);
}

/* --- telling -------------------------------------------------------------------------------------------------------- */

/* With both locks held, or an error and none. */
static struct mlos_prefetcher *lock_plan(struct mlos_file *file, u64 model_id)
{
	struct mlos_model *model;

	mutex_lock(&file->lock);
	model = find_model(file, model_id);
	if (!model || !model->prefetcher) {
		mutex_unlock(&file->lock);
		return ERR_PTR(model ? -ENODATA : -ENOENT);
	}
	mutex_lock(&model->prefetcher->lock);
	return model->prefetcher;
}

static void unlock_plan(struct mlos_file *file, struct mlos_prefetcher *p)
{
	mutex_unlock(&p->lock);
	mutex_unlock(&file->lock);
}

long mlos_ioc_prefetch_stats(struct mlos_file *file, void *arg)
{
	struct mlos_prefetch_stats *a = arg;
	struct mlos_prefetcher *p;

	if (a->flags)
		return -EINVAL;
	p = lock_plan(file, a->model_id);
	if (IS_ERR(p))
		return PTR_ERR(p);
	a->runs = p->plan.runs;
	a->issued = p->plan.issued;
	a->resident_already = p->plan.resident_already;
	a->bytes = p->plan.bytes;
	a->skipped = p->plan.skipped;
	a->failed = p->plan.failed;
	unlock_plan(file, p);
	return 0;
}

long mlos_ioc_prefetch_learning(struct mlos_file *file, void *arg)
{
	struct mlos_prefetch_learning *a = arg;
	struct mlos_prefetcher *p;

	if (a->flags & ~MLOS_LEARNING_SET)
		return -EINVAL;
	if (a->flags && (a->learning_enabled > 1 || !a->learning_rate_pct || a->learning_rate_pct > 100))
		return -EINVAL;
	p = lock_plan(file, a->model_id);
	if (IS_ERR(p))
		return PTR_ERR(p);
	if (a->flags) {
		p->plan.learning = a->learning_enabled;
		p->plan.rate_pct = a->learning_rate_pct;
	}
	a->learning_enabled = p->plan.learning;
	a->learning_rate_pct = p->plan.rate_pct;
	a->offset_adjustment_ns = mlos_plan_adjustment_ns(&p->plan);
	a->successful_prefetches = p->plan.successful;
	a->late_prefetches = p->plan.late;
	a->early_prefetches = p->plan.early;
	a->avg_timing_error_ns = p->plan.timed ? div64_u64(p->plan.error_sum_ns, p->plan.timed) : 0;
	unlock_plan(file, p);
	return 0;
}
