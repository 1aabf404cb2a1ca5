// SPDX-License-Identifier: GPL-2.0
/* Tensors: descriptors that several processes map, and the ids by which their maker steers them. */
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/shmem_fs.h>
#include <linux/seq_file.h>
#include <linux/topology.h>

#include "mlos.h"

/*
 * Every tensor has an inode of its own, so that its mappings can be found and fstat() tells its size. The mount lives while a
 * device file or a tensor's file is open, and holds the module so long: a file lets go of its mount after it let go of the module.
 */
static struct vfsmount *tensor_mount;
static int tensor_mount_users;

static int tensor_fs_context(struct fs_context *fc)
{
	if (!init_pseudo(fc, MLOS_TENSOR_FS_MAGIC))
		return -ENOMEM;
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	return 0;
}

static struct file_system_type tensor_fs = {
	.name = "mlos_tensor",
	.owner = THIS_MODULE,
	.init_fs_context = tensor_fs_context,
	.kill_sb = kill_anon_super,
};

int mlos_tensor_fs_hold(void)
{
	return simple_pin_fs(&tensor_fs, &tensor_mount, &tensor_mount_users);
}

void mlos_tensor_fs_drop(void)
{
	simple_release_fs(&tensor_mount, &tensor_mount_users);
}

/* Size, mode and owner of a tensor are what they were made with. */
static int tensor_setattr(struct mlos_mount_map *map, struct dentry *dentry, struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations tensor_iops = {
	.setattr = tensor_setattr,
};

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

/* --- mappings -------------------------------------------------------------------------------------------------------- */

static vm_fault_t tensor_fault(struct vm_fault *vmf)
{
	struct mlos_tensor *tensor = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct mlos_body *body;
	struct page *page;

	mutex_lock(&tensor->lock);
	body = tensor->body;
	mutex_lock(&body->lock);
	if (vmf->pgoff < body->n_pages) {
		page = mlos_body_page(body, vmf->pgoff, false);
		if (!IS_ERR(page)) {
			get_page(page);
			vmf->page = page;
			mlos_memory_count_touch(body, page);
			ret = 0;
		}
	}
	mutex_unlock(&body->lock);
	if (!ret)
		mlos_prefetch_touched(tensor);
	mutex_unlock(&tensor->lock);
	return ret;
}

static void tensor_vm_open(struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = vma->vm_private_data;

	mutex_lock(&tensor->lock);
	tensor->maps++;
	atomic_inc(&tensor->body->maps);
	mutex_unlock(&tensor->lock);
}

static void tensor_vm_close(struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = vma->vm_private_data;

	mutex_lock(&tensor->lock);
	tensor->maps--;
	atomic_dec(&tensor->body->maps);
	mlos_body_used(tensor->body);
	mutex_unlock(&tensor->lock);
}

static const struct vm_operations_struct tensor_vm_ops = {
	.open = tensor_vm_open,
	.close = tensor_vm_close,
	.fault = tensor_fault,
};

static int tensor_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct mlos_tensor *tensor = filp->private_data;
	unsigned long pages = vma_pages(vma);

	if (vma->vm_pgoff + pages < pages || vma->vm_pgoff + pages > DIV_ROUND_UP(tensor->bytes, PAGE_SIZE))
		return -EINVAL;
	if ((tensor->flags & MLOS_TENSOR_READONLY) && (vma->vm_flags & VM_SHARED)) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		mlos_vm_flags_mod(vma, 0, VM_MAYWRITE);
	}
	mlos_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, 0);
	vma->vm_ops = &tensor_vm_ops;
	vma->vm_private_data = tensor;
	mutex_lock(&tensor->lock);
	/* Could become writable by mprotect(): what may be written is as good as written. */
	if ((vma->vm_flags & VM_SHARED) && (vma->vm_flags & VM_MAYWRITE)) {
		mutex_lock(&tensor->body->lock);
		tensor->body->dirty = true;
		mutex_unlock(&tensor->body->lock);
	}
	tensor->maps++;
	atomic_inc(&tensor->body->maps);
	mutex_unlock(&tensor->lock);
	return 0;
}

static void file_gone(struct mlos_tensor *tensor)
{
	mutex_lock(&tensor->lock);
	tensor->files--;
	mutex_unlock(&tensor->lock);
}

static int tensor_file_release(struct inode *inode, struct file *filp)
{
	struct mlos_tensor *tensor = filp->private_data;

	file_gone(tensor);
	mlos_tensor_put(tensor);
	return 0;
}

static void tensor_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct mlos_tensor *tensor = filp->private_data;

	mutex_lock(&tensor->lock);
	seq_printf(m, "mlos-tensor:\t%llu\nmlos-bytes:\t%llu\nmlos-resident-kb:\t%lu\nmlos-node:\t%d\nmlos-owner:\t%d\n",
		   tensor->id, tensor->bytes, READ_ONCE(tensor->body->resident) << (PAGE_SHIFT - 10),
		   tensor->body->node, mlos_account_process(tensor->body->account));
	mutex_unlock(&tensor->lock);
}

static const struct file_operations tensor_fops = {
	.owner = THIS_MODULE,
	.mmap = tensor_mmap,
	.release = tensor_file_release,
	.show_fdinfo = tensor_show_fdinfo,
	.llseek = noop_llseek,
};

/* For one file more, with a reference. All files of a tensor have one inode, so that all its mappings are found. */
static struct inode *inode_for_file(struct mlos_tensor *tensor)
{
	struct inode *inode;

	mutex_lock(&tensor->lock);
	if (tensor->files) {
		inode = tensor->mapping->host;
		ihold(inode);
	} else {
		inode = alloc_anon_inode(tensor_mount->mnt_sb);
		if (IS_ERR(inode))
			goto unlock;
		inode->i_size = tensor->bytes;
		inode->i_mode = S_IFREG | 0600;
		inode->i_op = &tensor_iops;
		tensor->mapping = inode->i_mapping;
	}
	tensor->files++;
unlock:
	mutex_unlock(&tensor->lock);
	return inode;
}

/* Takes a reference of the tensor. What is open for reading only is not mapped for writing, nor made so by mprotect(). */
static struct file *tensor_file(struct mlos_tensor *tensor, bool readonly)
{
	struct inode *inode = inode_for_file(tensor);
	struct file *filp;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	filp = alloc_file_pseudo(inode, tensor_mount, "tensor", readonly ? O_RDONLY : O_RDWR, &tensor_fops);
	if (IS_ERR(filp)) {
		file_gone(tensor);
		iput(inode);
		return filp;
	}
	/* Given back by fput(), which thinks that an open took it. */
	__module_get(THIS_MODULE);
	kref_get(&tensor->ref);
	filp->private_data = tensor;
	return filp;
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
	else if (!S_ISREG(file_inode(backing)->i_mode) || backing->f_op == &tensor_fops)
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
	filp = tensor_file(tensor, tensor->flags & MLOS_TENSOR_READONLY);
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
	filp = tensor_file(tensor, readonly);
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
