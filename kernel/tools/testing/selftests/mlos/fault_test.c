// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation and every copy of user memory that one call makes fails once: the first, the second, and so on until the call is
 * over before its turn came. A call that was hit succeeds or is refused with ENOMEM or EFAULT, and leaves nothing behind either way.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fault.h"

#define PAGES 8
#define BYTES (PAGES * 4096ULL)

/* What a round starts with; made anew for each, so that nothing of the round before hides a fault. */
static struct {
	int dev, backing;
	uint64_t model;
	struct mlos_tensor_alloc backed; /* nothing of it is resident */
	struct mlos_tensor_alloc plain;  /* resident and mapped at `map` */
	uint8_t *map;
	struct mlos_inference_start granted;
	struct mlos_plan_entry plan[2];
	int32_t nodes;
	uint64_t now_ns; /* asked before: where it is a system call, asking fails too */
	/* What the call made. */
	int made_fd;
	void *made_map, *made_page, *moved_map;
	pid_t child;
} r;

/* Pages that the file does not have yet, so that reading it allocates. */
static int sparse_file(void)
{
	int fd = memfd_create("backing", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, BYTES))
		abort();
	return fd;
}

static bool prepare(void)
{
	memset(&r, 0, sizeof(r));
	r.made_fd = -1;
	r.dev = dev();
	r.backing = sparse_file();
	r.model = model(r.dev, "faults");
	r.nodes = version(r.dev).numa_nodes;
	if (tensor(r.dev, BYTES, MLOS_TENSOR_BACKED, r.backing, &r.backed) ||
	    tensor(r.dev, BYTES, MLOS_TENSOR_DISCARDABLE | MLOS_TENSOR_POPULATE, -1, &r.plain) ||
	    start(r.dev, r.model, MLOS_PRIO_NORMAL, 1, 0, &r.granted))
		return false;
	r.now_ns = now_ns();
	r.map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r.plain.fd, 0);
	r.plan[0].tensor_id = r.plan[1].tensor_id = r.backed.tensor_id;
	return r.map != MAP_FAILED;
}

/* Everything goes; whether the tensor that was mapped can then be evicted, which a lost count of mappings would prevent. */
static bool clean_up(void)
{
	bool evicted;
	int status;

	if (r.child > 0)
		waitpid(r.child, &status, 0);
	if (r.made_map && r.made_map != MAP_FAILED)
		munmap(r.made_map, BYTES);
	if (r.made_page && r.made_page != MAP_FAILED)
		munmap(r.made_page, 4096);
	if (r.made_fd >= 0)
		close(r.made_fd);
	/* A mapping that could not be taken away when it was moved is in both places. */
	if (r.moved_map)
		munmap(r.moved_map, BYTES);
	munmap(r.map, BYTES);
	evicted = trim(r.dev, 0).evicted > 0;
	close(r.backed.fd);
	close(r.plain.fd);
	close(r.backing);
	close(r.dev);
	return evicted;
}

static int call_open(void)
{
	r.made_fd = dev();
	return r.made_fd < 0 ? -1 : 0;
}

static int call_version(void)
{
	struct mlos_version a = { .size = sizeof(a) };

	return ioctl(r.dev, MLOS_IOC_VERSION, &a);
}

static int call_model_register(void)
{
	struct mlos_model_register a = { .size = sizeof(a), .name = "one more" };

	return ioctl(r.dev, MLOS_IOC_MODEL_REGISTER, &a);
}

static int call_model_unregister(void)
{
	struct mlos_model_unregister a = { .size = sizeof(a), .model_id = r.model };
	struct mlos_inference_done d = { .size = sizeof(d), .inference_id = r.granted.inference_id };

	return ioctl(r.dev, MLOS_IOC_INFERENCE_DONE, &d) ?: ioctl(r.dev, MLOS_IOC_MODEL_UNREGISTER, &a);
}

static int alloc_tensor(uint32_t flags, int backing)
{
	struct mlos_tensor_alloc a;
	int ret = tensor(r.dev, BYTES, flags, backing, &a);

	r.made_fd = ret ? -1 : a.fd;
	return ret;
}

static int call_tensor_alloc(void)
{
	return alloc_tensor(0, 0);
}

static int call_tensor_alloc_populated(void)
{
	return alloc_tensor(MLOS_TENSOR_POPULATE, 0);
}

static int call_tensor_alloc_backed(void)
{
	return alloc_tensor(MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP | MLOS_TENSOR_POPULATE, r.backing);
}

static int call_tensor_alloc_gpu(void)
{
	return alloc_tensor(MLOS_ALLOC_GPU, 0);
}

static int share_tensor(uint64_t id, uint32_t flags)
{
	struct mlos_tensor_share a;
	int ret = tensor_share(r.dev, id, flags, &a);

	r.made_fd = ret ? -1 : a.fd;
	return ret;
}

static int call_tensor_share(void)
{
	return share_tensor(r.plain.tensor_id, MLOS_SHARE_READONLY);
}

/* No descriptor of it is open. */
static int call_tensor_share_alone(void)
{
	close(r.backed.fd);
	r.backed.fd = -1;
	return share_tensor(r.backed.tensor_id, 0);
}

static int call_tensor_free(void)
{
	return tensor_free(r.dev, r.backed.tensor_id);
}

static int call_pin(void)
{
	struct mlos_tensor_op a;
	int ret = tensor_op(r.dev, MLOS_IOC_TENSOR_PIN, r.backed.tensor_id, &a);

	return ret ?: tensor_op(r.dev, MLOS_IOC_TENSOR_UNPIN, r.backed.tensor_id, &a);
}

static int call_prefetch(void)
{
	struct mlos_tensor_op a;

	return tensor_op(r.dev, MLOS_IOC_TENSOR_PREFETCH, r.backed.tensor_id, &a);
}

static int call_prefetch_wait(void)
{
	struct mlos_tensor_op a = { .size = sizeof(a), .flags = MLOS_PREFETCH_WAIT, .tensor_id = r.backed.tensor_id };

	return ioctl(r.dev, MLOS_IOC_TENSOR_PREFETCH, &a);
}

static int call_trim(void)
{
	struct mlos_memory_trim a = { .size = sizeof(a), .target_bytes = BYTES };

	return ioctl(r.dev, MLOS_IOC_MEMORY_TRIM, &a);
}

static int call_defrag(void)
{
	struct mlos_memory_defrag a = { .size = sizeof(a) };

	return ioctl(r.dev, MLOS_IOC_MEMORY_DEFRAG, &a);
}

/* The tensor that is moved must not be mapped. */
static int call_migrate(void)
{
	struct mlos_numa_migrate a = { .size = sizeof(a), .tensor_id = r.plain.tensor_id, .node = r.nodes - 1 };
	int i, ret = munmap(r.map, BYTES);

	/* Its pages lie on either node. */
	for (i = 0; !ret && i < 2; i++, a.node = 0)
		ret = ioctl(r.dev, MLOS_IOC_NUMA_MIGRATE, &a);
	return ret;
}

static int call_numa_stats(void)
{
	struct mlos_numa_node nodes[2];
	struct mlos_numa_stats a = { .size = sizeof(a), .nodes = (uintptr_t)nodes, .count = 2, .element_size = sizeof(nodes[0]) };

	return ioctl(r.dev, MLOS_IOC_NUMA_STATS, &a);
}

static int call_start(void)
{
	struct mlos_inference_start a;

	return start(r.dev, r.model, MLOS_PRIO_HIGH, 1, r.now_ns + 3600000 * MS, &a);
}

static int call_start_gang(void)
{
	int32_t tid = gettid();
	struct mlos_inference_start a = { .size = sizeof(a), .flags = MLOS_INFERENCE_BOOST, .model_id = r.model,
					  .priority = MLOS_PRIO_HIGH, .threads = 1, .tids = (uintptr_t)&tid, .n_tids = 1 };

	return ioctl(r.dev, MLOS_IOC_INFERENCE_START, &a);
}

static int call_start_group(void)
{
	struct mlos_inference_start a = { .size = sizeof(a), .flags = MLOS_INFERENCE_BOOST | MLOS_INFERENCE_GROUP,
					  .model_id = r.model, .priority = MLOS_PRIO_REALTIME, .threads = 1 };

	return ioctl(r.dev, MLOS_IOC_INFERENCE_START, &a);
}

static int call_start_following_a_plan(void)
{
	struct mlos_prefetch_plan p = { .size = sizeof(p), .flags = MLOS_PLAN_ENABLE_AUTO | MLOS_PLAN_ADAPTIVE, .model_id = r.model,
					.entries = (uintptr_t)r.plan, .count = 2, .element_size = sizeof(r.plan[0]) };

	return ioctl(r.dev, MLOS_IOC_PREFETCH_PLAN_SET, &p) ?: call_start();
}

static int call_wait(void)
{
	struct mlos_inference_wait a;

	return await(r.dev, r.granted.inference_id, 0, &a);
}

static int call_done(void)
{
	return finish(r.dev, r.granted.inference_id);
}

static int call_batch(void)
{
	uint64_t now = r.now_ns;
	struct mlos_batch_entry e[3] = {
		{ .op = MLOS_BATCH_RECORD, .id = r.model, .start_ns = now - MS, .end_ns = now - 1 },
		{ .op = MLOS_BATCH_START, .id = r.model, .priority = MLOS_PRIO_HIGH, .threads = 1 },
		{ .op = MLOS_BATCH_DONE, .id = r.granted.inference_id },
	};
	struct mlos_inference_batch a = { .size = sizeof(a), .entries = (uintptr_t)e, .count = 3, .element_size = sizeof(e[0]) };
	int ret = ioctl(r.dev, MLOS_IOC_INFERENCE_BATCH, &a), i;

	for (i = 0; !ret && i < 3; i++)
		if (e[i].result) {
			errno = -e[i].result;
			ret = -1;
		}
	return ret;
}

static int call_predict(void)
{
	struct mlos_model_predict m = { .size = sizeof(m), .model_id = r.model, .priority = 2, .threads = 1 };
	struct mlos_model_latency_ext l = { .size = sizeof(l), .model_id = r.model };
	struct mlos_prediction_accuracy a = { .size = sizeof(a) };

	return ioctl(r.dev, MLOS_IOC_MODEL_PREDICT, &m) ?: ioctl(r.dev, MLOS_IOC_MODEL_LATENCY_EXT, &l) ?:
								 ioctl(r.dev, MLOS_IOC_PREDICTION_ACCURACY, &a);
}

static int call_plan(void)
{
	struct mlos_prefetch_plan p = { .size = sizeof(p), .flags = MLOS_PLAN_ADAPTIVE, .model_id = r.model,
					.entries = (uintptr_t)r.plan, .count = 2, .element_size = sizeof(r.plan[0]) };
	struct mlos_prefetch_run run = { .size = sizeof(run), .model_id = r.model };
	struct mlos_prefetch_plan none = { .size = sizeof(none), .model_id = r.model };
	struct mlos_prefetch_stats s = { .size = sizeof(s), .model_id = r.model };
	struct mlos_prefetch_learning l = { .size = sizeof(l), .flags = MLOS_LEARNING_SET, .model_id = r.model,
					    .learning_rate_pct = 10 };

	return ioctl(r.dev, MLOS_IOC_PREFETCH_PLAN_SET, &p) ?: ioctl(r.dev, MLOS_IOC_PREFETCH_PLAN_START, &run) ?:
	       ioctl(r.dev, MLOS_IOC_PREFETCH_STATS, &s) ?:
	       ioctl(r.dev, MLOS_IOC_PREFETCH_LEARNING, &l) ?: ioctl(r.dev, MLOS_IOC_PREFETCH_PLAN_CLEAR, &none);
}

static int call_gpu_list(void)
{
	struct mlos_gpu g[4];
	struct mlos_gpu_list a = { .size = sizeof(a), .gpus = (uintptr_t)g, .count = 4, .element_size = sizeof(g[0]) };

	return ioctl(r.dev, MLOS_IOC_GPU_LIST, &a);
}

static int call_gpu_select(void)
{
	struct mlos_gpu_select a = { .size = sizeof(a), .bytes = 4096 };

	return ioctl(r.dev, MLOS_IOC_GPU_SELECT, &a);
}

static int list_all(unsigned long op, uint32_t element_size)
{
	static uint64_t elements[1024];
	struct mlos_list a = { .size = sizeof(a), .elements = (uintptr_t)elements, .count = 8, .element_size = element_size };

	return ioctl(r.dev, op, &a);
}

static int call_lists(void)
{
	struct mlos_stats s = { .size = sizeof(s) };

	return list_all(MLOS_IOC_CLIENT_LIST, sizeof(struct mlos_client_info)) ?:
	       list_all(MLOS_IOC_MODEL_LIST, sizeof(struct mlos_model_info)) ?:
	       list_all(MLOS_IOC_TENSOR_LIST, sizeof(struct mlos_tensor_info)) ?:
	       list_all(MLOS_IOC_INFERENCE_LIST, sizeof(struct mlos_inference_info)) ?: ioctl(r.dev, MLOS_IOC_STATS, &s);
}

static int call_mmap_status(void)
{
	r.made_page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, r.dev, 0);
	return r.made_page == MAP_FAILED ? -1 : 0;
}

static int call_mmap_tensor(void)
{
	r.made_map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r.plain.fd, 0);
	return r.made_map == MAP_FAILED ? -1 : 0;
}

static int call_touch(void)
{
	r.made_map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r.backed.fd, 0);
	return r.made_map == MAP_FAILED ? -1 : madvise(r.made_map, BYTES, MADV_POPULATE_READ);
}

static int call_split(void)
{
	return mprotect(r.map + 4096, 4096, PROT_READ) ?: munmap(r.map + 3 * 4096, 4096);
}

static int call_move(void)
{
	void *to = mmap(NULL, 4 * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *moved;

	if (to == MAP_FAILED)
		return -1;
	munmap(to, 4 * BYTES);
	moved = mremap(r.map, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (moved == MAP_FAILED)
		return -1;
	r.moved_map = moved;
	return 0;
}

static int call_fork(void)
{
	r.child = fork();
	if (r.child == 0)
		_exit(r.map[0] != 0);
	return r.child < 0 ? -1 : 0;
}

/* One round for each fault, and a last one that meets none. */
static void inject(const char *name, int (*call)(void))
{
	unsigned int n, refused = 0;
	bool hit = true;

	if (!can_inject())
		SKIP(NO_INJECTION);
	for (n = 1; hit; n++) {
		int ret, error;

		EXPECT(n < 10000);
		EXPECT(prepare());
		fail_at(n);
		ret = call();
		error = errno;
		hit = fault_was_hit();
		EXPECT(clean_up());
		refused += hit && ret;
		errno = error;
		EXPECT(ret == 0 || (hit && (error == ENOMEM || error == EFAULT || error == EAGAIN)));
	}
	printf("# %s: %u faults, %u of them refused the call\n", name, n - 2, refused);
	EXPECT(n > 2);
	EXPECT(nothing_is_left());
	close(nth_fd);
}

#define CALLS(X)                                                                                       \
	X(call_open, "open")                                                                           \
	X(call_version, "VERSION")                                                                     \
	X(call_model_register, "MODEL_REGISTER")                                                       \
	X(call_model_unregister, "MODEL_UNREGISTER")                                                   \
	X(call_tensor_alloc, "TENSOR_ALLOC")                                                           \
	X(call_tensor_alloc_populated, "TENSOR_ALLOC, populated")                                      \
	X(call_tensor_alloc_backed, "TENSOR_ALLOC, backed and shared")                                 \
	X(call_tensor_alloc_gpu, "TENSOR_ALLOC, of an accelerator")                                    \
	X(call_tensor_share, "TENSOR_SHARE")                                                           \
	X(call_tensor_share_alone, "TENSOR_SHARE, of a tensor without a descriptor")                   \
	X(call_tensor_free, "TENSOR_FREE")                                                             \
	X(call_pin, "TENSOR_PIN and UNPIN")                                                            \
	X(call_prefetch, "TENSOR_PREFETCH")                                                            \
	X(call_prefetch_wait, "TENSOR_PREFETCH, waited for")                                           \
	X(call_trim, "MEMORY_TRIM")                                                                    \
	X(call_defrag, "MEMORY_DEFRAG")                                                                \
	X(call_migrate, "NUMA_MIGRATE")                                                                \
	X(call_numa_stats, "NUMA_STATS")                                                               \
	X(call_start, "INFERENCE_START")                                                               \
	X(call_start_gang, "INFERENCE_START of a gang")                                                \
	X(call_start_group, "INFERENCE_START of a process")                                            \
	X(call_start_following_a_plan, "INFERENCE_START that follows a plan")                          \
	X(call_wait, "INFERENCE_WAIT")                                                                 \
	X(call_done, "INFERENCE_DONE")                                                                 \
	X(call_batch, "INFERENCE_BATCH")                                                               \
	X(call_predict, "predictions")                                                                 \
	X(call_plan, "prefetch plans")                                                                 \
	X(call_gpu_list, "GPU_LIST")                                                                   \
	X(call_gpu_select, "GPU_SELECT")                                                               \
	X(call_lists, "lists and STATS")                                                               \
	X(call_mmap_status, "mmap of the status page")                                                 \
	X(call_mmap_tensor, "mmap of a tensor")                                                        \
	X(call_touch, "first touch of a mapping")                                                      \
	X(call_split, "a mapping is split")                                                            \
	X(call_move, "a mapping is moved")                                                             \
	X(call_fork, "fork")

#define TEST(fn, name)                                                                                 \
	static void test_##fn(void)                                                                    \
	{                                                                                              \
		inject(name, fn);                                                                      \
	}
CALLS(TEST)

#define ENTRY(fn, name) { "every fault of: " name, test_##fn },
static const struct tap_test tests[] = { CALLS(ENTRY) };
TAP_MAIN(tests)
