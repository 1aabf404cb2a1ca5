// SPDX-License-Identifier: GPL-2.0
/* What there is, of all open files, for people and their tools: clients, models, tensors, inferences, counters. */
#include <linux/uaccess.h>

#include "mlos.h"

/* Elements are put together in the kernel: user memory is not written under a lock. */
struct collector {
	char *elements;
	u32 element_size, capacity, count;
	struct mlos_file *file; /* whose objects are visited */
};

/* Where the next element goes; NULL when it is only counted. */
static void *next_element(struct collector *c)
{
	u32 n = c->count++;

	return n < c->capacity ? c->elements + (size_t)n * c->element_size : NULL;
}

static long list(struct mlos_list *a, u32 element_size, void (*visit)(struct collector *c))
{
	struct collector c = { .element_size = element_size, .capacity = a->count };
	size_t bytes;
	long ret = 0;

	if (a->flags || a->count > MLOS_MAX_LIST || a->element_size != element_size)
		return -EINVAL;
	if (a->count) {
		c.elements = kvcalloc(a->count, element_size, GFP_KERNEL_ACCOUNT);
		if (!c.elements)
			return -ENOMEM;
	}
	mutex_lock(&mlos_files.lock);
	list_for_each_entry(c.file, &mlos_files.list, link)
		visit(&c);
	mutex_unlock(&mlos_files.lock);
	bytes = (size_t)min(c.count, c.capacity) * element_size;
	if (bytes && copy_to_user(u64_to_user_ptr(a->elements), c.elements, bytes))
		ret = -EFAULT;
	kvfree(c.elements);
	a->count = c.count;
	return ret;
}

/* --- clients ----------------------------------------------------------------------------------------------------------- */

void mlos_info_of_client(struct mlos_file *file, struct mlos_client_info *out)
{
	memset(out, 0, sizeof(*out));
	out->client_id = file->account->client_id;
	out->process = mlos_account_process(file->account);
	out->models = READ_ONCE(file->models.count);
	out->tensors = READ_ONCE(file->tensors.count);
	out->inferences = READ_ONCE(file->inferences.count);
	out->resident_bytes = (u64)atomic64_read(&file->account->resident_pages) << PAGE_SHIFT;
	strscpy(out->name, file->account->name, sizeof(out->name));
}

static void visit_client(struct collector *c)
{
	struct mlos_client_info *out = next_element(c);

	if (out)
		mlos_info_of_client(c->file, out);
}

long mlos_ioc_client_list(struct mlos_file *file, void *arg)
{
	return list(arg, sizeof(struct mlos_client_info), visit_client);
}

/* --- models ------------------------------------------------------------------------------------------------------------ */

static void tell_model(struct mlos_idnode *node, void *arg)
{
	struct mlos_model *model = container_of(node, struct mlos_model, node);
	struct collector *c = arg;
	struct mlos_model_info *out = next_element(c);

	if (!out)
		return;
	out->model_id = node->id;
	out->client_id = c->file->account->client_id;
	out->process = mlos_account_process(c->file->account);
	out->plan_entries = mlos_prefetch_entries(model);
	strscpy(out->name, model->name, sizeof(out->name));
	mutex_lock(&mlos_sched.lock);
	out->inferences = model->active;
	out->samples = model->latency.samples;
	out->p50_duration_ns = mlos_latency_quantile(&model->latency, 500);
	out->p90_duration_ns = mlos_latency_quantile(&model->latency, 900);
	out->p99_duration_ns = mlos_latency_quantile(&model->latency, 990);
	mutex_unlock(&mlos_sched.lock);
}

static void visit_models(struct collector *c)
{
	mutex_lock(&c->file->lock);
	mlos_idtable_each(&c->file->models, tell_model, c);
	mutex_unlock(&c->file->lock);
}

long mlos_ioc_model_list(struct mlos_file *file, void *arg)
{
	return list(arg, sizeof(struct mlos_model_info), visit_models);
}

/* --- tensors ----------------------------------------------------------------------------------------------------------- */

/* mlos_memory.lock held, which keeps the body where it is without waiting for what is being read into it. */
static void tell_body(const struct mlos_tensor *tensor, struct mlos_tensor_info *out)
{
	const struct mlos_body *body = tensor->body;

	out->resident_bytes = body->lru.charged << PAGE_SHIFT;
	out->numa_node = READ_ONCE(body->node);
	out->state = (body->lru.charged == body->n_pages ? MLOS_TENSOR_STATE_RESIDENT : 0) |
		     (out->pins ? MLOS_TENSOR_STATE_PINNED : 0) |
		     (body->sharers > 1 ? MLOS_TENSOR_STATE_SHARED : 0) |
		     (READ_ONCE(body->lost) ? MLOS_TENSOR_STATE_LOST : 0);
}

static void tell_tensor(struct mlos_idnode *node, void *arg)
{
	struct mlos_tensor *tensor = container_of(node, struct mlos_tensor, node);
	struct collector *c = arg;
	struct mlos_tensor_info *out = next_element(c);

	if (!out)
		return;
	out->tensor_id = node->id;
	out->client_id = c->file->account->client_id;
	out->process = mlos_account_process(c->file->account);
	out->model_id = tensor->model_id;
	out->bytes = tensor->bytes;
	out->flags = tensor->flags;
	out->gpu = tensor->gpu_index;
	out->pins = atomic_read(&tensor->pinned);
	out->mappings = READ_ONCE(tensor->maps);
	mutex_lock(&mlos_memory.lock);
	tell_body(tensor, out);
	mutex_unlock(&mlos_memory.lock);
}

static void visit_tensors(struct collector *c)
{
	mutex_lock(&c->file->lock);
	mlos_idtable_each(&c->file->tensors, tell_tensor, c);
	mutex_unlock(&c->file->lock);
}

long mlos_ioc_tensor_list(struct mlos_file *file, void *arg)
{
	return list(arg, sizeof(struct mlos_tensor_info), visit_tensors);
}

/* --- inferences -------------------------------------------------------------------------------------------------------- */

static u32 state_of(const struct mlos_inference *i)
{
	if (i->expired)
		return MLOS_INFERENCE_EXPIRED;
	if (i->reclaimed)
		return MLOS_INFERENCE_RECLAIMED;
	return i->granted_ns ? MLOS_INFERENCE_GRANTED : MLOS_INFERENCE_QUEUED;
}

static void tell_inference(struct mlos_idnode *node, void *arg)
{
	const struct mlos_inference *i = container_of(node, struct mlos_inference, node);
	struct mlos_inference_info *out = next_element(arg);

	if (!out)
		return;
	out->inference_id = node->id;
	out->client_id = i->file->account->client_id;
	out->process = mlos_account_process(i->file->account);
	out->model_id = i->model->node.id;
	out->priority = i->priority;
	out->threads = i->threads;
	out->state = state_of(i);
	out->boosted = mlos_gang_boosted(&i->gang);
	out->deadline_ns = i->deadline_ns;
	out->started_ns = i->started_ns;
	out->granted_ns = i->granted_ns;
}

static void visit_inferences(struct collector *c)
{
	mutex_lock(&mlos_sched.lock);
	mlos_idtable_each(&c->file->inferences, tell_inference, c);
	mutex_unlock(&mlos_sched.lock);
}

long mlos_ioc_inference_list(struct mlos_file *file, void *arg)
{
	return list(arg, sizeof(struct mlos_inference_info), visit_inferences);
}

/* --- counters ---------------------------------------------------------------------------------------------------------- */

static void memory_stats(struct mlos_stats *a)
{
	mutex_lock(&mlos_memory.lock);
	a->resident_bytes = mlos_memory.lru.resident << PAGE_SHIFT;
	a->memory_limit = (u64)mlos_memory_limit_pages() << PAGE_SHIFT;
	a->evicted_tensors = mlos_memory.lru.evicted_nodes;
	a->evicted_bytes = mlos_memory.lru.evicted << PAGE_SHIFT;
	a->shrunk_bytes = mlos_memory.shrunk_pages << PAGE_SHIFT;
	a->dedup_hashed = mlos_memory.hashed;
	a->dedup_duplicates = mlos_memory.duplicates;
	a->dedup_saved_bytes = mlos_memory.saved_pages << PAGE_SHIFT;
	a->dedup_collisions = mlos_memory.collisions;
	mutex_unlock(&mlos_memory.lock);
}

static void sched_stats(struct mlos_stats *a)
{
	u32 class;

	mutex_lock(&mlos_sched.lock);
	a->started = mlos_sched.starts;
	a->granted = mlos_sched.grants;
	a->done = mlos_sched.dones;
	a->expired = mlos_sched.expired;
	a->reclaimed = mlos_sched.reclaimed;
	a->slots = mlos_sched.slots;
	a->slots_free = mlos_sched.slots_free;
	a->boosted_threads = mlos_sched.boosted_threads;
	for (class = 0; class < MLOS_CLASSES; class++) {
		a->queued_now[class] = mlos_queue_count(&mlos_sched.queue, class);
		a->granted_now[class] = mlos_sched.granted_count[class];
	}
	mutex_unlock(&mlos_sched.lock);
}

long mlos_ioc_stats(struct mlos_file *file, void *arg)
{
	struct mlos_stats *a = arg;
	struct mlos_file *other;

	if (a->flags)
		return -EINVAL;
	BUILD_BUG_ON(sizeof(*a) > sizeof(((struct mlos_call *)0)->bytes));
	mutex_lock(&mlos_files.lock);
	a->clients = 0;
	list_for_each_entry(other, &mlos_files.list, link)
		a->clients++;
	mutex_unlock(&mlos_files.lock);
	memory_stats(a);
	sched_stats(a);
	return 0;
}
