// SPDX-License-Identifier: GPL-2.0
/* The rules that hold for every operation, and every field wrong one at a time with the rest valid. */
#include "client.h"

static const struct {
	unsigned long op;
	unsigned int size;
	const char *name;
} operations[] = {
	{ MLOS_IOC_VERSION, sizeof(struct mlos_version), "VERSION" },
	{ MLOS_IOC_MODEL_REGISTER, sizeof(struct mlos_model_register), "MODEL_REGISTER" },
	{ MLOS_IOC_MODEL_UNREGISTER, sizeof(struct mlos_model_unregister), "MODEL_UNREGISTER" },
	{ MLOS_IOC_TENSOR_ALLOC, sizeof(struct mlos_tensor_alloc), "TENSOR_ALLOC" },
	{ MLOS_IOC_TENSOR_FREE, sizeof(struct mlos_tensor_free), "TENSOR_FREE" },
	{ MLOS_IOC_TENSOR_SHARE, sizeof(struct mlos_tensor_share), "TENSOR_SHARE" },
	{ MLOS_IOC_TENSOR_PIN, sizeof(struct mlos_tensor_op), "TENSOR_PIN" },
	{ MLOS_IOC_TENSOR_UNPIN, sizeof(struct mlos_tensor_op), "TENSOR_UNPIN" },
	{ MLOS_IOC_TENSOR_PREFETCH, sizeof(struct mlos_tensor_op), "TENSOR_PREFETCH" },
	{ MLOS_IOC_MEMORY_DEFRAG, sizeof(struct mlos_memory_defrag), "MEMORY_DEFRAG" },
	{ MLOS_IOC_MEMORY_TRIM, sizeof(struct mlos_memory_trim), "MEMORY_TRIM" },
	{ MLOS_IOC_INFERENCE_START, sizeof(struct mlos_inference_start), "INFERENCE_START" },
	{ MLOS_IOC_INFERENCE_WAIT, sizeof(struct mlos_inference_wait), "INFERENCE_WAIT" },
	{ MLOS_IOC_INFERENCE_DONE, sizeof(struct mlos_inference_done), "INFERENCE_DONE" },
	{ MLOS_IOC_INFERENCE_BATCH, sizeof(struct mlos_inference_batch), "INFERENCE_BATCH" },
	{ MLOS_IOC_GPU_LIST, sizeof(struct mlos_gpu_list), "GPU_LIST" },
	{ MLOS_IOC_GPU_SELECT, sizeof(struct mlos_gpu_select), "GPU_SELECT" },
	{ MLOS_IOC_NUMA_MIGRATE, sizeof(struct mlos_numa_migrate), "NUMA_MIGRATE" },
	{ MLOS_IOC_PREFETCH_PLAN_SET, sizeof(struct mlos_prefetch_plan), "PREFETCH_PLAN_SET" },
	{ MLOS_IOC_PREFETCH_PLAN_CLEAR, sizeof(struct mlos_prefetch_plan), "PREFETCH_PLAN_CLEAR" },
	{ MLOS_IOC_PREFETCH_PLAN_START, sizeof(struct mlos_prefetch_run), "PREFETCH_PLAN_START" },
	{ MLOS_IOC_PREFETCH_STATS, sizeof(struct mlos_prefetch_stats), "PREFETCH_STATS" },
	{ MLOS_IOC_DEADLINE_PREDICT, sizeof(struct mlos_deadline_predict), "DEADLINE_PREDICT" },
	{ MLOS_IOC_MODEL_PREDICT, sizeof(struct mlos_model_predict), "MODEL_PREDICT" },
	{ MLOS_IOC_NUMA_STATS, sizeof(struct mlos_numa_stats), "NUMA_STATS" },
	{ MLOS_IOC_PREFETCH_LEARNING, sizeof(struct mlos_prefetch_learning), "PREFETCH_LEARNING" },
	{ MLOS_IOC_PREDICTION_ACCURACY, sizeof(struct mlos_prediction_accuracy), "PREDICTION_ACCURACY" },
	{ MLOS_IOC_MODEL_LATENCY_EXT, sizeof(struct mlos_model_latency_ext), "MODEL_LATENCY_EXT" },
	{ MLOS_IOC_CLIENT_LIST, sizeof(struct mlos_list), "CLIENT_LIST" },
	{ MLOS_IOC_MODEL_LIST, sizeof(struct mlos_list), "MODEL_LIST" },
	{ MLOS_IOC_TENSOR_LIST, sizeof(struct mlos_list), "TENSOR_LIST" },
	{ MLOS_IOC_INFERENCE_LIST, sizeof(struct mlos_list), "INFERENCE_LIST" },
	{ MLOS_IOC_STATS, sizeof(struct mlos_stats), "STATS" },
};
#define N_OPERATIONS ARRAY_SIZE(operations)

/* What the struct had in the version of the ABI that brought the operation. */
static unsigned int first_size(size_t i)
{
	return operations[i].op == MLOS_IOC_INFERENCE_START ? 64 : operations[i].size;
}

static void layout_is_frozen(void)
{
	EXPECT_EQ(sizeof(struct mlos_version), 64);
	EXPECT_EQ(sizeof(struct mlos_model_register), 80);
	EXPECT_EQ(sizeof(struct mlos_tensor_alloc), 64);
	EXPECT_EQ(sizeof(struct mlos_tensor_op), 32);
	EXPECT_EQ(sizeof(struct mlos_tensor_share), 24);
	EXPECT_EQ(sizeof(struct mlos_numa_node), 56);
	EXPECT_EQ(sizeof(struct mlos_inference_start), 72); /* 64 in ABI 1.0 */
	EXPECT_EQ(sizeof(struct mlos_inference_wait), 48);
	EXPECT_EQ(sizeof(struct mlos_batch_entry), 56);
	EXPECT_EQ(sizeof(struct mlos_model_predict), 96);
	EXPECT_EQ(sizeof(struct mlos_gpu), 112);
	EXPECT_EQ(sizeof(struct mlos_gpu_select), 40);
	EXPECT_EQ(sizeof(struct mlos_list), 24);
	EXPECT_EQ(sizeof(struct mlos_client_info), 48);
	EXPECT_EQ(sizeof(struct mlos_model_info), 128);
	EXPECT_EQ(sizeof(struct mlos_tensor_info), 72);
	EXPECT_EQ(sizeof(struct mlos_inference_info), 72);
	EXPECT_EQ(sizeof(struct mlos_stats), 168);
	EXPECT_EQ(MLOS_IOC_NUMA_STATS & 0xff, 70);
	EXPECT_EQ(MLOS_IOC_PREFETCH_LEARNING & 0xff, 71);
	EXPECT_EQ(MLOS_IOC_PREDICTION_ACCURACY & 0xff, 72);
	EXPECT_EQ(MLOS_IOC_MODEL_LATENCY_EXT & 0xff, 73);
}

static void version_tells_limits(void)
{
	int fd = dev();
	struct mlos_version v = version(fd);

	EXPECT(fd >= 0);
	EXPECT_EQ(v.abi_major, MLOS_ABI_MAJOR);
	EXPECT(v.slots > 0 && v.max_models > 0 && v.max_tensors > 0 && v.max_inferences > 0);
	EXPECT(v.features & MLOS_FEATURE_TMM);
	EXPECT(v.features & MLOS_FEATURE_SCHED);
	EXPECT(v.features & MLOS_FEATURE_SHARE);
	close(fd);
}

static void unknown_operations_are_enotty(void)
{
	char arg[256] = { 0 };
	int fd = dev(), nr;

	*(uint32_t *)arg = sizeof(arg);
	for (nr = 0; nr < 256; nr++) {
		bool known = false;
		size_t i;

		for (i = 0; i < N_OPERATIONS; i++)
			known |= (operations[i].op & 0xff) == (unsigned long)nr;
		if (!known)
			EXPECT_ERRNO(ioctl(fd, _IO(MLOS_IOC_TYPE, nr), arg), ENOTTY);
	}
	EXPECT_ERRNO(ioctl(fd, _IO('M', 0), arg), ENOTTY);
	EXPECT_ERRNO(ioctl(fd, _IOWR(MLOS_IOC_TYPE, 0, struct mlos_version), arg), ENOTTY);
	close(fd);
}

static void bad_pointers_are_efault(void)
{
	int fd = dev();
	size_t i;

	for (i = 0; i < N_OPERATIONS; i++) {
		EXPECT_ERRNO(ioctl(fd, operations[i].op, NULL), EFAULT);
		EXPECT_ERRNO(ioctl(fd, operations[i].op, (void *)-4096L), EFAULT);
	}
	close(fd);
}

static void short_structs_are_einval(void)
{
	char arg[512] = { 0 };
	int fd = dev();
	size_t i;

	for (i = 0; i < N_OPERATIONS; i++) {
		*(uint32_t *)arg = first_size(i) - 1;
		EXPECT_ERRNO(ioctl(fd, operations[i].op, arg), EINVAL);
		*(uint32_t *)arg = 0;
		EXPECT_ERRNO(ioctl(fd, operations[i].op, arg), EINVAL);
	}
	close(fd);
}

static void long_structs_need_zeros(void)
{
	char arg[8192];
	int fd = dev();
	size_t i;

	for (i = 0; i < N_OPERATIONS; i++) {
		memset(arg, 0, sizeof(arg));
		*(uint32_t *)arg = operations[i].size + 16;
		arg[operations[i].size + 7] = 1;
		EXPECT_ERRNO(ioctl(fd, operations[i].op, arg), E2BIG);
		*(uint32_t *)arg = 5000;
		EXPECT_ERRNO(ioctl(fd, operations[i].op, arg), E2BIG);
	}
	memset(arg, 0, sizeof(arg));
	*(uint32_t *)arg = sizeof(struct mlos_version) + 64;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_VERSION, arg), 0);
	close(fd);
}

static void nothing_is_written_beyond_size(void)
{
	struct {
		struct mlos_version v;
		uint64_t guard;
	} a = { .v.size = sizeof(a.v), .guard = 0x1122334455667788ULL };
	int fd = dev();

	EXPECT_EQ(ioctl(fd, MLOS_IOC_VERSION, &a), 0);
	EXPECT(a.guard == 0x1122334455667788ULL);
	close(fd);
}

static void unknown_flags_are_einval(void)
{
	size_t i;
	int bit;

	for (i = 0; i < N_OPERATIONS; i++) {
		char arg[256] = { 0 };
		int fd = dev();

		if (operations[i].op == MLOS_IOC_VERSION) {
			close(fd);
			continue;
		}
		for (bit = 8; bit < 32; bit++) {
			memset(arg, 0, sizeof(arg));
			((uint32_t *)arg)[0] = operations[i].size;
			((uint32_t *)arg)[1] = 1u << bit;
			EXPECT_ERRNO(ioctl(fd, operations[i].op, arg), EINVAL);
		}
		close(fd);
	}
}

/* A valid struct, one field made wrong, the errno that follows. */
#define WRONG(op, valid, field, value, wanted)                                                         \
	do {                                                                                           \
		__typeof__(valid) w_ = (valid);                                                        \
		w_.field = (value);                                                                    \
		EXPECT_ERRNO(ioctl(fd, op, &w_), wanted);                                              \
	} while (0)

static void model_fields(void)
{
	struct mlos_model_register r = { .size = sizeof(r), .name = "m" };
	struct mlos_model_unregister u = { .size = sizeof(u) };
	int fd = dev(), other = dev();

	WRONG(MLOS_IOC_MODEL_REGISTER, r, name[0], 0, EINVAL);
	memset(r.name, 'x', sizeof(r.name));
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_MODEL_REGISTER, &r), EINVAL);
	u.model_id = model(fd, "m");
	EXPECT(u.model_id != 0);
	WRONG(MLOS_IOC_MODEL_UNREGISTER, u, model_id, 0, ENOENT);
	WRONG(MLOS_IOC_MODEL_UNREGISTER, u, model_id, u.model_id + 1, ENOENT);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_MODEL_UNREGISTER, &u), ENOENT);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_UNREGISTER, &u), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_MODEL_UNREGISTER, &u), ENOENT);
	close(fd);
	close(other);
}

static void tensor_alloc_fields(void)
{
	int fd = dev(), file = pattern_file(10000, 1), pipes[2], wronly = open("/tmp/w", O_CREAT | O_WRONLY, 0600);
	struct mlos_tensor_alloc v = { .size = sizeof(v), .bytes = 8192, .numa_node = MLOS_NUMA_NODE_ANY };
	struct mlos_tensor_alloc b = v;

	WRONG(MLOS_IOC_TENSOR_ALLOC, v, bytes, 0, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, bytes, (1ULL << 40) + 1, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, bytes, ~0ULL, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, model_id, 99999999, ENOENT);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, numa_node, -3, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, numa_node, 1 << 20, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, backing_fd, file, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, backing_offset, 1, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, gpu, 1, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, reserved, 1, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, reserved2, 1, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, flags, MLOS_TENSOR_READONLY, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, flags, MLOS_TENSOR_DEDUP, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, v, flags, MLOS_ALLOC_NUMA_STRICT, EINVAL);
	b.flags = MLOS_TENSOR_BACKED;
	b.backing_fd = file;
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, flags, MLOS_TENSOR_BACKED | MLOS_TENSOR_DISCARDABLE, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_fd, -1, EBADF);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_fd, wronly, EBADF);
	EXPECT_EQ(pipe(pipes), 0);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_fd, pipes[0], EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_fd, fd, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_offset, 10000 - 8191, EINVAL);
	WRONG(MLOS_IOC_TENSOR_ALLOC, b, backing_offset, ~0ULL - 100, EINVAL);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &b), 0);
	close(b.fd);
	close(fd);
	close(file);
	close(wronly);
	close(pipes[0]);
	close(pipes[1]);
}

static void inference_fields(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m");
	uint32_t slots = version(fd).slots;
	int32_t tid = gettid(), init_tid = 1, no_tid = 0x7ffffff0;
	struct mlos_inference_start s = { .size = sizeof(s), .model_id = m, .priority = MLOS_PRIO_NORMAL, .threads = 1 };
	struct mlos_inference_wait w = { .size = sizeof(w) };
	struct mlos_inference_done d = { .size = sizeof(d) };

	WRONG(MLOS_IOC_INFERENCE_START, s, model_id, 0, ENOENT);
	WRONG(MLOS_IOC_INFERENCE_START, s, priority, 4, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, threads, 0, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, threads, slots + 1, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, deadline_ns, 1, ETIME);
	WRONG(MLOS_IOC_INFERENCE_START, s, n_tids, 1, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, tids, (uintptr_t)&tid, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, flags, MLOS_INFERENCE_GROUP, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, reserved, 1, EINVAL);
	s.n_tids = 1;
	s.tids = (uintptr_t)&tid;
	s.flags = MLOS_INFERENCE_BOOST;
	WRONG(MLOS_IOC_INFERENCE_START, s, n_tids, 65, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_START, s, tids, 4096, EFAULT);
	WRONG(MLOS_IOC_INFERENCE_START, s, tids, (uintptr_t)&no_tid, ESRCH);
	if (getpid() != 1)
		WRONG(MLOS_IOC_INFERENCE_START, s, tids, (uintptr_t)&init_tid, EPERM);
	WRONG(MLOS_IOC_INFERENCE_WAIT, w, inference_id, 12345678, ENOENT);
	WRONG(MLOS_IOC_INFERENCE_WAIT, w, flags, 1, EINVAL);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_INFERENCE_WAIT, &w), ENOENT);
	WRONG(MLOS_IOC_INFERENCE_DONE, d, inference_id, 12345678, ENOENT);
	WRONG(MLOS_IOC_INFERENCE_DONE, d, reserved, 1, EINVAL);
	close(fd);
}

static void batch_fields(void)
{
	int fd = dev();
	struct mlos_batch_entry e = { .op = MLOS_BATCH_START, .id = model(fd, "m"), .priority = 2, .threads = 1 };
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)&e, .count = 1,
					  .element_size = sizeof(e) };

	WRONG(MLOS_IOC_INFERENCE_BATCH, b, entries, 0, EFAULT);
	WRONG(MLOS_IOC_INFERENCE_BATCH, b, count, 0, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_BATCH, b, count, 257, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_BATCH, b, count, ~0u, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_BATCH, b, element_size, sizeof(e) - 8, EINVAL);
	WRONG(MLOS_IOC_INFERENCE_BATCH, b, reserved, 1, EINVAL);
	e.op = 3;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b), 0);
	EXPECT_EQ(b.failed, 1);
	EXPECT_EQ(e.result, -EINVAL);
	close(fd);
}

static void list_fields(void)
{
	int fd = dev();
	struct mlos_numa_node nodes[4];
	struct mlos_numa_stats n = { .size = sizeof(n), .nodes = (uintptr_t)nodes, .count = 4,
				     .element_size = sizeof(nodes[0]) };
	struct mlos_gpu gpus[4];
	struct mlos_gpu_list g = { .size = sizeof(g), .gpus = (uintptr_t)gpus, .count = 4, .element_size = sizeof(gpus[0]) };

	WRONG(MLOS_IOC_NUMA_STATS, n, nodes, 4096, EFAULT);
	WRONG(MLOS_IOC_NUMA_STATS, n, count, 1025, EINVAL);
	WRONG(MLOS_IOC_NUMA_STATS, n, element_size, 8, EINVAL);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_STATS, &n), 0);
	EXPECT(n.count >= 1 && nodes[0].total_size > 0);
	WRONG(MLOS_IOC_GPU_LIST, g, count, 257, EINVAL);
	WRONG(MLOS_IOC_GPU_LIST, g, element_size, 0, EINVAL);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_LIST, &g), 0);
	close(fd);
}

static void plan_fields(void)
{
	int fd = dev(), file = pattern_file(8192, 3);
	struct mlos_tensor_alloc t, plain;
	struct mlos_plan_entry e = { 0 };
	struct mlos_prefetch_plan p = { .size = sizeof(p), .model_id = model(fd, "m"), .entries = (uintptr_t)&e,
					.count = 1, .element_size = sizeof(e) };
	struct mlos_prefetch_learning l = { .size = sizeof(l), .model_id = p.model_id };
	struct mlos_prefetch_stats s = { .size = sizeof(s), .model_id = p.model_id };

	EXPECT_EQ(tensor(fd, 8192, MLOS_TENSOR_BACKED, file, &t), 0);
	EXPECT_EQ(tensor(fd, 8192, 0, -1, &plain), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_STATS, &s), ENODATA);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_LEARNING, &l), ENODATA);
	e.tensor_id = t.tensor_id;
	WRONG(MLOS_IOC_PREFETCH_PLAN_SET, p, model_id, 0, ENOENT);
	WRONG(MLOS_IOC_PREFETCH_PLAN_SET, p, entries, 0, EFAULT);
	WRONG(MLOS_IOC_PREFETCH_PLAN_SET, p, count, 0, EINVAL);
	WRONG(MLOS_IOC_PREFETCH_PLAN_SET, p, count, 257, EINVAL);
	WRONG(MLOS_IOC_PREFETCH_PLAN_SET, p, element_size, 1, EINVAL);
	e.reserved = 1;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), EINVAL);
	e.reserved = 0;
	e.flags = 2;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), EINVAL);
	e.flags = 0;
	e.offset_ns = 60000000001ULL;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), EINVAL);
	e.offset_ns = 0;
	e.tensor_id = plain.tensor_id;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), EINVAL);
	e.tensor_id = 1;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), ENOENT);
	e.tensor_id = t.tensor_id;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), 0);
	l.flags = MLOS_LEARNING_SET;
	l.learning_rate_pct = 50;
	WRONG(MLOS_IOC_PREFETCH_LEARNING, l, learning_enabled, 2, EINVAL);
	WRONG(MLOS_IOC_PREFETCH_LEARNING, l, learning_rate_pct, 0, EINVAL);
	WRONG(MLOS_IOC_PREFETCH_LEARNING, l, learning_rate_pct, 101, EINVAL);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_PREFETCH_LEARNING, &l), 0);
	WRONG(MLOS_IOC_PREFETCH_PLAN_CLEAR, p, count, 1, EINVAL);
	close(t.fd);
	close(plain.fd);
	close(file);
	close(fd);
}

static void tensor_operation_fields(void)
{
	int fd = dev(), other = dev();
	struct mlos_tensor_alloc t;
	struct mlos_tensor_op o = { .size = sizeof(o) };
	struct mlos_tensor_free f = { .size = sizeof(f) };
	struct mlos_numa_migrate m = { .size = sizeof(m) };
	static const unsigned long ops[] = { MLOS_IOC_TENSOR_PIN, MLOS_IOC_TENSOR_UNPIN, MLOS_IOC_TENSOR_PREFETCH };
	size_t i;

	EXPECT_EQ(tensor(fd, 8192, 0, -1, &t), 0);
	o.tensor_id = f.tensor_id = m.tensor_id = t.tensor_id;
	for (i = 0; i < 3; i++) {
		WRONG(ops[i], o, tensor_id, 0, ENOENT);
		WRONG(ops[i], o, tensor_id, t.tensor_id + 1, ENOENT);
		WRONG(ops[i], o, tensor_id, ~0ULL, ENOENT);
		WRONG(ops[i], o, reserved, 1, EINVAL);
		WRONG(ops[i], o, flags, 2, EINVAL);
		EXPECT_ERRNO(ioctl(other, ops[i], &o), ENOENT);
	}
	WRONG(MLOS_IOC_TENSOR_PIN, o, flags, MLOS_PREFETCH_WAIT, EINVAL);
	WRONG(MLOS_IOC_NUMA_MIGRATE, m, tensor_id, 0, ENOENT);
	WRONG(MLOS_IOC_NUMA_MIGRATE, m, node, -1, EINVAL);
	WRONG(MLOS_IOC_NUMA_MIGRATE, m, node, 1023, EINVAL);
	WRONG(MLOS_IOC_NUMA_MIGRATE, m, node, 0x7fffffff, EINVAL);
	WRONG(MLOS_IOC_NUMA_MIGRATE, m, reserved, 1, EINVAL);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_NUMA_MIGRATE, &m), ENOENT);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m), 0);
	WRONG(MLOS_IOC_TENSOR_FREE, f, tensor_id, 0, ENOENT);
	WRONG(MLOS_IOC_TENSOR_FREE, f, flags, 1, EINVAL);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_TENSOR_FREE, &f), ENOENT);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_FREE, &f), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_PIN, &o), ENOENT);
	close(t.fd);
	close(fd);
	close(other);
}

static void share_fields(void)
{
	int fd = dev(), other = dev();
	struct mlos_tensor_alloc t;
	struct mlos_tensor_share s = { .size = sizeof(s) };

	EXPECT_EQ(tensor(fd, 8192, 0, -1, &t), 0);
	s.tensor_id = t.tensor_id;
	WRONG(MLOS_IOC_TENSOR_SHARE, s, tensor_id, 0, ENOENT);
	WRONG(MLOS_IOC_TENSOR_SHARE, s, tensor_id, t.tensor_id + 1, ENOENT);
	WRONG(MLOS_IOC_TENSOR_SHARE, s, tensor_id, ~0ULL, ENOENT);
	WRONG(MLOS_IOC_TENSOR_SHARE, s, flags, 2, EINVAL);
	WRONG(MLOS_IOC_TENSOR_SHARE, s, flags, 1u << 31, EINVAL);
	WRONG(MLOS_IOC_TENSOR_SHARE, s, reserved, 1, EINVAL);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_TENSOR_SHARE, &s), ENOENT);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_SHARE, &s), 0);
	EXPECT(fcntl(s.fd, F_GETFD) & FD_CLOEXEC);
	close(s.fd);
	EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
	EXPECT_ERRNO(tensor_share(fd, t.tensor_id, 0, &s), ENOENT);
	close(t.fd);
	close(fd);
	close(other);
}

static void memory_fields(void)
{
	int fd = dev();
	struct mlos_memory_trim t = { .size = sizeof(t), .target_bytes = ~0ULL };
	struct mlos_memory_defrag d = { .size = sizeof(d) };

	WRONG(MLOS_IOC_MEMORY_TRIM, t, flags, 1, EINVAL);
	WRONG(MLOS_IOC_MEMORY_TRIM, t, reserved, 1, EINVAL);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MEMORY_TRIM, &t), 0);
	EXPECT_EQ(t.evicted, 0);
	WRONG(MLOS_IOC_MEMORY_DEFRAG, d, flags, 1, EINVAL);
	WRONG(MLOS_IOC_MEMORY_DEFRAG, d, gpu, ~0u, ENODEV);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MEMORY_DEFRAG, &d), 0);
	close(fd);
}

static void prediction_fields(void)
{
	int fd = dev(), other = dev();
	uint32_t slots = version(fd).slots;
	struct mlos_model_predict p = { .size = sizeof(p), .model_id = model(fd, "m"), .priority = 3, .threads = slots };
	struct mlos_model_latency_ext l = { .size = sizeof(l), .model_id = p.model_id };
	struct mlos_deadline_predict d = { .size = sizeof(d) };
	struct mlos_prediction_accuracy a = { .size = sizeof(a) };

	WRONG(MLOS_IOC_MODEL_PREDICT, p, flags, 1, EINVAL);
	WRONG(MLOS_IOC_MODEL_PREDICT, p, model_id, 0, ENOENT);
	WRONG(MLOS_IOC_MODEL_PREDICT, p, priority, 4, EINVAL);
	WRONG(MLOS_IOC_MODEL_PREDICT, p, threads, 0, EINVAL);
	WRONG(MLOS_IOC_MODEL_PREDICT, p, threads, slots + 1, EINVAL);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_MODEL_PREDICT, &p), ENOENT);
	p.deadline_ns = ~0ULL;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_PREDICT, &p), 0);
	p.deadline_ns = 1;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MODEL_PREDICT, &p), 0);
	EXPECT_EQ(p.miss_probability_pct, 100);
	WRONG(MLOS_IOC_MODEL_LATENCY_EXT, l, flags, 1, EINVAL);
	WRONG(MLOS_IOC_MODEL_LATENCY_EXT, l, model_id, l.model_id + 1, ENOENT);
	EXPECT_ERRNO(ioctl(other, MLOS_IOC_MODEL_LATENCY_EXT, &l), ENOENT);
	WRONG(MLOS_IOC_DEADLINE_PREDICT, d, flags, 1, EINVAL);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_DEADLINE_PREDICT, &d), ENOENT);
	WRONG(MLOS_IOC_PREDICTION_ACCURACY, a, flags, 2, EINVAL);
	close(fd);
	close(other);
}

/* One entry, one field wrong; what the entry itself is told. */
static int entry_result(int fd, const struct mlos_batch_entry *e)
{
	struct mlos_batch_entry copy = *e;
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)&copy, .count = 1,
					  .element_size = sizeof(copy) };

	if (ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b))
		return -1000;
	return copy.result;
}

#define WRONG_ENTRY(valid, field, value, wanted)                                                       \
	do {                                                                                           \
		struct mlos_batch_entry w_ = (valid);                                                  \
		w_.field = (value);                                                                    \
		EXPECT_EQ(entry_result(fd, &w_), -(wanted));                                           \
	} while (0)

static void batch_entry_fields(void)
{
	int fd = dev();
	uint64_t m = model(fd, "m"), now = now_ns();
	uint32_t slots = version(fd).slots;
	struct mlos_batch_entry s = { .op = MLOS_BATCH_START, .id = m, .priority = 2, .threads = 1 };
	struct mlos_batch_entry d = { .op = MLOS_BATCH_DONE };
	struct mlos_batch_entry r = { .op = MLOS_BATCH_RECORD, .id = m, .start_ns = now - 2 * MS, .end_ns = now - MS };

	WRONG_ENTRY(s, flags, MLOS_INFERENCE_BOOST, EINVAL);
	WRONG_ENTRY(s, id, 0, ENOENT);
	WRONG_ENTRY(s, priority, 4, EINVAL);
	WRONG_ENTRY(s, threads, 0, EINVAL);
	WRONG_ENTRY(s, threads, slots + 1, EINVAL);
	WRONG_ENTRY(s, deadline_ns, 1, ETIME);
	WRONG_ENTRY(s, start_ns, 1, EINVAL);
	WRONG_ENTRY(s, end_ns, 1, EINVAL);
	WRONG_ENTRY(r, flags, 1, EINVAL);
	WRONG_ENTRY(r, id, m + 1, ENOENT);
	WRONG_ENTRY(r, priority, 1, EINVAL);
	WRONG_ENTRY(r, threads, 1, EINVAL);
	WRONG_ENTRY(r, start_ns, now - MS, EINVAL);
	WRONG_ENTRY(r, end_ns, 0, EINVAL);
	WRONG_ENTRY(r, end_ns, now_ns() + 1000000 * MS, EINVAL);
	EXPECT_EQ(entry_result(fd, &d), -ENOENT);
	WRONG_ENTRY(d, flags, 2, EINVAL);
	WRONG_ENTRY(d, priority, 1, EINVAL);
	WRONG_ENTRY(d, threads, 1, EINVAL);
	WRONG_ENTRY(d, deadline_ns, 1, EINVAL);
	EXPECT_EQ(entry_result(fd, &r), 0);
	EXPECT_EQ(entry_result(fd, &s), 0);
	close(fd);
}

/* Bug: each page of the size took room before it was touched; the largest made the kernel warn, the next ones had processes killed. */
static void huge_tensors_take_memory_where_they_are_touched(void)
{
	int fd = dev(), i;
	struct mlos_tensor_alloc t;
	uint64_t bytes = version(fd).tensor_size_max, before = figure("resident_bytes");

	EXPECT_ERRNO(tensor(fd, bytes + 1, 0, -1, &t), EINVAL);
	for (i = 0; i < 4; i++, bytes /= 2) {
		struct mlos_tensor_alloc loaded;
		struct mlos_tensor_op op;
		char *p;

		EXPECT_EQ(tensor(fd, bytes, 0, -1, &t), 0);
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
		EXPECT(p != MAP_FAILED);
		if (p != MAP_FAILED) {
			p[0] = 'a';
			p[bytes - 1] = 'z';
			EXPECT_EQ(p[0] + p[bytes / 2] + p[bytes - 1], 'a' + 'z');
			EXPECT_EQ(figure("resident_bytes") - before, 3 * 4096);
			munmap(p, bytes);
		}
		EXPECT_ERRNO(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op), ENOMEM);
		EXPECT_ERRNO(tensor(fd, bytes, MLOS_TENSOR_POPULATE, -1, &loaded), ENOMEM);
		close(t.fd);
		EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
		EXPECT_EQ(figure("resident_bytes"), before);
	}
	close(fd);
}

static void huge_counts_are_refused(void)
{
	int fd = dev();
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = 4096, .count = 256, .element_size = sizeof(struct mlos_batch_entry) };
	struct mlos_prefetch_plan p = { .size = sizeof(p), .model_id = model(fd, "m"), .entries = ~0ULL - 4095,
					.count = version(fd).max_plan_entries, .element_size = sizeof(struct mlos_plan_entry) };

	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b), EFAULT);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_PLAN_SET, &p), EFAULT);
	close(fd);
}

/* Bug: such a call took a slot, and nobody knew the id to give it back. */
static void an_answer_that_cannot_be_written_leaves_nothing_done(void)
{
	int fd = dev();
	struct mlos_inference_start *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mlos_batch_entry *e = (void *)(s + 1);
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)e, .count = 1, .element_size = sizeof(*e) };
	uint64_t started = figure("inferences_started");

	*s = (struct mlos_inference_start){ .size = sizeof(*s), .model_id = model(fd, "m"), .priority = 2, .threads = 1 };
	*e = (struct mlos_batch_entry){ .op = MLOS_BATCH_START, .id = s->model_id, .priority = 2, .threads = 1 };
	mprotect(s, 4096, PROT_READ);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_INFERENCE_START, s), EFAULT);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b), EFAULT);
	EXPECT_EQ(figure("inferences_started"), started);
	EXPECT_EQ(figure("slots_free"), figure("slots"));
	munmap(s, 4096);
	close(fd);
}

/* Whatever the bytes are, the kernel's own checks find nothing, and nothing is left. */
static void random_structs_do_no_harm(void)
{
	uint32_t seed = 12345;
	int fd = dev(), round, known = 0;
	uint64_t m = model(fd, "m");

	for (round = 0; round < 20000; round++) {
		size_t which = round % N_OPERATIONS, i;
		uint32_t words[64];

		for (i = 0; i < 64; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 17;
			seed ^= seed << 5;
			/* Small numbers get further than large ones. */
			words[i] = seed & 1 ? 0 : seed & 2 ? (seed >> 8) % 8 : seed;
		}
		words[0] = operations[which].size;
		if (words[2] % 4 == 1) {
			words[2] = (uint32_t)m;
			words[3] = 0;
		}
		if (operations[which].op == MLOS_IOC_TENSOR_ALLOC) {
			words[2] %= 1 << 20; /* bytes: the test machine is small */
			words[3] = 0;
			words[1] &= 0x7f;
		}
		if (ioctl(fd, operations[which].op, words) == 0) {
			known++;
			if (operations[which].op == MLOS_IOC_TENSOR_ALLOC)
				close(((struct mlos_tensor_alloc *)words)->fd);
		}
	}
	printf("# %d of %d random calls were valid\n", known, round);
	EXPECT(known > 0);
	close(fd);
	EXPECT(nothing_is_left());
}

static void descriptors_are_cloexec(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;

	EXPECT_EQ(tensor(fd, 4096, 0, -1, &t), 0);
	EXPECT(fcntl(t.fd, F_GETFD) & FD_CLOEXEC);
	close(t.fd);
	close(fd);
}

static void an_answer_that_cannot_be_written_leaves_no_descriptor(void)
{
	int fd = dev(), before, after;
	struct mlos_tensor_alloc *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*a = (struct mlos_tensor_alloc){ .size = sizeof(*a), .bytes = 4096, .numa_node = -1 };
	before = dup(fd);
	close(before);
	mprotect(a, 4096, PROT_READ);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, a), EFAULT);
	after = dup(fd);
	close(after);
	EXPECT_EQ(before, after);
	munmap(a, 4096);
	close(fd);
}

static void status_page_is_read_only(void)
{
	int fd = dev();
	const struct mlos_status *s;

	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	EXPECT(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
	EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096) == MAP_FAILED && errno == EINVAL);
	s = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT(s != MAP_FAILED);
	EXPECT_ERRNO(mprotect((void *)s, 4096, PROT_READ | PROT_WRITE), EACCES);
	EXPECT_EQ(s->abi_major, MLOS_ABI_MAJOR);
	EXPECT_EQ(s->slots, version(fd).slots);
	munmap((void *)s, 4096);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "the layout of the ABI is frozen", layout_is_frozen },
	{ "VERSION tells the limits", version_tells_limits },
	{ "unknown operations are ENOTTY", unknown_operations_are_enotty },
	{ "bad pointers are EFAULT", bad_pointers_are_efault },
	{ "structs shorter than ABI 1.0 are EINVAL", short_structs_are_einval },
	{ "longer structs are taken when the rest is zero, else E2BIG", long_structs_need_zeros },
	{ "nothing is written beyond the caller's struct", nothing_is_written_beyond_size },
	{ "unknown flags are EINVAL", unknown_flags_are_einval },
	{ "models: each field wrong", model_fields },
	{ "TENSOR_ALLOC: each field wrong", tensor_alloc_fields },
	{ "inferences: each field wrong", inference_fields },
	{ "INFERENCE_BATCH: each field wrong", batch_fields },
	{ "NUMA_STATS and GPU_LIST: each field wrong", list_fields },
	{ "prefetch plans: each field wrong", plan_fields },
	{ "PIN, UNPIN, PREFETCH, MIGRATE, FREE: each field wrong", tensor_operation_fields },
	{ "TENSOR_SHARE: each field wrong", share_fields },
	{ "TRIM and DEFRAG: each field wrong", memory_fields },
	{ "predictions: each field wrong", prediction_fields },
	{ "entries of INFERENCE_BATCH: each field wrong", batch_entry_fields },
	{ "huge tensors take memory where they are touched", huge_tensors_take_memory_where_they_are_touched },
	{ "huge counts are refused", huge_counts_are_refused },
	{ "an answer that cannot be written leaves nothing done", an_answer_that_cannot_be_written_leaves_nothing_done },
	{ "random structs do no harm", random_structs_do_no_harm },
	{ "descriptors are close-on-exec", descriptors_are_cloexec },
	{ "an answer that cannot be written leaves no descriptor", an_answer_that_cannot_be_written_leaves_no_descriptor },
	{ "the status page is read-only", status_page_is_read_only },
};
TAP_MAIN(tests)
