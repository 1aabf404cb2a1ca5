// SPDX-License-Identifier: GPL-2.0
/* Tensors: how they are made, and the ids by which their maker steers them. */
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/topology.h>

#include "mlos.h"

static struct mlos_tensor *from_node(struct mlos_idnode *node)
{
	return container_of(node, struct mlos_tensor, node);
}

static void tensor_free(struct kref *ref)
{
	struct mlos_tensor *tensor = container_of(ref, struct mlos_tensor, ref);

	mlos_gpu_give(tensor);
	if (tensor->body) {
		if (tensor->body->node >= 0)
			atomic_dec(&mlos_memory.nodes[tensor->body->node].tensors);
		mlos_body_unshare(tensor->body);
		mlos_body_put(tensor->body);
	}
	mutex_destroy(&tensor->lock);
	kfree(tensor);
}

void mlos_tensor_put(struct mlos_tensor *tensor)
{
	kref_put(&tensor->ref, tensor_free);
}

struct mlos_tensor *mlos_tensor_get(struct mlos_file *file, u64 id)
{
	struct mlos_idnode *node;

	mutex_lock(&file->lock);
	node = mlos_idtable_find(&file->tensors, id);
	if (node)
		kref_get(&from_node(node)->ref);
	mutex_unlock(&file->lock);
	return node ? from_node(node) : NULL;
}

/* --- making one ------------------------------------------------------------------------------------------------------- */

static bool alloc_valid(const struct mlos_tensor_alloc *a)
{
	const u32 known = MLOS_TENSOR_READONLY | MLOS_TENSOR_BACKED | MLOS_TENSOR_DISCARDABLE | MLOS_TENSOR_DEDUP |
			  MLOS_ALLOC_NUMA_STRICT | MLOS_ALLOC_GPU | MLOS_TENSOR_POPULATE;
	u32 f = a->flags;

	if ((f & ~known) || a->reserved || a->reserved2 || !a->bytes || a->bytes > MLOS_TENSOR_MAX)
		return false;
	if (!(f & MLOS_TENSOR_BACKED) && (a->backing_fd || a->backing_offset || (f & MLOS_TENSOR_READONLY)))
		return false;
	if (((f & MLOS_TENSOR_DEDUP) && !(f & MLOS_TENSOR_READONLY)) ||
	    ((f & MLOS_TENSOR_BACKED) && (f & MLOS_TENSOR_DISCARDABLE)))
		return false;
	if (!(f & MLOS_ALLOC_GPU) && a->gpu)
		return false;
	if (a->numa_node < MLOS_NUMA_NODE_LOCAL || a->numa_node >= (s32)nr_node_ids)
		return false;
	if (a->numa_node >= 0 && !node_online(a->numa_node))
		return false;
	return !(f & MLOS_ALLOC_NUMA_STRICT) || a->numa_node != MLOS_NUMA_NODE_ANY;
}

static s32 resolve_node(const struct mlos_tensor_alloc *a)
{
	int node;

	if (a->numa_node != MLOS_NUMA_NODE_LOCAL)
		return a->numa_node;
	node = a->flags & MLOS_ALLOC_GPU ? mlos_gpu_node(a->gpu) : NUMA_NO_NODE;
	return node == NUMA_NO_NODE ? numa_mem_id() : node;
}

/*
 * The inode whose page cache has the content. What an overlay shows belongs to an inode below it, as it was when the file was opened or
 * last copied up; the overlay keeps that inode and its mount for as long as its own file is open. That inode is read without the
 * file the overlay opened, which no module can get at: file systems on a block device do without, those that keep per-file state (FUSE,
 * network) do not.
 */
static struct inode *source_of(const struct file *backing)
{
	struct inode *source = d_real_inode(backing->f_path.dentry);
	const struct file_system_type *type;

	if (!source || !S_ISREG(source->i_mode))
		return NULL;
	if (shmem_mapping(source->i_mapping))
		return source;
	if (!source->i_mapping->a_ops->read_folio)
		return NULL;
	type = source->i_sb->s_type;
	if (source != file_inode(backing) && (!(type->fs_flags & FS_REQUIRES_DEV) || source->i_sb->s_magic == FUSE_SUPER_MAGIC))
		return NULL;
	return source;
}

static int attach_backing(struct mlos_body *body, const struct mlos_tensor_alloc *a)
{
	struct file *backing = fget(a->backing_fd);
	struct inode *source = NULL;
	int ret = 0;
	u64 end;

	if (!backing)
		return -EBADF;
	if (!(backing->f_mode & FMODE_READ))
		ret = -EBADF;
	else if (!S_ISREG(file_inode(backing)->i_mode) || mlos_tensor_file_is(backing))
		ret = -EINVAL;
	else
		source = source_of(backing);
	if (!ret && !source)
		ret = -EINVAL;
	if (!ret && (check_add_overflow(a->backing_offset, a->bytes, &end) || end > i_size_read(source)))
		ret = -EINVAL;
	if (ret) {
		fput(backing);
		return ret;
	}
	ihold(source);
	body->source = source;
	body->backing = backing;
	body->backing_offset = a->backing_offset;
	return 0;
}

static struct mlos_tensor *new_tensor(struct mlos_file *file, const struct mlos_tensor_alloc *a)
{
	struct mlos_tensor *tensor = kzalloc(sizeof(*tensor), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!tensor)
		return ERR_PTR(-ENOMEM);
	kref_init(&tensor->ref);
	mutex_init(&tensor->lock);
	INIT_LIST_HEAD(&tensor->extent.link);
	tensor->bytes = a->bytes;
	tensor->model_id = a->model_id;
	tensor->flags = a->flags;
	tensor->gpu_index = a->gpu;
	tensor->body = mlos_body_new(a->bytes, resolve_node(a), a->flags & MLOS_ALLOC_NUMA_STRICT, file->account);
	if (!tensor->body)
		goto fail;
	if (tensor->body->node >= 0)
		atomic_inc(&mlos_memory.nodes[tensor->body->node].tensors);
	tensor->body->discardable = a->flags & MLOS_TENSOR_DISCARDABLE;
	ret = a->flags & MLOS_TENSOR_BACKED ? attach_backing(tensor->body, a) : 0;
	if (!ret && (a->flags & MLOS_ALLOC_GPU))
		ret = mlos_gpu_take(tensor, a->gpu, a->bytes);
	if (!ret && (a->flags & MLOS_TENSOR_POPULATE))
		ret = mlos_tensor_load(tensor, false, NULL);
	if (!ret)
		return tensor;
fail:
	mlos_tensor_put(tensor);
	return ERR_PTR(ret);
}

static bool model_known(struct mlos_file *file, u64 id)
{
	struct mlos_model *model = id ? mlos_model_get(file, id) : NULL;

	if (model)
		mlos_model_put(model);
	return !id || model;
}

long mlos_ioc_tensor_alloc(struct mlos_file *file, void *arg)
{
	struct mlos_tensor_alloc *a = arg;
	struct mlos_call *call = container_of(arg, struct mlos_call, bytes[0]);
	struct mlos_tensor *tensor;
	struct file *filp;
	int ret;

	if (!alloc_valid(a))
		return -EINVAL;
	if (!model_known(file, a->model_id))
		return -ENOENT;
	if ((a->flags & MLOS_ALLOC_GPU) && !mlos_enable_gpu_manager)
		return -EOPNOTSUPP;
	tensor = new_tensor(file, a);
	if (IS_ERR(tensor))
		return PTR_ERR(tensor);
	call->fd = get_unused_fd_flags(O_CLOEXEC);
	ret = call->fd;
	if (call->fd < 0)
		goto put;
	filp = mlos_tensor_file_new(tensor, tensor->flags & MLOS_TENSOR_READONLY);
	ret = PTR_ERR_OR_ZERO(filp);
	if (ret)
		goto put_fd;
	tensor->id = mlos_new_id();
	mutex_lock(&file->lock);
	ret = mlos_idtable_add(&file->tensors, &tensor->node, tensor->id);
	mutex_unlock(&file->lock);
	if (ret) {
		fput(filp);
		goto put_fd;
	}
	a->tensor_id = tensor->id;
	a->fd = call->fd;
	call->install = filp;
	call->undo_tensor = tensor->id;
	return 0;
put_fd:
	put_unused_fd(call->fd);
put:
	mlos_tensor_put(tensor);
	return ret;
}

static int share(struct mlos_tensor *tensor, bool readonly, struct mlos_call *call)
{
	struct file *filp;
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	filp = mlos_tensor_file_new(tensor, readonly);
	if (IS_ERR(filp)) {
		put_unused_fd(fd);
		return PTR_ERR(filp);
	}
	call->fd = fd;
	call->install = filp;
	return 0;
}

long mlos_ioc_tensor_share(struct mlos_file *file, void *arg)
{
	struct mlos_tensor_share *a = arg;
	struct mlos_call *call = container_of(arg, struct mlos_call, bytes[0]);
	struct mlos_tensor *tensor;
	int ret;

	if ((a->flags & ~MLOS_SHARE_READONLY) || a->reserved)
		return -EINVAL;
	tensor = mlos_tensor_get(file, a->tensor_id);
	if (!tensor)
		return -ENOENT;
	ret = share(tensor, (a->flags & MLOS_SHARE_READONLY) || (tensor->flags & MLOS_TENSOR_READONLY), call);
	if (!ret)
		a->fd = call->fd;
	mlos_tensor_put(tensor);
	return ret;
}

/* --- steering one ----------------------------------------------------------------------------------------------------- */

/* What the id held: its pins and its reference. */
static void forget(struct mlos_tensor *tensor)
{
	mutex_lock(&tensor->lock);
	mutex_lock(&tensor->body->lock);
	tensor->body->pins -= atomic_xchg(&tensor->pinned, 0);
	mutex_unlock(&tensor->body->lock);
	mutex_unlock(&tensor->lock);
	mlos_tensor_put(tensor);
}

static int remove_id(struct mlos_file *file, u64 id)
{
	struct mlos_idnode *node;

	mutex_lock(&file->lock);
	node = mlos_idtable_find(&file->tensors, id);
	if (node)
		mlos_idtable_remove(&file->tensors, node);
	mutex_unlock(&file->lock);
	if (!node)
		return -ENOENT;
	forget(from_node(node));
	return 0;
}

void mlos_tensor_undo(struct mlos_file *file, u64 id)
{
	remove_id(file, id);
}

long mlos_ioc_tensor_free(struct mlos_file *file, void *arg)
{
	struct mlos_tensor_free *a = arg;

	return a->flags ? -EINVAL : remove_id(file, a->tensor_id);
}

void mlos_tensors_release(struct mlos_file *file)
{
	struct mlos_idnode *node;

	while ((node = mlos_idtable_any(&file->tensors))) {
		mlos_idtable_remove(&file->tensors, node);
		forget(from_node(node));
	}
}

/* tensor->lock held. Uses the body of an equal tensor from now on, when there is one and nobody maps this one. */
static void dedup(struct mlos_tensor *tensor)
{
	struct mlos_body *body = tensor->body, *twin;

	if (!(tensor->flags & MLOS_TENSOR_DEDUP) || tensor->maps || atomic_read(&tensor->pinned))
		return;
	mutex_lock(&body->lock);
	twin = body->resident == body->n_pages ? mlos_body_twin(body) : NULL;
	mutex_unlock(&body->lock);
	if (!twin)
		return;
	mutex_lock(&mlos_memory.lock);
	tensor->body = twin;
	mutex_unlock(&mlos_memory.lock);
	mlos_body_unshare(body);
	mlos_body_put(body);
}

static int load_locked(struct mlos_tensor *tensor, bool optional, u64 *read_bytes)
{
	struct mlos_body *body = tensor->body;
	unsigned long before;
	int ret;

	mutex_lock(&body->lock);
	before = body->resident;
	ret = mlos_body_populate(body, optional);
	if (read_bytes)
		*read_bytes = (u64)(body->resident - before) << PAGE_SHIFT;
	mutex_unlock(&body->lock);
	if (ret)
		return ret;
	mlos_body_used(body);
	dedup(tensor);
	return 0;
}

int mlos_tensor_load(struct mlos_tensor *tensor, bool optional, u64 *read_bytes)
{
	int ret;

	mutex_lock(&tensor->lock);
	ret = load_locked(tensor, optional, read_bytes);
	mutex_unlock(&tensor->lock);
	return ret;
}

/* tensor->lock and its body's held. */
static void report(struct mlos_tensor *tensor, struct mlos_tensor_op *a)
{
	const struct mlos_body *body = tensor->body;

	a->state = (body->resident == body->n_pages ? MLOS_TENSOR_STATE_RESIDENT : 0) |
		   (atomic_read(&tensor->pinned) ? MLOS_TENSOR_STATE_PINNED : 0) |
		   (READ_ONCE(body->sharers) > 1 ? MLOS_TENSOR_STATE_SHARED : 0) |
		   (body->lost ? MLOS_TENSOR_STATE_LOST : 0);
	a->resident_bytes = (u64)body->resident << PAGE_SHIFT;
}

static int pin(struct mlos_tensor *tensor, struct mlos_tensor_op *a)
{
	int ret = load_locked(tensor, false, NULL);

	if (ret)
		return ret;
	mutex_lock(&tensor->body->lock);
	/* It may have been evicted between loading and here. */
	ret = mlos_body_populate(tensor->body, false);
	if (!ret && tensor->body->pins == U32_MAX)
		ret = -EOVERFLOW;
	if (!ret) {
		tensor->body->pins++;
		atomic_inc(&tensor->pinned);
		report(tensor, a);
		tensor->body->lost = false;
	}
	mutex_unlock(&tensor->body->lock);
	return ret;
}

static int unpin(struct mlos_tensor *tensor, struct mlos_tensor_op *a)
{
	int ret = -EINVAL;

	mutex_lock(&tensor->body->lock);
	if (atomic_read(&tensor->pinned)) {
		tensor->body->pins--;
		atomic_dec(&tensor->pinned);
		report(tensor, a);
		tensor->body->lost = false;
		ret = 0;
	}
	mutex_unlock(&tensor->body->lock);
	mlos_body_used(tensor->body);
	return ret;
}

static long operate(struct mlos_file *file, struct mlos_tensor_op *a,
		    int (*fn)(struct mlos_tensor *tensor, struct mlos_tensor_op *a))
{
	struct mlos_tensor *tensor;
	int ret;

	if (a->flags || a->reserved)
		return -EINVAL;
	tensor = mlos_tensor_get(file, a->tensor_id);
	if (!tensor)
		return -ENOENT;
	mutex_lock(&tensor->lock);
	ret = fn(tensor, a);
	mutex_unlock(&tensor->lock);
	mlos_tensor_put(tensor);
	return ret;
}

long mlos_ioc_tensor_pin(struct mlos_file *file, void *arg)
{
	return operate(file, arg, pin);
}

long mlos_ioc_tensor_unpin(struct mlos_file *file, void *arg)
{
	return operate(file, arg, unpin);
}

struct prefetch_work {
	struct work_struct work;
	struct mlos_tensor *tensor;
};

/* Flushed before the module goes, and before a plan or file counts on it. */
static struct workqueue_struct *prefetch_queue;

static void prefetch_later(struct work_struct *work)
{
	struct prefetch_work *w = container_of(work, struct prefetch_work, work);

	mlos_tensor_load(w->tensor, false, NULL);
	mlos_tensor_put(w->tensor);
	kfree(w);
}

static int start_prefetch(struct mlos_tensor *tensor, bool wait)
{
	struct prefetch_work *w;

	if (wait)
		return mlos_tensor_load(tensor, false, NULL);
	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	INIT_WORK(&w->work, prefetch_later);
	kref_get(&tensor->ref);
	w->tensor = tensor;
	queue_work(prefetch_queue, &w->work);
	return 0;
}

long mlos_ioc_tensor_prefetch(struct mlos_file *file, void *arg)
{
	struct mlos_tensor_op *a = arg;
	struct mlos_tensor *tensor;
	int ret;

	if ((a->flags & ~MLOS_PREFETCH_WAIT) || a->reserved)
		return -EINVAL;
	tensor = mlos_tensor_get(file, a->tensor_id);
	if (!tensor)
		return -ENOENT;
	ret = start_prefetch(tensor, a->flags & MLOS_PREFETCH_WAIT);
	if (!ret) {
		mutex_lock(&tensor->lock);
		mutex_lock(&tensor->body->lock);
		report(tensor, a);
		mutex_unlock(&tensor->body->lock);
		mutex_unlock(&tensor->lock);
	}
	mlos_tensor_put(tensor);
	return ret;
}

static int migrate(struct mlos_tensor *tensor, int node, u64 *moved_bytes)
{
	struct mlos_body *body = tensor->body;
	int ret = -EBUSY;

	mutex_lock(&body->lock);
	if (!body->pins && !tensor->maps && READ_ONCE(body->sharers) == 1) {
		if (body->node >= 0)
			atomic_dec(&mlos_memory.nodes[body->node].tensors);
		ret = mlos_body_migrate(body, node, moved_bytes);
		if (body->node >= 0)
			atomic_inc(&mlos_memory.nodes[body->node].tensors);
	}
	mutex_unlock(&body->lock);
	return ret;
}

long mlos_ioc_numa_migrate(struct mlos_file *file, void *arg)
{
	struct mlos_numa_migrate *a = arg;
	struct mlos_tensor *tensor;
	int ret;

	if (a->flags || a->reserved || a->node < 0 || a->node >= (s32)nr_node_ids || !node_online(a->node))
		return -EINVAL;
	tensor = mlos_tensor_get(file, a->tensor_id);
	if (!tensor)
		return -ENOENT;
	mutex_lock(&tensor->lock);
	ret = migrate(tensor, a->node, &a->moved_bytes);
	mutex_unlock(&tensor->lock);
	mlos_tensor_put(tensor);
	return ret;
}

int mlos_tensor_init(void)
{
	prefetch_queue = alloc_workqueue("mlos_prefetch", WQ_UNBOUND, 4);
	if (!prefetch_queue)
		return -ENOMEM;
	return 0;
}

void mlos_tensor_exit(void)
{
	destroy_workqueue(prefetch_queue);
}
