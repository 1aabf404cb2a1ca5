// SPDX-License-Identifier: GPL-2.0
/* Tensor memory: mapped by several processes, filled from files, evicted, pinned, shared, moved. */
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "client.h"

#define PAGE 4096ULL

static void memory_is_shared_between_processes(void)
{
	int fd = dev(), status;
	struct mlos_tensor_alloc t;
	volatile uint8_t *p;

	EXPECT_EQ(tensor(fd, 3 * PAGE + 5, 0, -1, &t), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	EXPECT(p != MAP_FAILED);
	EXPECT_EQ(p[3 * PAGE], 0);
	p[3 * PAGE] = 7;
	if (fork() == 0) {
		volatile uint8_t *q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 3 * PAGE);
		int ok = q != MAP_FAILED && q[0] == 7;

		q[1] = 8;
		_exit(ok ? 0 : 1);
	}
	wait(&status);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(p[3 * PAGE + 1], 8);
	EXPECT(mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, t.fd, 0) == MAP_FAILED && errno == EINVAL);
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t.fd, 4 * PAGE) == MAP_FAILED && errno == EINVAL);
	EXPECT_EQ(lseek(t.fd, 0, SEEK_END) >= 0 || errno, 1);
	munmap((void *)p, 4 * PAGE);
	close(t.fd);
	close(fd);
}

static void memory_outlives_the_id_and_the_open_file_while_mapped(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	volatile uint8_t *p;
	uint64_t before = figure("resident_bytes");

	EXPECT_EQ(tensor(fd, 4 * PAGE, MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT_EQ(figure("resident_bytes"), before + 4 * PAGE);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	p[0] = 42;
	EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
	EXPECT_ERRNO(tensor_free(fd, t.tensor_id), ENOENT);
	close(t.fd);
	close(fd);
	EXPECT_EQ(p[0], 42);
	munmap((void *)p, 4 * PAGE);
	EXPECT_EQ(figure("resident_bytes"), before);
}

static void backed_content_is_evicted_and_read_again(void)
{
	int fd = dev(), file = pattern_file(5 * PAGE + 100, 9);
	struct mlos_tensor_alloc t;
	struct mlos_memory_trim tr;
	uint8_t *p;

	memset(&t, 0, sizeof(t));
	t = (struct mlos_tensor_alloc){ .size = sizeof(t), .flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY,
					.bytes = 4 * PAGE + 50, .numa_node = -1, .backing_fd = file, .backing_offset = 33 };
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0) == MAP_FAILED && errno == EACCES);
	p = mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, t.fd, 0);
	EXPECT(p != MAP_FAILED);
	EXPECT_EQ(p[0], pattern(33, 9));
	EXPECT_EQ(p[4 * PAGE + 49], pattern(4 * PAGE + 82, 9));
	EXPECT_EQ(p[4 * PAGE + 50], 0);
	EXPECT_ERRNO(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	tr = trim(fd, 0);
	EXPECT_EQ(state_of(fd, t.tensor_id).resident_bytes, 5 * PAGE);
	munmap(p, 5 * PAGE);
	tr = trim(fd, 0);
	EXPECT_EQ(tr.freed_bytes, 5 * PAGE);
	EXPECT_EQ(tr.evicted, 1);
	p = mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, t.fd, 0);
	EXPECT_EQ(p[2 * PAGE], pattern(2 * PAGE + 33, 9));
	munmap(p, 5 * PAGE);
	close(t.fd);
	close(file);
	close(fd);
}

static void private_writes_do_not_reach_the_tensor(void)
{
	int fd = dev(), file = pattern_file(PAGE, 2);
	struct mlos_tensor_alloc t;
	uint8_t *a, *b;

	EXPECT_EQ(tensor(fd, PAGE, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), 0);
	a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, t.fd, 0);
	b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, t.fd, 0);
	EXPECT(a != MAP_FAILED && b != MAP_FAILED);
	a[10] = (uint8_t)~b[10];
	EXPECT_EQ(b[10], pattern(10, 2));
	munmap(a, PAGE);
	munmap(b, PAGE);
	close(t.fd);
	close(file);
	close(fd);
}

static void discardable_content_is_told_lost(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	struct mlos_tensor_op op;
	uint8_t *p;

	EXPECT_EQ(tensor(fd, 2 * PAGE, MLOS_TENSOR_DISCARDABLE, -1, &t), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	p[0] = 1;
	munmap(p, 2 * PAGE);
	EXPECT_EQ(trim(fd, 0).evicted, 1);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op), 0);
	EXPECT(op.state & MLOS_TENSOR_STATE_LOST);
	EXPECT(op.state & MLOS_TENSOR_STATE_PINNED);
	EXPECT_EQ(trim(fd, 0).evicted, 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, t.fd, 0);
	EXPECT_EQ(p[0], 0);
	munmap(p, 2 * PAGE);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t.tensor_id, &op), 0);
	EXPECT(!(op.state & MLOS_TENSOR_STATE_LOST));
	EXPECT_ERRNO(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t.tensor_id, &op), EINVAL);
	EXPECT_EQ(trim(fd, 0).evicted, 1);
	close(t.fd);
	close(fd);
}

static void plain_and_written_content_is_never_dropped(void)
{
	int fd = dev(), file = pattern_file(PAGE, 4);
	struct mlos_tensor_alloc plain, written;
	uint8_t *p;

	EXPECT_EQ(tensor(fd, PAGE, 0, -1, &plain), 0);
	EXPECT_EQ(tensor(fd, PAGE, MLOS_TENSOR_BACKED, file, &written), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, plain.fd, 0);
	p[5] = 5;
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, written.fd, 0);
	p[6] = 6;
	munmap(p, PAGE);
	EXPECT_EQ(trim(fd, 0).evicted, 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, written.fd, 0);
	EXPECT_EQ(p[6], 6);
	munmap(p, PAGE);
	close(plain.fd);
	close(written.fd);
	close(file);
	close(fd);
}

static void least_recently_used_goes_first(void)
{
	int fd = dev(), file = pattern_file(4 * PAGE, 5), i;
	struct mlos_tensor_alloc t[3];

	trim(fd, 0);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(tensor(fd, 4 * PAGE, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t[i]), 0);
		state_of(fd, t[i].tensor_id);
	}
	state_of(fd, t[0].tensor_id); /* now the second is the oldest */
	EXPECT_EQ(trim(fd, figure("resident_bytes") - 4 * PAGE).evicted, 1);
	for (i = 0; i < 3; i++) {
		struct mlos_tensor_op op = { .size = sizeof(op), .tensor_id = t[i].tensor_id };

		/* Asks without waiting: the answer is the state at the call or a little later. */
		EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_UNPIN, &op), -1);
	}
	EXPECT_EQ(figure("resident_bytes") % (4 * PAGE), 0);
	for (i = 0; i < 3; i++)
		close(t[i].fd);
	close(file);
	close(fd);
}

static void limit_evicts_then_refuses(void)
{
	int fd = dev(), file = pattern_file(700 * 1024, 6), param, i;
	struct mlos_tensor_alloc t[4], plain;
	struct mlos_tensor_op op;

	trim(fd, 0);
	param = open("/sys/module/mlos_ml/parameters/memory_limit_mb", O_WRONLY);
	EXPECT(param >= 0 && write(param, "2", 1) == 1);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(tensor(fd, 700 * 1024, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_POPULATE, file,
				 &t[i]), 0);
	EXPECT(figure("resident_bytes") <= 2 << 20);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t[0].tensor_id, &op), 0);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t[1].tensor_id, &op), 0);
	EXPECT_ERRNO(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t[2].tensor_id, &op), ENOMEM);
	EXPECT_ERRNO(tensor(fd, 4 << 20, MLOS_TENSOR_POPULATE, -1, &plain), ENOMEM);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t[1].tensor_id, &op), 0);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t[2].tensor_id, &op), 0);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t[0].tensor_id, &op), 0);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t[2].tensor_id, &op), 0);
	EXPECT(figure("resident_bytes") > 1 << 20);
	/* A lower one counts at once. */
	EXPECT(pwrite(param, "1", 1, 0) == 1);
	EXPECT(figure("resident_bytes") <= 1 << 20);
	EXPECT(pwrite(param, "0", 1, 0) == 1);
	close(param);
	for (i = 0; i < 4; i++)
		close(t[i].fd);
	close(file);
	close(fd);
}

static void equal_read_only_content_is_kept_once(void)
{
	uint32_t flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP;
	int fd = dev(), a = pattern_file(8 * PAGE, 7), b = pattern_file(8 * PAGE, 7), c = pattern_file(8 * PAGE, 8);
	struct mlos_tensor_alloc ta, tb, tc;
	uint64_t before;
	uint8_t *p;

	trim(fd, 0);
	before = figure("resident_bytes");
	EXPECT_EQ(tensor(fd, 8 * PAGE, flags, a, &ta), 0);
	EXPECT_EQ(tensor(fd, 8 * PAGE, flags, b, &tb), 0);
	EXPECT_EQ(tensor(fd, 8 * PAGE, flags, c, &tc), 0);
	state_of(fd, ta.tensor_id);
	EXPECT(state_of(fd, tb.tensor_id).state & MLOS_TENSOR_STATE_SHARED);
	EXPECT(!(state_of(fd, tc.tensor_id).state & MLOS_TENSOR_STATE_SHARED));
	EXPECT_EQ(figure("resident_bytes"), before + 16 * PAGE);
	close(ta.fd);
	EXPECT_EQ(tensor_free(fd, ta.tensor_id), 0);
	p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, tb.fd, 0);
	EXPECT(matches(p, 8 * PAGE, 7));
	munmap(p, 8 * PAGE);
	close(tb.fd);
	close(tc.fd);
	close(a);
	close(b);
	close(c);
	close(fd);
}

static void a_file_that_shrank_is_an_error_not_zeros(void)
{
	int fd = dev(), file = pattern_file(4 * PAGE, 1);
	struct mlos_tensor_alloc t;
	struct mlos_tensor_op op;

	EXPECT_EQ(tensor(fd, 4 * PAGE, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), 0);
	EXPECT_EQ(ftruncate(file, PAGE), 0);
	EXPECT_ERRNO(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op), EIO);
	close(t.fd);
	close(file);
	close(fd);
}

static void pages_are_where_they_were_asked_for_and_move(void)
{
	int fd = dev();
	struct mlos_numa_node n[2];
	struct mlos_numa_stats s = { .size = sizeof(s), .nodes = (uintptr_t)n, .count = 2, .element_size = sizeof(n[0]) };
	struct mlos_tensor_alloc t = { .size = sizeof(t), .flags = MLOS_TENSOR_POPULATE | MLOS_ALLOC_NUMA_STRICT,
				       .bytes = 16 * PAGE, .numa_node = 1 };
	struct mlos_numa_migrate m = { .size = sizeof(m), .node = 0 };
	struct mlos_tensor_op op;
	uint64_t used;

	if (version(fd).numa_nodes < 2)
		SKIP("one memory node");
	ioctl(fd, MLOS_IOC_NUMA_STATS, &s);
	used = n[1].used_size;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	ioctl(fd, MLOS_IOC_NUMA_STATS, &s);
	EXPECT_EQ(n[1].used_size, used + 16 * PAGE);
	m.tensor_id = t.tensor_id;
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op), 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m), EBUSY);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, t.tensor_id, &op), 0);
	m.node = 77;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m), EINVAL);
	m.node = 0;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_MIGRATE, &m), 0);
	EXPECT_EQ(m.moved_bytes, 16 * PAGE);
	ioctl(fd, MLOS_IOC_NUMA_STATS, &s);
	EXPECT_EQ(n[1].used_size, used);
	EXPECT(n[1].migrations_out >= 16 && n[0].migrations_in >= 16);
	close(t.fd);
	close(fd);
}

static void simulated_accelerators_have_a_pool_that_compacts(void)
{
	int fd = dev(), i;
	struct mlos_gpu g;
	struct mlos_gpu_list l = { .size = sizeof(l), .gpus = (uintptr_t)&g, .count = 1, .element_size = sizeof(g) };
	struct mlos_memory_defrag d = { .size = sizeof(d) };
	struct mlos_tensor_alloc t[4], big;
	struct mlos_tensor_op op;
	uint64_t quarter;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_LIST, &l), 0);
	if (!l.count || !(g.flags & MLOS_GPU_SIMULATED))
		SKIP("no simulated accelerator");
	quarter = g.memory_total / 4;
	for (i = 0; i < 4; i++) {
		t[i] = (struct mlos_tensor_alloc){ .size = sizeof(t[i]), .flags = MLOS_ALLOC_GPU, .bytes = quarter,
						   .numa_node = -1 };
		EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t[i]), 0);
	}
	big = t[0];
	big.tensor_id = 0;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &big), ENOSPC);
	for (i = 0; i < 4; i += 2) {
		EXPECT_EQ(tensor_free(fd, t[i].tensor_id), 0);
		close(t[i].fd);
	}
	big.bytes = 2 * quarter;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &big), ENOSPC);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_MEMORY_DEFRAG, &d), 0);
	EXPECT_EQ(d.moved, 2);
	EXPECT_EQ(d.largest_free_before, quarter);
	EXPECT_EQ(d.largest_free_after, 2 * quarter);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &big), 0);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_UNPIN, big.tensor_id, &op), -1);
	big.gpu = 200;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &big), ENODEV);
	d.gpu = 200;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_MEMORY_DEFRAG, &d), ENODEV);
	close(big.fd);
	close(t[1].fd);
	close(t[3].fd);
	close(fd);
}

static void a_killed_process_leaves_nothing(void)
{
	uint64_t before = figure("resident_bytes");
	int status;

	if (fork() == 0) {
		int fd = dev();
		struct mlos_tensor_alloc t;
		struct mlos_tensor_op op;

		tensor(fd, 64 * PAGE, MLOS_TENSOR_POPULATE, -1, &t);
		tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op);
		mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, t.fd, 0);
		abort();
	}
	wait(&status);
	EXPECT(WIFSIGNALED(status));
	EXPECT_EQ(figure("resident_bytes"), before);
}

/* Bug: ftruncate() made fstat() tell a size that the tensor does not have. */
static void a_tensors_descriptor_is_only_for_mapping(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	struct stat st;
	struct statfs fs;
	char path[64], byte = 1;

	EXPECT_EQ(tensor(fd, 3 * PAGE + 5, 0, -1, &t), 0);
	EXPECT_ERRNO(ftruncate(t.fd, PAGE), EPERM);
	EXPECT_ERRNO(fchmod(t.fd, 0777), EPERM);
	EXPECT_ERRNO(fallocate(t.fd, 0, 0, 8 * PAGE), EOPNOTSUPP);
	EXPECT_EQ(fstat(t.fd, &st), 0);
	EXPECT_EQ(st.st_size, 3 * PAGE + 5);
	EXPECT_EQ(fstatfs(t.fd, &fs), 0);
	EXPECT_EQ(fs.f_type, MLOS_TENSOR_FS_MAGIC);
	EXPECT_ERRNO(read(t.fd, &byte, 1), EINVAL);
	EXPECT_ERRNO(write(t.fd, &byte, 1), EINVAL);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, t.fd, 0) == MAP_FAILED && errno == EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t.fd);
	EXPECT_ERRNO(open(path, O_RDWR), ENXIO);
	close(t.fd);
	close(fd);
}

/* Bug: who gave the content first could change it for the others, by changing the file and having the content dropped. */
static void shared_content_does_not_change_with_the_file_of_another(void)
{
	uint32_t flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP;
	int theirs = dev(), ours = dev(), a = pattern_file(4 * PAGE, 7), b = pattern_file(4 * PAGE, 7);
	struct mlos_tensor_alloc ta, tb;
	uint8_t *p;

	EXPECT_EQ(tensor(theirs, 4 * PAGE, flags, a, &ta), 0);
	EXPECT_EQ(tensor(ours, 4 * PAGE, flags, b, &tb), 0);
	state_of(theirs, ta.tensor_id);
	EXPECT(state_of(ours, tb.tensor_id).state & MLOS_TENSOR_STATE_SHARED);
	EXPECT_EQ(pwrite(a, "changed", 7, 0), 7);
	close(ta.fd);
	close(theirs);
	trim(ours, 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, tb.fd, 0);
	EXPECT(matches(p, 4 * PAGE, 7));
	munmap(p, 4 * PAGE);
	close(tb.fd);
	close(ours);
	close(a);
	close(b);
}

/* The maker writes, the other only reads, whatever it tries. */
static void a_read_only_descriptor_reads_what_others_write(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	struct mlos_tensor_share s, again;
	struct stat st;
	char path[64];
	uint8_t *own, *theirs, *copy;

	EXPECT_EQ(tensor(fd, 2 * PAGE + 5, 0, -1, &t), 0);
	EXPECT_EQ(tensor_share(fd, t.tensor_id, MLOS_SHARE_READONLY, &s), 0);
	EXPECT(s.fd != t.fd);
	own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	theirs = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, s.fd, 0);
	EXPECT(own != MAP_FAILED && theirs != MAP_FAILED);
	own[PAGE] = 7;
	EXPECT_EQ(theirs[PAGE], 7);
	EXPECT_ERRNO(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE), EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, s.fd, 0) == MAP_FAILED && errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0) == MAP_FAILED && errno == EACCES);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, s.fd, 0) == MAP_FAILED && errno == EPERM);
	EXPECT_ERRNO(madvise(theirs, PAGE, MADV_REMOVE), EACCES);
	EXPECT_ERRNO(ftruncate(s.fd, PAGE), EINVAL);
	EXPECT_ERRNO(write(s.fd, own, 1), EBADF);
	EXPECT_EQ(fstat(s.fd, &st), 0);
	EXPECT_EQ(st.st_size, 2 * PAGE + 5);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s.fd);
	EXPECT_ERRNO(open(path, O_RDWR), ENXIO);
	copy = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, s.fd, 0);
	EXPECT(copy != MAP_FAILED);
	copy[PAGE] = 9;
	EXPECT_EQ(own[PAGE], 7);
	/* The first descriptor is as it was; another one without the flag can write. */
	EXPECT_EQ(tensor_share(fd, t.tensor_id, 0, &again), 0);
	munmap(own, 2 * PAGE);
	own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again.fd, PAGE);
	EXPECT(own != MAP_FAILED);
	own[0] = 8;
	EXPECT_EQ(theirs[PAGE], 8);
	EXPECT_EQ(copy[PAGE], 9);
	munmap(own, PAGE);
	munmap(copy, 2 * PAGE);
	munmap(theirs, 2 * PAGE);
	close(again.fd);
	close(s.fd);
	close(t.fd);
	close(fd);
}

static void of_a_read_only_tensor_every_descriptor_is_read_only(void)
{
	int fd = dev(), file = pattern_file(PAGE, 3);
	struct mlos_tensor_alloc t;
	struct mlos_tensor_share s;
	uint8_t *p;

	EXPECT_EQ(tensor(fd, PAGE, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), 0);
	EXPECT_EQ(tensor_share(fd, t.tensor_id, 0, &s), 0);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0) == MAP_FAILED && errno == EACCES);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s.fd, 0);
	EXPECT(p != MAP_FAILED && matches(p, PAGE, 3));
	munmap(p, PAGE);
	close(s.fd);
	close(t.fd);
	close(file);
	close(fd);
}

static void memory_lives_until_its_last_descriptor_goes(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	struct mlos_tensor_share a, b;
	uint64_t before = figure("resident_bytes");
	uint8_t *p;

	EXPECT_EQ(tensor(fd, 4 * PAGE, MLOS_TENSOR_POPULATE, -1, &t), 0);
	/* With no descriptor left the id alone keeps it. */
	close(t.fd);
	EXPECT_EQ(figure("resident_bytes"), before + 4 * PAGE);
	EXPECT_EQ(tensor_share(fd, t.tensor_id, 0, &a), 0);
	EXPECT_EQ(tensor_share(fd, t.tensor_id, MLOS_SHARE_READONLY, &b), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
	EXPECT(p != MAP_FAILED);
	p[0] = 42;
	munmap(p, PAGE);
	close(a.fd);
	EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
	close(fd);
	EXPECT_EQ(figure("resident_bytes"), before + 4 * PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, b.fd, 0);
	EXPECT(p != MAP_FAILED);
	close(b.fd);
	EXPECT_EQ(p[0], 42);
	munmap(p, PAGE);
	EXPECT_EQ(figure("resident_bytes"), before);
}

static const struct tap_test tests[] = {
	{ "memory is shared between processes", memory_is_shared_between_processes },
	{ "memory outlives the id and the open file while mapped", memory_outlives_the_id_and_the_open_file_while_mapped },
	{ "backed content is evicted and read again, not while mapped", backed_content_is_evicted_and_read_again },
	{ "private writes do not reach the tensor", private_writes_do_not_reach_the_tensor },
	{ "discardable content is told lost; pinned content stays", discardable_content_is_told_lost },
	{ "plain and written content is never dropped", plain_and_written_content_is_never_dropped },
	{ "the least recently used goes first", least_recently_used_goes_first },
	{ "the limit evicts, then refuses", limit_evicts_then_refuses },
	{ "equal read-only content is kept once", equal_read_only_content_is_kept_once },
	{ "a file that shrank is an error, not zeros", a_file_that_shrank_is_an_error_not_zeros },
	{ "pages are where they were asked for, and move", pages_are_where_they_were_asked_for_and_move },
	{ "simulated accelerators have a pool that compacts", simulated_accelerators_have_a_pool_that_compacts },
	{ "a tensor's descriptor is only for mapping", a_tensors_descriptor_is_only_for_mapping },
	{ "shared content does not change with the file of another", shared_content_does_not_change_with_the_file_of_another },
	{ "a read-only descriptor reads what others write", a_read_only_descriptor_reads_what_others_write },
	{ "of a read-only tensor every descriptor is read-only", of_a_read_only_tensor_every_descriptor_is_read_only },
	{ "memory lives until its last descriptor goes", memory_lives_until_its_last_descriptor_goes },
	{ "a killed process leaves nothing", a_killed_process_leaves_nothing },
};
TAP_MAIN(tests)
