// SPDX-License-Identifier: GPL-2.0
/* /dev/mlos-ml: open, close, and the way of an ioctl to the function that does it. */
#include <linux/build_bug.h>
#include <linux/fault-inject-usercopy.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "mlos.h"

/* From the end of init to the beginning of exit: who writes a parameter finds everything there. Guarded by the parameters' own lock. */
static bool running;

/* A parameter of which a new value counts for what is there already. */
#define APPLIED_PARAM(name, type, apply)                                                           \
	static int set_##name(const char *value, const struct kernel_param *kp)                    \
	{                                                                                          \
		int ret = param_set_##type(value, kp);                                             \
		if (!ret && running)                                                               \
			apply();                                                                   \
		return ret;                                                                        \
	}                                                                                          \
	static const struct kernel_param_ops ops_##name = {                                        \
		.set = set_##name,                                                                 \
		.get = param_get_##type,                                                           \
	};                                                                                         \
	module_param_cb(name, &ops_##name, &mlos_##name, 0644);                                    \
	__MODULE_PARM_TYPE(name, #type)

static void set_running(bool now)
{
	kernel_param_lock(THIS_MODULE);
	running = now;
	kernel_param_unlock(THIS_MODULE);
}

bool mlos_enable_tmm = true;
module_param_named(enable_tmm, mlos_enable_tmm, bool, 0444);
MODULE_PARM_DESC(enable_tmm, "tensor memory (default on)");
bool mlos_enable_scheduler = true;
module_param_named(enable_scheduler, mlos_enable_scheduler, bool, 0444);
MODULE_PARM_DESC(enable_scheduler, "inference scheduling and predictions (default on)");
bool mlos_enable_gpu_manager = true;
module_param_named(enable_gpu_manager, mlos_enable_gpu_manager, bool, 0444);
MODULE_PARM_DESC(enable_gpu_manager, "list of accelerators (default on)");
bool mlos_enable_boost = true;
module_param_named(enable_boost, mlos_enable_boost, bool, 0644);
MODULE_PARM_DESC(enable_boost, "real-time priority for granted REALTIME and HIGH inferences (default on)");
uint mlos_sim_gpus;
module_param_named(sim_gpus, mlos_sim_gpus, uint, 0444);
MODULE_PARM_DESC(sim_gpus, "simulated accelerators, at most 16 (default 0)");
uint mlos_sim_gpu_mb = 256;
module_param_named(sim_gpu_mb, mlos_sim_gpu_mb, uint, 0444);
MODULE_PARM_DESC(sim_gpu_mb, "memory of each simulated accelerator in MiB (default 256)");
uint mlos_slots;
module_param_named(slots, mlos_slots, uint, 0444);
MODULE_PARM_DESC(slots, "CPU threads granted at a time, at most 4096; 0 = online CPUs less io_cpus (default 0)");
uint mlos_io_cpus = 1;
module_param_named(io_cpus, mlos_io_cpus, uint, 0444);
MODULE_PARM_DESC(io_cpus, "CPUs kept free of boosted threads (default 1)");
uint mlos_slot_timeout_ms = 60000;
APPLIED_PARAM(slot_timeout_ms, uint, mlos_sched_apply_parameters);
MODULE_PARM_DESC(slot_timeout_ms, "a grant held longer is taken back and its boost ended; 0 = never (default 60000)");
uint mlos_aging_ms = 1000;
APPLIED_PARAM(aging_ms, uint, mlos_sched_apply_parameters);
MODULE_PARM_DESC(aging_ms, "waiting that long counts one class higher; 0 = never (default 1000)");
ulong mlos_memory_limit_mb;
APPLIED_PARAM(memory_limit_mb, ulong, mlos_memory_apply_limit);
MODULE_PARM_DESC(memory_limit_mb, "most resident tensor memory in MiB, what is over it is evicted; 0 = no limit (default 0)");
uint mlos_debug_level;
module_param_named(debug_level, mlos_debug_level, uint, 0644);
MODULE_PARM_DESC(debug_level, "to the kernel log: 1 operations that were refused, 2 also opens and closes, 3 also all operations (default 0)");

struct mlos_files mlos_files;

static long ioc_version(struct mlos_file *file, void *arg)
{
	struct mlos_version *v = arg;
	unsigned int nodes = nr_online_nodes;

	v->abi_major = MLOS_ABI_MAJOR;
	v->abi_minor = MLOS_ABI_MINOR;
	v->slots = mlos_enable_scheduler ? mlos_sched.slots : 0;
	v->features = MLOS_FEATURE_LISTS | (mlos_enable_tmm ? MLOS_FEATURE_TMM | MLOS_FEATURE_DEDUP | MLOS_FEATURE_SHARE : 0) |
		      (mlos_enable_scheduler ? MLOS_FEATURE_SCHED : 0) |
		      (mlos_enable_gpu_manager ? MLOS_FEATURE_GPU : 0) |
		      (mlos_enable_scheduler && READ_ONCE(mlos_enable_boost) ? MLOS_FEATURE_BOOST : 0) |
		      (mlos_enable_tmm && nodes > 1 ? MLOS_FEATURE_NUMA : 0) |
		      (mlos_enable_tmm && mlos_enable_scheduler ? MLOS_FEATURE_PREFETCH : 0);
	v->memory_limit = (u64)mlos_memory_limit_pages() << PAGE_SHIFT;
	v->max_models = MLOS_MAX_MODELS;
	v->max_tensors = MLOS_MAX_TENSORS;
	v->max_inferences = MLOS_MAX_INFERENCES;
	v->max_plan_entries = MLOS_PLAN_MAX_ENTRIES;
	v->numa_nodes = nodes;
	v->gpus = mlos_enable_gpu_manager ? mlos_gpu_count() : 0;
	v->tensor_size_max = MLOS_TENSOR_MAX;
	return 0;
}

/* Which subsystem an operation needs. */
enum { NEEDS_NOTHING, NEEDS_TMM, NEEDS_SCHED, NEEDS_GPU, NEEDS_BOTH };

struct operation {
	long (*fn)(struct mlos_file *file, void *arg);
	u16 size;     /* of the struct as this module knows it */
	u16 size_min; /* of the struct in ABI 1.0 */
	u8 needs;
};

/* `last`: the last member in the version of the ABI that brought the operation. */
#define GREW(cmd, fn_, type, last, needs_)                                                                    \
	[_IOC_NR(cmd)] = { .fn = fn_, .size = ARGUMENT_SIZE(type), .size_min = offsetofend(struct type, last), \
			   .needs = needs_ }
#define OPERATION(cmd, fn_, type, needs_) \
	[_IOC_NR(cmd)] = { .fn = fn_, .size = ARGUMENT_SIZE(type), .size_min = sizeof(struct type), .needs = needs_ }
/* Whole words, which mlos_call has room for. */
#define ARGUMENT_SIZE(type)                                           \
	(sizeof(struct type) +                                        \
	 BUILD_BUG_ON_ZERO(sizeof(struct type) % sizeof(u64) ||       \
			   sizeof(struct type) > sizeof_field(struct mlos_call, bytes)))

static const struct operation operations[] = {
	OPERATION(MLOS_IOC_VERSION, ioc_version, mlos_version, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_MODEL_REGISTER, mlos_ioc_model_register, mlos_model_register, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_MODEL_UNREGISTER, mlos_ioc_model_unregister, mlos_model_unregister, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_TENSOR_ALLOC, mlos_ioc_tensor_alloc, mlos_tensor_alloc, NEEDS_TMM),
	OPERATION(MLOS_IOC_TENSOR_SHARE, mlos_ioc_tensor_share, mlos_tensor_share, NEEDS_TMM),
	OPERATION(MLOS_IOC_TENSOR_FREE, mlos_ioc_tensor_free, mlos_tensor_free, NEEDS_TMM),
	OPERATION(MLOS_IOC_TENSOR_PIN, mlos_ioc_tensor_pin, mlos_tensor_op, NEEDS_TMM),
	OPERATION(MLOS_IOC_TENSOR_UNPIN, mlos_ioc_tensor_unpin, mlos_tensor_op, NEEDS_TMM),
	OPERATION(MLOS_IOC_TENSOR_PREFETCH, mlos_ioc_tensor_prefetch, mlos_tensor_op, NEEDS_TMM),
	OPERATION(MLOS_IOC_MEMORY_DEFRAG, mlos_ioc_memory_defrag, mlos_memory_defrag, NEEDS_GPU),
	OPERATION(MLOS_IOC_MEMORY_TRIM, mlos_ioc_memory_trim, mlos_memory_trim, NEEDS_TMM),
	GREW(MLOS_IOC_INFERENCE_START, mlos_ioc_inference_start, mlos_inference_start, predicted_wait_ns, NEEDS_SCHED),
	OPERATION(MLOS_IOC_INFERENCE_WAIT, mlos_ioc_inference_wait, mlos_inference_wait, NEEDS_SCHED),
	OPERATION(MLOS_IOC_INFERENCE_DONE, mlos_ioc_inference_done, mlos_inference_done, NEEDS_SCHED),
	OPERATION(MLOS_IOC_INFERENCE_BATCH, mlos_ioc_inference_batch, mlos_inference_batch, NEEDS_SCHED),
	OPERATION(MLOS_IOC_GPU_LIST, mlos_ioc_gpu_list, mlos_gpu_list, NEEDS_GPU),
	OPERATION(MLOS_IOC_GPU_SELECT, mlos_ioc_gpu_select, mlos_gpu_select, NEEDS_GPU),
	OPERATION(MLOS_IOC_NUMA_MIGRATE, mlos_ioc_numa_migrate, mlos_numa_migrate, NEEDS_TMM),
	OPERATION(MLOS_IOC_PREFETCH_PLAN_SET, mlos_ioc_plan_set, mlos_prefetch_plan, NEEDS_BOTH),
	OPERATION(MLOS_IOC_PREFETCH_PLAN_CLEAR, mlos_ioc_plan_clear, mlos_prefetch_plan, NEEDS_BOTH),
	OPERATION(MLOS_IOC_PREFETCH_PLAN_START, mlos_ioc_plan_start, mlos_prefetch_run, NEEDS_BOTH),
	OPERATION(MLOS_IOC_PREFETCH_STATS, mlos_ioc_prefetch_stats, mlos_prefetch_stats, NEEDS_BOTH),
	OPERATION(MLOS_IOC_DEADLINE_PREDICT, mlos_ioc_deadline_predict, mlos_deadline_predict, NEEDS_SCHED),
	OPERATION(MLOS_IOC_MODEL_PREDICT, mlos_ioc_model_predict, mlos_model_predict, NEEDS_SCHED),
	OPERATION(MLOS_IOC_NUMA_STATS, mlos_ioc_numa_stats, mlos_numa_stats, NEEDS_TMM),
	OPERATION(MLOS_IOC_PREFETCH_LEARNING, mlos_ioc_prefetch_learning, mlos_prefetch_learning, NEEDS_BOTH),
	OPERATION(MLOS_IOC_PREDICTION_ACCURACY, mlos_ioc_prediction_accuracy, mlos_prediction_accuracy,
		  NEEDS_SCHED),
	OPERATION(MLOS_IOC_MODEL_LATENCY_EXT, mlos_ioc_model_latency_ext, mlos_model_latency_ext, NEEDS_SCHED),
	OPERATION(MLOS_IOC_CLIENT_LIST, mlos_ioc_client_list, mlos_list, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_MODEL_LIST, mlos_ioc_model_list, mlos_list, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_TENSOR_LIST, mlos_ioc_tensor_list, mlos_list, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_INFERENCE_LIST, mlos_ioc_inference_list, mlos_list, NEEDS_NOTHING),
	OPERATION(MLOS_IOC_STATS, mlos_ioc_stats, mlos_stats, NEEDS_NOTHING),
};

static bool subsystem_on(u8 needs)
{
	switch (needs) {
	case NEEDS_TMM:
		return mlos_enable_tmm;
	case NEEDS_SCHED:
		return mlos_enable_scheduler;
	case NEEDS_GPU:
		return mlos_enable_gpu_manager;
	case NEEDS_BOTH:
		return mlos_enable_tmm && mlos_enable_scheduler;
	}
	return true;
}

/* A descriptor comes into being only when its number has reached the caller. */
static void hand_over(struct mlos_file *file, struct mlos_call *call, long failed)
{
	if (!failed) {
		fd_install(call->fd, call->install);
		return;
	}
	put_unused_fd(call->fd);
	if (call->undo_tensor)
		mlos_tensor_undo(file, call->undo_tensor);
	fput(call->install);
}

/* An argument lies in one page or in two: its ends tell for all of it, and cost less than a copy. */
static bool can_answer(void __user *to, const u8 *bytes, u32 n)
{
	u8 __user *ends = to;

	return !put_user(bytes[0], ends) && !put_user(bytes[n - 1], ends + n - 1);
}

/*
 * A caller of this very ABI has its struct read, and found writable, in one access. False: a struct of
 * another size, or memory that is not there, for copy_argument() to tell.
 */
static __always_inline bool copy_known_argument(u64 *to, u64 __user *from, u32 size)
{
	u32 i, words = size / sizeof(u64);

	if (!user_access_begin(from, size))
		return false;
	unsafe_get_user(to[0], from, fault);
	if ((u32)to[0] != size)
		goto fault;
	for (i = 1; i < words; i++)
		unsafe_get_user(to[i], from + i, fault);
	unsafe_put_user((u8)to[0], (u8 __user *)from, fault);
	unsafe_put_user(to[words - 1], from + words - 1, fault);
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

static int copy_argument(u8 *to, void __user *from, const struct operation *op)
{
	u32 usize;
	int ret;

	if (get_user(usize, (u32 __user *)from))
		return -EFAULT;
	if (usize < op->size_min)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(to, op->size, from, usize);
	if (ret)
		return ret;
	*(u32 *)to = usize; /* it may have changed since it was read */
	return can_answer(from, to, min_t(u32, usize, op->size)) ? 0 : -EFAULT;
}

static __always_inline bool copy_answer(u64 __user *to, const u64 *from, u32 size)
{
	u32 i;

	if (should_fail_usercopy())
		return false;
	if (size % sizeof(u64))
		return !copy_to_user(to, from, size);
	if (!user_access_begin(to, size))
		return false;
	for (i = 0; i < size / sizeof(u64); i++)
		unsafe_put_user(from[i], to + i, fault);
	user_access_end();
	return true;
fault:
	user_access_end();
	return false;
}

static long do_ioctl(struct file *filp, unsigned int cmd, unsigned long user)
{
	void __user *uarg = (void __user *)user;
	const struct operation *op;
	struct mlos_call call;
	unsigned int nr = _IOC_NR(cmd);
	long ret;

	if (_IOC_TYPE(cmd) != MLOS_IOC_TYPE || cmd != MLOS_IO(nr) || nr >= ARRAY_SIZE(operations))
		return -ENOTTY;
	op = &operations[array_index_nospec(nr, ARRAY_SIZE(operations))];
	if (!op->fn)
		return -ENOTTY;
	if (!subsystem_on(op->needs))
		return -EOPNOTSUPP;
	if (should_fail_usercopy())
		return -EFAULT;
	/* Where no answer can be written nothing is done. */
	if (!copy_known_argument((u64 *)call.bytes, uarg, op->size)) {
		ret = copy_argument(call.bytes, uarg, op);
		if (ret)
			return ret;
	}
	call.install = NULL;
	call.undo_tensor = 0;
	ret = op->fn(filp->private_data, call.bytes);
	if (ret)
		return ret;
	if (!copy_answer(uarg, (u64 *)call.bytes, min_t(u32, *(u32 *)call.bytes, op->size)))
		ret = -EFAULT;
	if (call.install)
		hand_over(filp->private_data, &call, ret);
	return ret;
}

static long mlos_ioctl(struct file *filp, unsigned int cmd, unsigned long user)
{
	long ret = do_ioctl(filp, cmd, user);

	mlos_debug(ret < 0 ? 1 : 3, "operation %u: %ld\n", _IOC_NR(cmd), ret);
	return ret;
}

static int mlos_open(struct inode *inode, struct file *filp)
{
	struct mlos_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	int ret = -ENOMEM;

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	init_waitqueue_head(&file->wait);
	INIT_LIST_HEAD(&file->told);
	file->account = mlos_account_new();
	if (!file->account)
		goto free_file;
	ret = mlos_idtable_init(&file->models, MLOS_MAX_MODELS);
	if (ret)
		goto free_account;
	ret = mlos_idtable_init(&file->tensors, MLOS_MAX_TENSORS);
	if (ret)
		goto free_models;
	ret = mlos_idtable_init(&file->inferences, MLOS_MAX_INFERENCES);
	if (ret)
		goto free_tensors;
	ret = mlos_tensor_fs_hold();
	if (ret)
		goto free_inferences;
	mutex_lock(&mlos_files.lock);
	list_add_tail(&file->link, &mlos_files.list);
	mutex_unlock(&mlos_files.lock);
	filp->private_data = file;
	mlos_debug(2, "opened\n");
	return nonseekable_open(inode, filp);

free_inferences:
	mlos_idtable_destroy(&file->inferences);
free_tensors:
	mlos_idtable_destroy(&file->tensors);
free_models:
	mlos_idtable_destroy(&file->models);
free_account:
	mlos_account_put(file->account);
free_file:
	kfree(file);
	return ret;
}

static int mlos_release(struct inode *inode, struct file *filp)
{
	struct mlos_file *file = filp->private_data;

	mlos_debug(2, "closed, opened by client %llu\n", file->account->client_id);
	mutex_lock(&mlos_files.lock);
	list_del(&file->link);
	mutex_unlock(&mlos_files.lock);
	mlos_sched_release(file);
	mlos_models_release(file);
	mlos_tensors_release(file);
	mlos_idtable_destroy(&file->inferences);
	mlos_idtable_destroy(&file->tensors);
	mlos_idtable_destroy(&file->models);
	mlos_account_put(file->account);
	mutex_destroy(&file->lock);
	kfree(file);
	mlos_tensor_fs_drop();
	return 0;
}

static __poll_t mlos_poll(struct file *filp, poll_table *wait)
{
	return mlos_sched_poll(filp->private_data, filp, wait);
}

static int mlos_mmap(struct file *filp, struct vm_area_struct *vma)
{
	return mlos_sched_mmap_status(vma);
}

static void mlos_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct mlos_client_info info;

	mlos_info_of_client(filp->private_data, &info);
	seq_printf(m, "mlos-client:\t%llu\nmlos-models:\t%u\nmlos-tensors:\t%u\nmlos-inferences:\t%u\nmlos-resident-kb:\t%llu\n",
		   info.client_id, info.models, info.tensors, info.inferences, info.resident_bytes >> 10);
}

static const struct file_operations mlos_fops = {
	.owner = THIS_MODULE,
	.open = mlos_open,
	.release = mlos_release,
	.unlocked_ioctl = mlos_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = mlos_poll,
	.mmap = mlos_mmap,
	.show_fdinfo = mlos_show_fdinfo,
};

static struct miscdevice mlos_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mlos-ml",
	.mode = 0660,
	.fops = &mlos_fops,
	.groups = mlos_sysfs_groups,
};

static bool __init at_most(const char *parameter, u32 value, u32 most)
{
	if (value > most)
		pr_err("mlos_ml: %s=%u, at most %u\n", parameter, value, most);
	return value <= most;
}

static int __init mlos_module_init(void)
{
	int ret;

	if (!at_most("sim_gpus", mlos_sim_gpus, MLOS_MAX_SIM_GPUS) || !at_most("slots", mlos_slots, MLOS_MAX_SLOTS))
		return -EINVAL;
	mutex_init(&mlos_files.lock);
	INIT_LIST_HEAD(&mlos_files.list);
	ret = mlos_memory_init();
	if (ret)
		return ret;
	ret = mlos_sched_init();
	if (ret)
		goto memory;
	ret = mlos_gpu_init();
	if (ret)
		goto sched;
	ret = mlos_tensor_init();
	if (ret)
		goto gpu;
	mlos_debugfs_init();
	ret = misc_register(&mlos_device);
	if (ret)
		goto tensor;
	set_running(true);
	pr_info("mlos_ml: ABI %u.%u, %u slots, %u accelerators\n", MLOS_ABI_MAJOR, MLOS_ABI_MINOR, mlos_sched.slots,
		mlos_gpu_count());
	return 0;
tensor:
	mlos_debugfs_exit();
	mlos_tensor_exit();
gpu:
	mlos_gpu_exit();
sched:
	mlos_sched_exit();
memory:
	mlos_memory_exit();
	return ret;
}

/*
 * Descriptors of the device and of tensors hold the module, so nothing is in use here but what a prefetch still reads: that is awaited
 * before what it needs goes.
 */
static void __exit mlos_module_exit(void)
{
	set_running(false);
	misc_deregister(&mlos_device);
	mlos_debugfs_exit();
	mlos_tensor_exit();
	mlos_gpu_exit();
	mlos_sched_exit();
	mlos_memory_exit();
}

module_init(mlos_module_init);
module_exit(mlos_module_exit);
MODULE_AUTHOR("mlOS");
MODULE_DESCRIPTION("Tensor memory and inference scheduling");
MODULE_VERSION("1.0");
MODULE_LICENSE("GPL");
