/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside mlos_ml. Locks, in the order they are taken:
 *
 *   mmap_lock > mlos_tensor.lock > mlos_body.lock > mlos_memory.lock
 *   mlos_files.lock > mlos_file.lock > mlos_sched.lock
 *   mlos_file.lock > mlos_tensor.lock
 *
 * No lock of ours is held while a tensor file is released or user memory is read or written, except mlos_body.lock, under which
 * pages are allocated and the backing file's page cache is read. The shrinker only tries locks.
 */
#ifndef MLOS_H
#define MLOS_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/mlos.h>

#include "compat.h"
#include "core/accuracy.h"
#include "core/idtable.h"
#include "core/latency.h"
#include "core/lru.h"
#include "core/plan.h"
#include "core/pool.h"
#include "core/queue.h"

#define MLOS_MAX_MODELS 4096
#define MLOS_MAX_TENSORS 65536
#define MLOS_MAX_INFERENCES 4096
#define MLOS_MAX_SLOTS 4096
#define MLOS_MAX_TIDS 64
#define MLOS_MAX_BATCH 256
#define MLOS_MAX_GPUS 256
#define MLOS_MAX_SIM_GPUS 16
#define MLOS_MAX_NODES 1024
#define MLOS_MAX_LIST 65536
#define MLOS_TENSOR_MAX (1ULL << 40)

/* Module parameters. */
extern bool mlos_enable_tmm, mlos_enable_scheduler, mlos_enable_gpu_manager, mlos_enable_boost;
extern uint mlos_sim_gpus, mlos_sim_gpu_mb, mlos_slots, mlos_io_cpus, mlos_slot_timeout_ms, mlos_aging_ms;
extern ulong mlos_memory_limit_mb;
extern uint mlos_debug_level;

#define mlos_debug(level, format, ...)                                                             \
	do {                                                                                       \
		if (unlikely(READ_ONCE(mlos_debug_level) >= (level)))                              \
			pr_info("mlos_ml: process %d: " format, task_tgid_nr(current), ##__VA_ARGS__); \
	} while (0)

/* Who opened a file, and what its tensors take; outlives the file while they do. */
struct mlos_account {
	struct kref ref;
	u64 client_id;
	atomic64_t resident_pages;
	struct pid *process;
	struct mem_cgroup *memcg; /* to which its pages are charged; NULL = to nobody */
	char name[TASK_COMM_LEN];
};

/* One open of /dev/mlos-ml. */
struct mlos_file {
	struct mutex lock;		 /* guards models and tensors */
	struct mlos_idtable models;	 /* mlos_model.node */
	struct mlos_idtable tensors;	 /* mlos_tensor.node */
	struct mlos_idtable inferences;	 /* mlos_inference.node; guarded by mlos_sched.lock */
	struct mlos_account *account;
	wait_queue_head_t wait;		 /* a grant, or an end, of one of its inferences */
	/* Guarded by mlos_sched.lock. */
	struct list_head told;		 /* mlos_inference.told: granted or thrown out, and nobody knows yet */
	u32 awaited;			 /* inferences that are told, or will be */
	struct list_head link;		 /* in mlos_files.list */
};

/* All open files, for those who ask what there is. */
struct mlos_files {
	struct mutex lock;
	struct list_head list;
};
extern struct mlos_files mlos_files;

/* The argument of an operation, and what it wants done once the answer has reached the caller. */
struct mlos_call {
	u8 bytes[256] __aligned(8);
	struct file *install; /* becomes the descriptor `fd`, or is dropped with it when the answer cannot be written */
	int fd;
	u64 undo_tensor; /* its id is taken back when the answer cannot be written; 0 = none */
};

/* --- clients: mlos_account.c ------------------------------------------------------------------------------------------- */

struct mlos_account *mlos_account_new(void); /* of the calling process */
void mlos_account_put(struct mlos_account *account);
s32 mlos_account_process(const struct mlos_account *account); /* as the calling process sees it; 0 = not at all */

/* --- models: mlos_model.c -------------------------------------------------------------------------------------------- */

struct mlos_prefetcher;

struct mlos_model {
	struct mlos_idnode node;
	struct kref ref;
	char name[MLOS_NAME_MAX];
	/* Guarded by mlos_sched.lock. */
	struct mlos_latency latency;
	u32 active; /* inferences queued or granted */
	/* Guarded by the lock of the file. */
	struct mlos_prefetcher *prefetcher;
};

/* Without a lock: a plan that is being set counts from the next inference on. */
static inline bool mlos_model_has_plan(const struct mlos_model *model)
{
	return READ_ONCE(model->prefetcher);
}

struct mlos_model *mlos_model_get(struct mlos_file *file, u64 id); /* takes file->lock; with a reference, or NULL */
void mlos_model_put(struct mlos_model *model);
void mlos_models_release(struct mlos_file *file);
long mlos_ioc_model_register(struct mlos_file *file, void *arg);
long mlos_ioc_model_unregister(struct mlos_file *file, void *arg);

/* --- memory: mlos_memory.c --------------------------------------------------------------------------------------------- */

/* The content of one tensor, or of several that are equal. */
struct mlos_body {
	struct kref ref;
	struct mutex lock; /* guards pages, resident, pins, lost, joined and the loading of pages */
	struct xarray pages;	/* struct page by index; what is not resident takes no room */
	u64 bytes;
	unsigned long n_pages;
	unsigned long resident;
	u32 pins;
	bool lost;
	atomic_t maps;		/* mappings of its tensors */
	bool dirty;		/* was mapped shared and writable */
	bool joined;		/* also the content of a tensor of another file, which may differ by the next reading */
	bool discardable;
	bool strict;
	s32 node;		/* >= 0, or MLOS_NUMA_NODE_ANY */
	struct file *backing;	/* may be NULL */
	struct inode *source;	/* whose page cache has the content: the file's, or of the file below an overlay; NULL without backing */
	u64 backing_offset;
	struct mlos_account *account;
	/* Guarded by mlos_memory.lock. */
	struct mlos_lru_node lru; /* how many of its pages are resident */
	struct list_head shared;	/* in mlos_memory.shared when it may be found by its content */
	u64 hash;
	u32 sharers;
};

struct mlos_node_stats {
	atomic64_t pages, allocations, remote, in, out;
	atomic_t tensors;
};

struct mlos_memory {
	struct mutex lock;
	struct mlos_lru lru; /* mlos_body.lru, in pages */
	struct list_head shared;
	u64 shrunk_pages;
	u64 hashed, duplicates, saved_pages, collisions;
	struct mlos_node_stats *nodes; /* nr_node_ids */
};
extern struct mlos_memory mlos_memory;

int mlos_memory_init(void);
void mlos_memory_exit(void);
unsigned long mlos_memory_limit_pages(void); /* 0 = none */
void mlos_memory_apply_limit(void); /* it may be lower than before */
struct mlos_body *mlos_body_new(u64 bytes, s32 node, bool strict, struct mlos_account *account);
void mlos_body_put(struct mlos_body *body);
/* The page at `index`, read or zeroed first when needed. body->lock held. `optional`: no eviction for it. */
struct page *mlos_body_page(struct mlos_body *body, unsigned long index, bool optional);
int mlos_body_populate(struct mlos_body *body, bool optional); /* body->lock held */
void mlos_body_used(struct mlos_body *body);
/* The body whose content is equal, with a reference, else NULL. body->lock held, every page there. */
struct mlos_body *mlos_body_twin(struct mlos_body *body);
void mlos_body_unshare(struct mlos_body *body); /* one tensor less uses it */
/* Evicts until at most that many pages are resident; how many tensors and pages went. */
void mlos_memory_evict_to(u64 target_pages, u32 *tensors, u64 *pages);
void mlos_memory_count_touch(const struct mlos_body *body, struct page *page);
int mlos_body_migrate(struct mlos_body *body, int node, u64 *moved_bytes);
long mlos_ioc_memory_trim(struct mlos_file *file, void *arg);
long mlos_ioc_numa_stats(struct mlos_file *file, void *arg);

/* --- tensors: mlos_tensor.c -------------------------------------------------------------------------------------------- */

struct mlos_sim_gpu;

/* Lives as long as its descriptors and mappings; the id, as long as the open file or until TENSOR_FREE. */
struct mlos_tensor {
	struct mlos_idnode node;
	struct kref ref;   /* one of the id, one of each file */
	struct mutex lock; /* guards body, maps, files and mapping */
	struct mlos_body *body;	/* replaced under mlos_memory.lock too */
	u32 maps;
	u32 files; /* open, or about to be */
	u64 id; /* also after TENSOR_FREE */
	u64 bytes;
	u64 model_id;
	u32 flags; /* MLOS_TENSOR_*, MLOS_ALLOC_* */
	u32 gpu_index;
	struct mlos_extent extent; /* in the pool of gpu; guarded by its lock */
	struct mlos_sim_gpu *gpu;
	atomic_t pinned; /* pins by this id; changed under body->lock, read by compaction */
	struct mlos_prefetcher *watcher; /* the plan that wants to know of touches; guarded by lock */
	struct address_space *mapping;	 /* of all its files; valid while files is not 0 */
};

int mlos_tensor_init(void);
void mlos_tensor_exit(void); /* waits for prefetches */
struct mlos_tensor *mlos_tensor_get(struct mlos_file *file, u64 id);
void mlos_tensor_put(struct mlos_tensor *tensor);
void mlos_tensors_release(struct mlos_file *file);
/* Reads what is missing. Sleeps. */
int mlos_tensor_load(struct mlos_tensor *tensor, bool optional, u64 *read_bytes);
void mlos_tensor_undo(struct mlos_file *file, u64 id);
long mlos_ioc_tensor_alloc(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_share(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_free(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_pin(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_unpin(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_prefetch(struct mlos_file *file, void *arg);
long mlos_ioc_numa_migrate(struct mlos_file *file, void *arg);

/* --- descriptors of tensors: mlos_tensor_file.c ------------------------------------------------------------------------ */

int mlos_tensor_fs_hold(void); /* for as long as an open file makes tensors */
void mlos_tensor_fs_drop(void);
/* Takes a reference of the tensor. What is open for reading only is not mapped for writing, nor made so by mprotect(). */
struct file *mlos_tensor_file_new(struct mlos_tensor *tensor, bool readonly);
bool mlos_tensor_file_is(const struct file *filp);

/* --- scheduling: mlos_sched.c, mlos_inference.c, mlos_gang.c ------------------------------------------------------------------------------- */

enum mlos_gang_mode { MLOS_GANG_PLAIN, MLOS_GANG_BOOSTED, MLOS_GANG_THROTTLED };

/* The threads of one inference. */
struct mlos_gang {
	enum mlos_gang_mode mode;
	u32 count;
	struct mlos_member {
		struct task_struct *task;
		s8 nice;	/* before we changed it */
		bool reset_on_fork;	/* likewise */
		bool changed;
	} *members;
};

/* The caller's thread, those listed, or the whole process; all belong to the caller's process. */
int mlos_gang_collect(struct mlos_gang *gang, const s32 *tids, u32 n_tids, bool whole_process);
void mlos_gang_set(struct mlos_gang *gang, enum mlos_gang_mode mode); /* sleeps */
void mlos_gang_release(struct mlos_gang *gang); /* plain again, and forgotten */
static inline u32 mlos_gang_boosted(const struct mlos_gang *gang)
{
	return gang->mode == MLOS_GANG_BOOSTED ? gang->count : 0;
}

struct mlos_inference {
	struct mlos_idnode node;   /* in file->inferences */
	struct mlos_qnode qnode;
	struct list_head link;	   /* in mlos_sched.granted */
	struct mlos_file *file;
	struct mlos_model *model;  /* with a reference */
	struct mlos_gang gang;
	struct mlos_prediction prediction;
	u32 priority, threads;
	u64 deadline_ns, started_ns, granted_ns;
	struct list_head told;	   /* in file->told */
	bool awaited;		   /* its owner has to be told what became of it */
	bool boost, reclaimed, expired;
};

struct mlos_sched {
	struct mutex lock;
	struct mlos_queue queue;
	struct list_head granted;	/* by time of the grant */
	u32 slots, slots_free;
	u32 granted_count[MLOS_CLASSES];
	u32 boosted_threads;
	struct mlos_accuracy accuracy;
	u64 starts, grants, dones, expired, reclaimed;
	struct delayed_work reclaim;
	struct mlos_status *status;	/* the page that clients map */
};
extern struct mlos_sched mlos_sched;

int mlos_sched_init(void);
void mlos_sched_exit(void);
void mlos_sched_release(struct mlos_file *file);
void mlos_sched_apply_parameters(void); /* aging and time-out may have changed */
__poll_t mlos_sched_poll(struct mlos_file *file, struct file *filp, poll_table *wait);
int mlos_sched_mmap_status(struct vm_area_struct *vma);
void mlos_status_set_resident(u64 bytes);
u64 mlos_new_id(void);
static inline bool mlos_inference_granted(const struct mlos_inference *i)
{
	return i->granted_ns && !i->reclaimed;
}
/* These want mlos_sched.lock held. */
/* Takes over `i` when it returns 0. The id is valid afterwards, granted_ns says whether it runs. -ETIME, -EAGAIN. */
int mlos_sched_submit(struct mlos_inference *i, u64 *predicted_wait_ns);
void mlos_sched_dispatch(void); /* grants what can start */
void mlos_sched_publish(void); /* to the status page */
void mlos_sched_fetched(struct mlos_inference *i); /* its owner knows what became of it */
/* Counts the run of one that is granted. */
void mlos_sched_finish(struct mlos_inference *i, u64 now_ns, bool failed, u64 *duration_ns, u32 *met);
void mlos_sched_forget(struct mlos_inference *i); /* gives back what it holds, and frees it */
/* mlos_inference.c */
bool mlos_inference_exists(struct mlos_file *file, u64 id);
long mlos_ioc_inference_start(struct mlos_file *file, void *arg);
long mlos_ioc_inference_wait(struct mlos_file *file, void *arg);
long mlos_ioc_inference_done(struct mlos_file *file, void *arg);
long mlos_ioc_inference_batch(struct mlos_file *file, void *arg);
/* mlos_predict.c; the first three want mlos_sched.lock held. */
u64 mlos_predict_wait(u32 priority, u64 deadline_ns, u64 now_ns); /* of one that came now */
u64 mlos_predict_work(const struct mlos_inference *inference); /* time of its threads together */
void mlos_predict_at_start(struct mlos_inference *inference, u64 starts_ns);
long mlos_ioc_deadline_predict(struct mlos_file *file, void *arg);
long mlos_ioc_model_predict(struct mlos_file *file, void *arg);
long mlos_ioc_model_latency_ext(struct mlos_file *file, void *arg);
long mlos_ioc_prediction_accuracy(struct mlos_file *file, void *arg);

/* --- prefetch plans: mlos_prefetch.c ------------------------------------------------------------------------------------- */

/* An inference of the model was started; is gone, without a grant when granted_ns is 0. */
void mlos_prefetch_start(struct mlos_file *file, u64 model_id, u64 inference_id);
void mlos_prefetch_end(struct mlos_file *file, u64 model_id, u64 inference_id, u64 granted_ns);
u32 mlos_prefetch_entries(const struct mlos_model *model); /* lock of the file held */
void mlos_prefetch_touched(struct mlos_tensor *tensor); /* tensor->lock held */
void mlos_prefetch_drop(struct mlos_model *model);
long mlos_ioc_plan_set(struct mlos_file *file, void *arg);
long mlos_ioc_plan_clear(struct mlos_file *file, void *arg);
long mlos_ioc_plan_start(struct mlos_file *file, void *arg);
long mlos_ioc_prefetch_stats(struct mlos_file *file, void *arg);
long mlos_ioc_prefetch_learning(struct mlos_file *file, void *arg);

/* --- accelerators: mlos_gpu.c ---------------------------------------------------------------------------------------------- */

int mlos_gpu_init(void);
void mlos_gpu_exit(void);
u32 mlos_gpu_count(void);
int mlos_gpu_take(struct mlos_tensor *tensor, u32 index, u64 bytes); /* -ENODEV, -EOPNOTSUPP when not simulated, -ENOSPC */
void mlos_gpu_give(struct mlos_tensor *tensor);
int mlos_gpu_node(u32 index);
long mlos_ioc_gpu_list(struct mlos_file *file, void *arg);
long mlos_ioc_gpu_select(struct mlos_file *file, void *arg);
long mlos_ioc_memory_defrag(struct mlos_file *file, void *arg);

/* --- what there is: mlos_info.c --------------------------------------------------------------------------------------------- */

long mlos_ioc_client_list(struct mlos_file *file, void *arg);
long mlos_ioc_model_list(struct mlos_file *file, void *arg);
long mlos_ioc_tensor_list(struct mlos_file *file, void *arg);
long mlos_ioc_inference_list(struct mlos_file *file, void *arg);
long mlos_ioc_stats(struct mlos_file *file, void *arg);
void mlos_info_of_client(struct mlos_file *file, struct mlos_client_info *out);

/* --- sysfs and debugfs: mlos_sysfs.c ---------------------------------------------------------------------------------------- */

extern const struct attribute_group *mlos_sysfs_groups[];
void mlos_debugfs_init(void);
void mlos_debugfs_exit(void);

#endif /* MLOS_H */
