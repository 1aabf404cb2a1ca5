/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/mlos-ml: tensor memory and inference scheduling.
 *
 * This header is the whole ABI. Rules that hold for every operation:
 *  - The argument is a pointer to the operation's struct. Its first member, `size`, is sizeof() of the struct as the
 *    caller was compiled. A shorter struct of an older caller reads as if followed by zeros; a longer one of a newer caller
 *    is accepted when what this kernel does not know is zero, else E2BIG. A size below the first version's is EINVAL.
 *  - Members marked [in] are read, [out] written (only as far as `size` reaches), [in,out] both. Every member named
 *    `reserved`, every unknown flag and every [in] member that the flags make meaningless must be zero, else EINVAL.
 *  - Times are CLOCK_MONOTONIC nanoseconds; deadlines and time-outs are absolute, 0 means none.
 *  - Ids are 64 bits, never 0, never used again while the module is loaded. They belong to the open file that made them: in
 *    another open file they are ENOENT. Closing the last descriptor of an open file ends and frees all it owns; memory that
 *    is still mapped, or referred to by a tensor descriptor, lives until that goes.
 *  - Descriptors handed out are close-on-exec.
 *  - A pointer whose memory cannot be read and written is EFAULT, and nothing is done.
 *  - An unknown operation is ENOTTY; one whose subsystem is switched off by a module parameter is EOPNOTSUPP.
 *  - Text is UTF-8 and ends with NUL inside its array.
 */
#ifndef _UAPI_LINUX_MLOS_H
#define _UAPI_LINUX_MLOS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MLOS_DEVICE "/dev/mlos-ml"
#define MLOS_ABI_MAJOR 1
#define MLOS_ABI_MINOR 2

#define MLOS_IOC_TYPE 0xED

/* --- what is there ------------------------------------------------------------------------------------------------- */

/* mlos_version.features */
#define MLOS_FEATURE_TMM (1ULL << 0)       /* tensors */
#define MLOS_FEATURE_SCHED (1ULL << 1)     /* inferences, predictions */
#define MLOS_FEATURE_GPU (1ULL << 2)       /* GPU_LIST, simulated GPUs */
#define MLOS_FEATURE_BOOST (1ULL << 3)     /* threads of granted inferences run at real-time priority */
#define MLOS_FEATURE_NUMA (1ULL << 4)      /* more than one memory node */
#define MLOS_FEATURE_PREFETCH (1ULL << 5)  /* prefetch plans */
#define MLOS_FEATURE_DEDUP (1ULL << 6)     /* MLOS_TENSOR_DEDUP */
#define MLOS_FEATURE_LISTS (1ULL << 7)     /* CLIENT_LIST and the other lists, STATS: since ABI 1.1 */
#define MLOS_FEATURE_SHARE (1ULL << 8)     /* TENSOR_SHARE: since ABI 1.2 */

/* MLOS_IOC_VERSION: any time. */
struct mlos_version {
	__u32 size;
	__u32 abi_major;		/* [out] */
	__u32 abi_minor;		/* [out] */
	__u32 slots;			/* [out] CPU threads granted at a time */
	__u64 features;			/* [out] MLOS_FEATURE_* */
	__u64 memory_limit;		/* [out] bytes of resident tensor memory, all files; 0 = none */
	__u32 max_models;		/* [out] per open file */
	__u32 max_tensors;		/* [out] per open file */
	__u32 max_inferences;		/* [out] per open file, queued and granted */
	__u32 max_plan_entries;		/* [out] per model */
	__u32 numa_nodes;		/* [out] online */
	__u32 gpus;			/* [out] as GPU_LIST counts them */
	__u64 tensor_size_max;		/* [out] bytes */
};

/* --- models -------------------------------------------------------------------------------------------------------- */

#define MLOS_NAME_MAX 64

/* MLOS_IOC_MODEL_REGISTER: a name that latencies, plans and tensors hang on. ENOSPC at max_models. */
struct mlos_model_register {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	char name[MLOS_NAME_MAX];	/* [in] not empty; need not be unique */
	__u64 model_id;			/* [out] */
};

/* MLOS_IOC_MODEL_UNREGISTER: EBUSY while an inference of it is queued or granted. Its tensors stay, without a model. */
struct mlos_model_unregister {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 model_id;			/* [in] */
};

/* --- tensors ------------------------------------------------------------------------------------------------------- */

#define MLOS_NUMA_NODE_ANY (-1)		/* the node of the CPU that touches a page first */
#define MLOS_NUMA_NODE_LOCAL (-2)	/* the GPU's node, else the node of the calling CPU, now */

/* mlos_tensor_alloc.flags */
#define MLOS_TENSOR_READONLY (1U << 0)	  /* never writable; needs BACKED */
#define MLOS_TENSOR_BACKED (1U << 1)	  /* content comes from backing_fd, and can be dropped and read again */
#define MLOS_TENSOR_DISCARDABLE (1U << 2) /* content may be dropped when memory is short; then STATE_LOST is told */
#define MLOS_TENSOR_DEDUP (1U << 3)	  /* pages are shared with a tensor of equal content; needs READONLY */
#define MLOS_ALLOC_NUMA_STRICT (1U << 4)  /* fail rather than use another node; needs numa_node >= 0 or LOCAL */
#define MLOS_ALLOC_GPU (1U << 5)	  /* takes its bytes from the pool of `gpu` */
#define MLOS_TENSOR_POPULATE (1U << 6)	  /* all pages now rather than at first touch */

/* statfs.f_type of a tensor's descriptor. */
#define MLOS_TENSOR_FS_MAGIC 0x6d6c6f73

/*
 * MLOS_IOC_TENSOR_ALLOC. The descriptor can be mapped (MAP_SHARED or MAP_PRIVATE, within the size rounded up to pages;
 * a READONLY tensor not writable; never executable), passed to other processes, and fstat() tells the size, which no ftruncate()
 * changes; fstatfs() tells MLOS_TENSOR_FS_MAGIC. read/write are not supported.
 * Memory is taken page by page, when a page is touched or loaded: a tensor may be larger than the machine's memory, though not be loaded
 * as a whole then (ENOMEM).
 * Without BACKED and DISCARDABLE the content is never dropped. BACKED without READONLY: a tensor that was mapped writable
 * is no longer dropped, nor is one that shares pages with a tensor of another file: the files may have changed. Pages are charged to
 * the control group of the process that opened the device. ENOMEM: over the limit, the module's or the control group's, after evicting
 * all that may go. ENOSPC: max_tensors, or the GPU's pool. A touch of a page that cannot be had is SIGBUS.
 */
struct mlos_tensor_alloc {
	__u32 size;
	__u32 flags;			/* [in] MLOS_TENSOR_*, MLOS_ALLOC_* */
	__u64 bytes;			/* [in] 1 .. tensor_size_max */
	__u64 model_id;			/* [in] 0 = none */
	__s32 numa_node;		/* [in] >= 0, or MLOS_NUMA_NODE_* */
	__s32 backing_fd;		/* [in] with BACKED a regular file open for reading, else 0 */
	__u64 backing_offset;		/* [in] with BACKED; offset + bytes must lie inside the file */
	__u32 gpu;			/* [in] with ALLOC_GPU */
	__u32 reserved;
	__u64 tensor_id;		/* [out] */
	__s32 fd;			/* [out] */
	__u32 reserved2;
};

/* MLOS_IOC_TENSOR_FREE: forgets the id. The memory goes when the last descriptor and mapping go. */
struct mlos_tensor_free {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 tensor_id;		/* [in] */
};

/* mlos_tensor_share.flags */
#define MLOS_SHARE_READONLY (1U << 0)	/* whoever has the descriptor can only read */

/*
 * MLOS_IOC_TENSOR_SHARE, since ABI 1.2: one more descriptor of the tensor, an open file of its own. With READONLY its shared mappings are
 * not writable and do not become so, as of a READONLY tensor; the tensor and its other descriptors stay as they are. Without, it can do
 * what the first descriptor can. The memory lives until the last of them and of their mappings goes.
 */
struct mlos_tensor_share {
	__u32 size;
	__u32 flags;			/* [in] MLOS_SHARE_* */
	__u64 tensor_id;		/* [in] */
	__s32 fd;			/* [out] */
	__u32 reserved;
};

/* mlos_tensor_op.state */
#define MLOS_TENSOR_STATE_RESIDENT (1U << 0)  /* every page is there */
#define MLOS_TENSOR_STATE_PINNED (1U << 1)
#define MLOS_TENSOR_STATE_SHARED (1U << 2)    /* pages are shared by deduplication */
#define MLOS_TENSOR_STATE_LOST (1U << 3)      /* content was dropped and reads as zeros; told until the next PIN or UNPIN */

/* mlos_tensor_op.flags, PREFETCH only */
#define MLOS_PREFETCH_WAIT (1U << 0)	/* return when the content is there */

/*
 * MLOS_IOC_TENSOR_PIN, _UNPIN, _PREFETCH. PIN makes every page resident and keeps it so; pins count, and UNPIN of an unpinned
 * tensor is EINVAL. PREFETCH starts reading and returns. All report the state. EIO: the backing file cannot be read.
 */
struct mlos_tensor_op {
	__u32 size;
	__u32 flags;			/* [in] MLOS_PREFETCH_*; else 0 */
	__u64 tensor_id;		/* [in] */
	__u32 state;			/* [out] MLOS_TENSOR_STATE_* */
	__u32 reserved;
	__u64 resident_bytes;		/* [out] */
};

/* MLOS_IOC_MEMORY_TRIM: evicts least recently used tensors of all files until `target_bytes` are resident. */
struct mlos_memory_trim {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 target_bytes;		/* [in] */
	__u64 freed_bytes;		/* [out] */
	__u64 resident_bytes;		/* [out] after */
	__u32 evicted;			/* [out] tensors */
	__u32 reserved;
};

/* MLOS_IOC_MEMORY_DEFRAG: compacts the pool of a simulated GPU; pinned tensors stay where they are. */
struct mlos_memory_defrag {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u32 gpu;			/* [in] */
	__u32 moved;			/* [out] tensors */
	__u64 moved_bytes;		/* [out] */
	__u64 largest_free_before;	/* [out] bytes */
	__u64 largest_free_after;	/* [out] bytes */
};

/* MLOS_IOC_NUMA_MIGRATE: moves a tensor's pages. EBUSY: pinned, mapped or shared. EINVAL: no such node online. */
struct mlos_numa_migrate {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 tensor_id;		/* [in] */
	__s32 node;			/* [in] >= 0 */
	__u32 reserved;
	__u64 moved_bytes;		/* [out] */
};

/* One memory node, as far as tensors are concerned. */
struct mlos_numa_node {
	__s32 node;
	__u32 tensor_count;		/* tensors placed there */
	__u64 total_size;		/* bytes of memory */
	__u64 used_size;		/* bytes of tensor pages */
	__u64 allocations;		/* pages ever */
	__u64 remote_accesses;		/* pages first touched by a CPU of another node */
	__u64 migrations_in;		/* pages */
	__u64 migrations_out;		/* pages */
};

/* MLOS_IOC_NUMA_STATS: fills up to `count` elements of `nodes`, sets `count` to how many nodes there are. */
struct mlos_numa_stats {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 nodes;			/* [in] user pointer to struct mlos_numa_node */
	__u32 count;			/* [in,out] at most 1024 */
	__u32 element_size;		/* [in] sizeof(struct mlos_numa_node) */
};

/* --- inferences ---------------------------------------------------------------------------------------------------- */

#define MLOS_PRIO_REALTIME 0
#define MLOS_PRIO_HIGH 1
#define MLOS_PRIO_NORMAL 2
#define MLOS_PRIO_BATCH 3

/* mlos_inference_start.flags */
#define MLOS_INFERENCE_BOOST (1U << 0)	 /* REALTIME and HIGH: raise the threads while granted */
#define MLOS_INFERENCE_GROUP (1U << 1)	 /* with BOOST: every thread of the caller's process, E2BIG beyond 64; else `tids` */
#define MLOS_INFERENCE_NOWAIT (1U << 2)	 /* EAGAIN instead of queueing */

/* mlos_inference_start.state, mlos_inference_wait.state */
#define MLOS_INFERENCE_QUEUED 0
#define MLOS_INFERENCE_GRANTED 1
#define MLOS_INFERENCE_EXPIRED 2 /* WAIT only: its deadline passed in the queue; it is gone */

/*
 * MLOS_IOC_INFERENCE_START: asks for `threads` CPU slots. Granted at once, or queued: by class, inside a class by deadline, waiting
 * tasks rising a class every aging interval. BATCH is not granted while REALTIME or HIGH hold slots, until it has aged to HIGH;
 * BATCH that holds slots then is made nice 19. BOOST raises all the threads or none: none when they and those raised already would
 * be more than the CPUs less io_cpus. poll() on the device reports POLLIN while a grant or an expiry has not been fetched by
 * WAIT. A grant held for longer than the parameter slot_timeout_ms is taken back. A deadline that has passed is ETIME. EAGAIN: with
 * NOWAIT, or at max_inferences. EPERM: a thread of another process.
 */
struct mlos_inference_start {
	__u32 size;
	__u32 flags;			/* [in] MLOS_INFERENCE_* */
	__u64 model_id;			/* [in] */
	__u32 priority;			/* [in] MLOS_PRIO_* */
	__u32 threads;			/* [in] 1 .. slots */
	__u64 deadline_ns;		/* [in] 0 = none */
	__u64 tids;			/* [in] user pointer to __s32 thread ids of the caller's process; 0 = the caller */
	__u32 n_tids;			/* [in] at most 64 */
	__u32 state;			/* [out] MLOS_INFERENCE_* */
	__u64 inference_id;		/* [out] */
	__u64 predicted_wait_ns;	/* [out] 0 = granted, or not known */
	__u32 boosted;			/* [out] threads raised now; 0 when queued. Since ABI 1.1 */
	__u32 reserved;
};

/* MLOS_IOC_INFERENCE_WAIT: until granted or expired. ETIME at timeout_ns, EINTR. ENOENT also when id is 0 and nothing is awaited. */
struct mlos_inference_wait {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 inference_id;		/* [in] 0 = what was granted or expired first of this file and is not told yet */
	__u64 timeout_ns;		/* [in] absolute; 0 = none; in the past = look and return */
	__u64 granted_id;		/* [out] */
	__u64 queued_ns;		/* [out] how long it was queued */
	__u32 state;			/* [out] */
	__u32 boosted;			/* [out] threads raised; since ABI 1.1, before that reserved */
};

/* mlos_inference_done.flags */
#define MLOS_DONE_FAILED (1U << 0)	/* do not learn its duration */

/*
 * MLOS_IOC_INFERENCE_DONE: ends a granted inference, or takes a queued or expired one away. ECANCELED: ended, but the grant had been
 * taken back after slot_timeout_ms, and nothing was learnt.
 */
struct mlos_inference_done {
	__u32 size;
	__u32 flags;			/* [in] MLOS_DONE_* */
	__u64 inference_id;		/* [in] */
	__u64 duration_ns;		/* [out] since granted */
	__u32 deadline_met;		/* [out] 1 also when there was none */
	__u32 reserved;
};

/* One element of INFERENCE_BATCH. */
#define MLOS_BATCH_START 0		/* as INFERENCE_START without BOOST */
#define MLOS_BATCH_DONE 1		/* as INFERENCE_DONE */
#define MLOS_BATCH_RECORD 2		/* an execution that ran without asking: start_ns .. end_ns are learnt */
struct mlos_batch_entry {
	__u32 op;			/* [in] MLOS_BATCH_* */
	__u32 flags;			/* [in] of the operation */
	__u64 id;			/* [in] START, RECORD: model; DONE: inference. [out] START: inference */
	__u32 priority;			/* [in] START */
	__u32 threads;			/* [in] START */
	__u64 deadline_ns;		/* [in] START, RECORD */
	__u64 start_ns;			/* [in] RECORD */
	__u64 end_ns;			/* [in] RECORD: after start_ns, not in the future */
	__s32 result;			/* [out] 0 or a negative errno */
	__u32 state;			/* [out] START */
};

/* MLOS_IOC_INFERENCE_BATCH: `count` entries under one taking of the scheduler's lock. */
struct mlos_inference_batch {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 entries;			/* [in] user pointer to struct mlos_batch_entry */
	__u32 count;			/* [in] 1 .. 256 */
	__u32 element_size;		/* [in] sizeof(struct mlos_batch_entry) */
	__u32 failed;			/* [out] entries with a result other than 0 */
	__u32 reserved;
};

/* --- predictions --------------------------------------------------------------------------------------------------- */

/* MLOS_IOC_DEADLINE_PREDICT: of a queued or granted inference. ENODATA before the model's first completion. */
struct mlos_deadline_predict {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 inference_id;		/* [in] */
	__u64 predicted_completion_ns;	/* [out] absolute */
	__s64 slack_ns;			/* [out] deadline - predicted completion; 0 without deadline */
	__u32 miss_probability_pct;	/* [out] 0 .. 100 */
	__u32 should_preempt;		/* [out] 1: it will be late unless something lower gives way */
};

/* MLOS_IOC_MODEL_PREDICT: before submitting. Figures are 0 before the model's first completion. */
struct mlos_model_predict {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 model_id;			/* [in] */
	__u32 priority;			/* [in] */
	__u32 threads;			/* [in] */
	__u64 deadline_ns;		/* [in] */
	__u64 avg_ns;			/* [out] */
	__u64 min_ns;			/* [out] */
	__u64 max_ns;			/* [out] */
	__u64 p99_ns;			/* [out] */
	__u64 predicted_wait_ns;	/* [out] */
	__u64 predicted_completion_ns;	/* [out] absolute */
	__u32 queue_position;		/* [out] inferences that would start before it */
	__u32 miss_probability_pct;	/* [out] */
	__u64 samples;			/* [out] */
};

/* MLOS_IOC_MODEL_LATENCY_EXT: quantiles are upper edges of histogram buckets 12.5 % wide. */
struct mlos_model_latency_ext {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 model_id;			/* [in] */
	__u64 p50_duration_ns;		/* [out] */
	__u64 p90_duration_ns;		/* [out] */
	__u64 p99_duration_ns;		/* [out] */
	__u64 variance_ns;		/* [out] square nanoseconds, saturating */
	__u64 stddev_ns;		/* [out] */
	__u64 outlier_count;		/* [out] beyond 3 standard deviations */
	__u64 samples;			/* [out] */
};

/* mlos_prediction_accuracy.flags */
#define MLOS_ACCURACY_RESET (1U << 0)

/* MLOS_IOC_PREDICTION_ACCURACY: of predictions made at START for inferences with a deadline, all files. */
struct mlos_prediction_accuracy {
	__u32 size;
	__u32 flags;			/* [in] MLOS_ACCURACY_*: RESET needs CAP_SYS_ADMIN */
	__u64 total_predictions;	/* [out] */
	__u64 accurate_predictions;	/* [out] late or in time, as predicted */
	__u64 missed_predictions;	/* [out] late, predicted in time */
	__u64 false_alarms;		/* [out] in time, predicted late */
	__u64 avg_prediction_error_ns;	/* [out] mean |predicted - actual completion| */
	__u64 variance_ns;		/* [out] of that error, square nanoseconds, saturating */
	__u32 accuracy_pct;		/* [out] */
	__u32 calibration_score;	/* [out] 100 = as many were late as the probabilities said */
};

/* --- prefetch plans ------------------------------------------------------------------------------------------------ */

/* mlos_plan_entry.flags */
#define MLOS_PLAN_CRITICAL (1U << 0)	/* read even when memory is short; without: optional */
struct mlos_plan_entry {
	__u64 tensor_id;		/* a BACKED tensor of the same file */
	__u64 offset_ns;		/* when it is needed, after the grant of an inference; at most 60 s */
	__u32 flags;
	__u32 reserved;
};

/* mlos_prefetch_plan_set.flags */
#define MLOS_PLAN_ENABLE_AUTO (1U << 0)	/* follow the plan at each INFERENCE_START of the model */
#define MLOS_PLAN_ADAPTIVE (1U << 1)	/* learn offsets from when the pages were needed */

/* MLOS_IOC_PREFETCH_PLAN_SET: replaces the model's plan. MLOS_IOC_PREFETCH_PLAN_CLEAR: entries, count and element_size 0. */
struct mlos_prefetch_plan {
	__u32 size;
	__u32 flags;			/* [in] MLOS_PLAN_*; CLEAR: 0 */
	__u64 model_id;			/* [in] */
	__u64 entries;			/* [in] user pointer to struct mlos_plan_entry */
	__u32 count;			/* [in] 1 .. max_plan_entries */
	__u32 element_size;		/* [in] sizeof(struct mlos_plan_entry) */
};

/*
 * MLOS_IOC_PREFETCH_PLAN_START: follows the plan now, ahead of the inference; also one without ENABLE_AUTO. The model's next inference
 * goes on with that run. ENODATA without a plan, EBUSY while it is followed.
 */
struct mlos_prefetch_run {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 model_id;			/* [in] */
};

/* MLOS_IOC_PREFETCH_STATS: of one model's plan; ENODATA without one. */
struct mlos_prefetch_stats {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 model_id;			/* [in] */
	__u64 runs;			/* [out] inferences that followed the plan */
	__u64 issued;			/* [out] prefetches started */
	__u64 resident_already;		/* [out] of these, nothing to do */
	__u64 bytes;			/* [out] read */
	__u64 skipped;			/* [out] optional ones left out for want of memory */
	__u64 failed;			/* [out] */
};

/* mlos_prefetch_learning.flags */
#define MLOS_LEARNING_SET (1U << 0)	/* the two [in,out] members are taken over */

/* MLOS_IOC_PREFETCH_LEARNING: of one model's plan; ENODATA without one. */
struct mlos_prefetch_learning {
	__u32 size;
	__u32 flags;			/* [in] MLOS_LEARNING_* */
	__u64 model_id;			/* [in] */
	__u32 learning_enabled;		/* [in,out] 0 or 1 */
	__u32 learning_rate_pct;	/* [in,out] 1 .. 100: share of the error by which an offset moves */
	__s64 offset_adjustment_ns;	/* [out] mean over the plan: learnt minus given offset */
	__u64 successful_prefetches;	/* [out] there when first touched */
	__u64 late_prefetches;		/* [out] touched before it was there */
	__u64 early_prefetches;		/* [out] there long before, or never touched */
	__u64 avg_timing_error_ns;	/* [out] mean |needed - planned| */
};

/* --- accelerators -------------------------------------------------------------------------------------------------- */

#define MLOS_GPU_SIMULATED (1U << 0)
struct mlos_gpu {
	__u32 index;
	__u32 flags;			/* MLOS_GPU_* */
	__u16 vendor;			/* PCI ids; 0 when simulated */
	__u16 device;
	__u16 subsystem_vendor;
	__u16 subsystem_device;
	__u32 pci_domain;
	__u8 pci_bus;
	__u8 pci_slot;
	__u8 pci_function;
	__u8 reserved;
	__u32 pci_class;		/* 0x030000 display, 0x120000 processing accelerator, ... */
	__s32 numa_node;		/* -1 = not known */
	__u64 memory_total;		/* bytes: the pool when simulated, else the largest prefetchable BAR */
	__u64 memory_used;		/* bytes taken by tensors; simulated only */
	char name[MLOS_NAME_MAX];	/* driver's name, or "simulated"; may be empty */
};

/* MLOS_IOC_GPU_LIST: fills up to `count` elements, sets `count` to how many there are. */
struct mlos_gpu_list {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 gpus;			/* [in] user pointer to struct mlos_gpu */
	__u32 count;			/* [in,out] at most 256 */
	__u32 element_size;		/* [in] sizeof(struct mlos_gpu) */
};

/*
 * MLOS_IOC_GPU_SELECT: the accelerator with a memory pool that has the most room, for TENSOR_ALLOC. ENODEV: there is none with a pool.
 * ENOSPC: none has `bytes` in one piece.
 */
struct mlos_gpu_select {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 bytes;			/* [in] wanted in one piece; 0 = any */
	__u32 gpu;			/* [out] */
	__u32 reserved;
	__u64 free_bytes;		/* [out] */
	__u64 largest_free;		/* [out] bytes in one piece */
};

/* --- what there is, of all open files: since ABI 1.1 ---------------------------------------------------------------- */

/*
 * The lists fill up to `count` elements and set `count` to how many there are; ask with 0 first, and again when there were more than
 * asked for. Process ids are as the caller sees them, 0 = outside of its namespace.
 */
struct mlos_list {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 elements;			/* [in] user pointer to structs of the list's kind */
	__u32 count;			/* [in,out] at most 65536 */
	__u32 element_size;		/* [in] sizeof() that struct */
};

/* MLOS_IOC_CLIENT_LIST: open files of the device. */
struct mlos_client_info {
	__u64 client_id;
	__s32 process;			/* that opened it */
	__u32 models;
	__u32 tensors;			/* with an id */
	__u32 inferences;		/* queued, granted, or to be fetched */
	__u64 resident_bytes;		/* of its tensors, with an id or only mapped; shared ones count for who loaded them */
	char name[16];			/* of the process when it opened the device */
};

/* MLOS_IOC_MODEL_LIST */
struct mlos_model_info {
	__u64 model_id;
	__u64 client_id;
	__s32 process;
	__u32 inferences;		/* queued and granted */
	__u32 plan_entries;		/* of its prefetch plan; 0 = none */
	__u32 reserved;
	__u64 samples;			/* as MODEL_LATENCY_EXT, and the next three */
	__u64 p50_duration_ns;
	__u64 p90_duration_ns;
	__u64 p99_duration_ns;
	char name[MLOS_NAME_MAX];
};

/* MLOS_IOC_TENSOR_LIST: those with an id. */
struct mlos_tensor_info {
	__u64 tensor_id;
	__u64 client_id;
	__u64 model_id;			/* 0 = none */
	__u64 bytes;
	__u64 resident_bytes;
	__s32 process;
	__s32 numa_node;		/* -1 = any */
	__u32 flags;			/* MLOS_TENSOR_*, MLOS_ALLOC_* as allocated */
	__u32 state;			/* MLOS_TENSOR_STATE_* */
	__u32 pins;			/* by its id */
	__u32 mappings;
	__u32 gpu;			/* with MLOS_ALLOC_GPU */
	__u32 reserved;
};

/* mlos_inference_info.state, beside MLOS_INFERENCE_* */
#define MLOS_INFERENCE_RECLAIMED 3 /* its grant was taken back, DONE has not come */

/* MLOS_IOC_INFERENCE_LIST */
struct mlos_inference_info {
	__u64 inference_id;
	__u64 client_id;
	__u64 model_id;
	__s32 process;
	__u32 priority;
	__u32 threads;
	__u32 state;
	__u32 boosted;			/* threads raised */
	__u32 reserved;
	__u64 deadline_ns;		/* 0 = none */
	__u64 started_ns;
	__u64 granted_ns;		/* 0 = not yet */
};

/* MLOS_IOC_STATS: what is, and what was since the module was loaded. */
struct mlos_stats {
	__u32 size;
	__u32 flags;			/* [in] 0 */
	__u64 resident_bytes;		/* [out] of tensors, and the next six */
	__u64 memory_limit;		/* [out] 0 = none */
	__u64 evicted_tensors;		/* [out] */
	__u64 evicted_bytes;		/* [out] */
	__u64 shrunk_bytes;		/* [out] of these, because the kernel ran short */
	__u64 dedup_hashed;		/* [out] tensors whose content was looked for */
	__u64 dedup_duplicates;		/* [out] found */
	__u64 dedup_saved_bytes;	/* [out] */
	__u64 dedup_collisions;		/* [out] equal hash, different content */
	__u64 started;			/* [out] inferences */
	__u64 granted;			/* [out] */
	__u64 done;			/* [out] */
	__u64 expired;			/* [out] */
	__u64 reclaimed;		/* [out] grants taken back */
	__u32 slots;			/* [out] */
	__u32 slots_free;		/* [out] */
	__u32 boosted_threads;		/* [out] */
	__u32 clients;			/* [out] open files */
	__u32 queued_now[4];		/* [out] by class */
	__u32 granted_now[4];		/* [out] by class */
};

/* --- the status page ----------------------------------------------------------------------------------------------- */

/*
 * mmap() of the device itself, offset 0, one page, PROT_READ: lets a client see without a system call that nobody waits, run
 * without START, and report in bulk by MLOS_BATCH_RECORD. Values are single aligned words, each right by itself.
 */
struct mlos_status {
	__u32 abi_major;
	__u32 abi_minor;
	__u32 slots;
	__u32 slots_free;
	__u32 queued[4];		/* by class */
	__u32 granted[4];		/* by class */
	__u64 resident_bytes;		/* of tensors */
	__u64 memory_limit;
};

/* --- the operations ------------------------------------------------------------------------------------------------ */

/* The size is in the struct, not in the number, so that structs can grow. */
#define MLOS_IO(nr) _IO(MLOS_IOC_TYPE, nr)
#define MLOS_IOC_VERSION MLOS_IO(0)
#define MLOS_IOC_MODEL_REGISTER MLOS_IO(1)
#define MLOS_IOC_MODEL_UNREGISTER MLOS_IO(2)
#define MLOS_IOC_TENSOR_ALLOC MLOS_IO(10)
#define MLOS_IOC_TENSOR_FREE MLOS_IO(11)
#define MLOS_IOC_TENSOR_PIN MLOS_IO(12)
#define MLOS_IOC_TENSOR_UNPIN MLOS_IO(13)
#define MLOS_IOC_TENSOR_PREFETCH MLOS_IO(14)
#define MLOS_IOC_TENSOR_SHARE MLOS_IO(15)
#define MLOS_IOC_MEMORY_DEFRAG MLOS_IO(20)
#define MLOS_IOC_MEMORY_TRIM MLOS_IO(21)
#define MLOS_IOC_INFERENCE_START MLOS_IO(30)
#define MLOS_IOC_INFERENCE_WAIT MLOS_IO(31)
#define MLOS_IOC_INFERENCE_DONE MLOS_IO(32)
#define MLOS_IOC_INFERENCE_BATCH MLOS_IO(33)
#define MLOS_IOC_GPU_LIST MLOS_IO(40)
#define MLOS_IOC_GPU_SELECT MLOS_IO(41)
#define MLOS_IOC_NUMA_MIGRATE MLOS_IO(50)
#define MLOS_IOC_PREFETCH_PLAN_SET MLOS_IO(60)
#define MLOS_IOC_PREFETCH_PLAN_CLEAR MLOS_IO(61)
#define MLOS_IOC_PREFETCH_STATS MLOS_IO(62)
#define MLOS_IOC_PREFETCH_PLAN_START MLOS_IO(63)
#define MLOS_IOC_DEADLINE_PREDICT MLOS_IO(65)
#define MLOS_IOC_MODEL_PREDICT MLOS_IO(66)
#define MLOS_IOC_NUMA_STATS MLOS_IO(70)
#define MLOS_IOC_PREFETCH_LEARNING MLOS_IO(71)
#define MLOS_IOC_PREDICTION_ACCURACY MLOS_IO(72)
#define MLOS_IOC_MODEL_LATENCY_EXT MLOS_IO(73)
#define MLOS_IOC_CLIENT_LIST MLOS_IO(80)
#define MLOS_IOC_MODEL_LIST MLOS_IO(81)
#define MLOS_IOC_TENSOR_LIST MLOS_IO(82)
#define MLOS_IOC_INFERENCE_LIST MLOS_IO(83)
#define MLOS_IOC_STATS MLOS_IO(84)

#endif /* _UAPI_LINUX_MLOS_H */
