// SPDX-License-Identifier: GPL-2.0
/* Memory that others are short of: the kernel's own shrinker, control groups, full nodes, accelerators. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client.h"

#define PAGE 4096ULL
#define MIB (1ULL << 20)
#define GROUPS "/tmp/mlos-groups"

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static uint64_t read_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return ~0ULL;
	close(fd);
	return strtoull(text, NULL, 10);
}

static struct mlos_stats stats(int fd)
{
	struct mlos_stats s = { .size = sizeof(s) };

	ioctl(fd, MLOS_IOC_STATS, &s);
	return s;
}

static void the_kernels_shrinker_takes_what_can_be_read_again(void)
{
	int fd = dev(), file = pattern_file(64 * PAGE, 5);
	struct mlos_tensor_alloc clean, plain;
	struct mlos_stats before, after;
	uint8_t *p;

	EXPECT_EQ(tensor(fd, 64 * PAGE, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_POPULATE, file, &clean), 0);
	EXPECT_EQ(tensor(fd, 16 * PAGE, MLOS_TENSOR_POPULATE, -1, &plain), 0);
	before = stats(fd);
	if (!write_text("/proc/sys/vm/drop_caches", "2"))
		SKIP("no /proc/sys/vm/drop_caches");
	after = stats(fd);
	EXPECT(after.shrunk_bytes >= before.shrunk_bytes + 64 * PAGE);
	EXPECT_EQ(after.resident_bytes, before.resident_bytes - 64 * PAGE);
	p = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, clean.fd, 0);
	EXPECT(matches(p, 64 * PAGE, 5));
	EXPECT(write_text("/proc/sys/vm/drop_caches", "2"));
	EXPECT_EQ(stats(fd).resident_bytes, before.resident_bytes); /* mapped ones stay */
	munmap(p, 64 * PAGE);
	close(clean.fd);
	close(plain.fd);
	close(file);
	close(fd);
}

/* A control group with the memory controller; false when this kernel has none. */
static bool make_group(const char *name, char *path, size_t size)
{
	mkdir(GROUPS, 0755);
	if (access(GROUPS "/cgroup.procs", F_OK) && mount("none", GROUPS, "cgroup2", 0, NULL))
		return false;
	if (!write_text(GROUPS "/cgroup.subtree_control", "+memory"))
		return false;
	snprintf(path, size, GROUPS "/%s", name);
	return mkdir(path, 0755) == 0 || errno == EEXIST;
}

static bool join(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return write_text(path, "0");
}

static uint64_t charged(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.current", group);
	return read_number(path);
}

/* Runs fn in a process of the group; its return value, or -1 when it died. */
static int run_in(const char *group, int (*fn)(const char *group, int file), int file)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(join(group) ? fn(group, file) : 99);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int charge_plain_and_prefetched(const char *group, int file)
{
	int fd = dev(), other, i;
	struct mlos_tensor_alloc plain, backed;
	struct mlos_tensor_op op = { .size = sizeof(op) };
	uint64_t before = charged(group), between;

	if (tensor(fd, 8 * MIB, MLOS_TENSOR_POPULATE, -1, &plain))
		return 1;
	between = charged(group);
	if (between < before + 7 * MIB)
		return 2;
	/* Read by a thread of the kernel, which belongs to no group. */
	if (tensor(fd, 8 * MIB, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &backed))
		return 3;
	op.tensor_id = backed.tensor_id;
	if (ioctl(fd, MLOS_IOC_TENSOR_PREFETCH, &op))
		return 4;
	for (i = 0; i < 3000 && !(op.state & MLOS_TENSOR_STATE_RESIDENT); i++) {
		usleep(10000);
		ioctl(fd, MLOS_IOC_TENSOR_PREFETCH, &op);
	}
	if (!(op.state & MLOS_TENSOR_STATE_RESIDENT) || charged(group) < between + 7 * MIB)
		return 5;
	/* Who maps it pays nothing more. */
	other = charged(group) > between + 10 * MIB;
	close(backed.fd);
	close(plain.fd);
	close(fd);
	/* The last of the prefetches may still hold its tensor. */
	for (i = 0; i < 3000 && charged(group) > before + 4 * MIB; i++)
		usleep(10000);
	if (charged(group) > before + 4 * MIB)
		return 6;
	return other ? 7 : 0;
}

static void pages_are_charged_to_the_group_that_opened_the_device(void)
{
	char group[64];
	int file = pattern_file(8 * MIB, 4);

	if (!make_group("charged", group, sizeof(group)))
		SKIP("no control groups for memory");
	EXPECT_EQ(run_in(group, charge_plain_and_prefetched, file), 0);
	rmdir(group);
	close(file);
}

static int fill_a_group(const char *group, int file)
{
	char path[128], text[32];
	int fd = dev(), i;
	struct mlos_tensor_alloc t[4], plain;
	uint64_t evicted = stats(fd).evicted_tensors;

	snprintf(path, sizeof(path), "%s/memory.max", group);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)(charged(group) + 10 * MIB));
	if (!write_text(path, text))
		return 1;
	for (i = 0; i < 4; i++)
		if (tensor(fd, 4 * MIB, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_POPULATE, file, &t[i]))
			return 10 + i;
	if (stats(fd).evicted_tensors < evicted + 2)
		return 2;
	if (tensor(fd, 32 * MIB, MLOS_TENSOR_POPULATE, -1, &plain) != -1 || errno != ENOMEM)
		return 3;
	return 0;
}

static void a_full_group_evicts_its_own_tensors_then_refuses(void)
{
	int fd = dev(), file = pattern_file(4 * MIB, 6);
	struct mlos_tensor_alloc mine;
	struct mlos_tensor_op op;
	char group[64];

	if (!make_group("full", group, sizeof(group)))
		SKIP("no control groups for memory");
	EXPECT_EQ(tensor(fd, MIB, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_POPULATE, file, &mine), 0);
	EXPECT_EQ(run_in(group, fill_a_group, file), 0);
	memset(&op, 0, sizeof(op));
	op.size = sizeof(op);
	op.tensor_id = mine.tensor_id;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_PREFETCH, &op), 0);
	EXPECT(op.state & MLOS_TENSOR_STATE_RESIDENT); /* of another group */
	rmdir(group);
	close(mine.fd);
	close(file);
	close(fd);
}

static void a_full_node_is_an_error_when_strict(void)
{
	int fd = dev();
	struct mlos_numa_node n[2];
	struct mlos_numa_stats s = { .size = sizeof(s), .nodes = (uintptr_t)n, .count = 2, .element_size = sizeof(n[0]) };
	struct mlos_tensor_alloc t = { .size = sizeof(t), .numa_node = 1,
				       .flags = MLOS_TENSOR_POPULATE | MLOS_ALLOC_NUMA_STRICT };
	uint64_t used;

	if (version(fd).numa_nodes < 2)
		SKIP("one memory node");
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_STATS, &s), 0);
	used = n[0].used_size;
	t.bytes = n[1].total_size + MIB;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), ENOMEM);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_STATS, &s), 0);
	EXPECT(n[0].used_size <= used); /* not spilled over; what could be evicted there may be gone */
	EXPECT(n[1].used_size < MIB);
	close(fd);
}

static void local_is_the_node_of_the_calling_cpu(void)
{
	int fd = dev();
	struct mlos_numa_node n[2], m[2];
	struct mlos_numa_stats s = { .size = sizeof(s), .nodes = (uintptr_t)n, .count = 2, .element_size = sizeof(n[0]) };
	struct mlos_tensor_alloc t = { .size = sizeof(t), .numa_node = MLOS_NUMA_NODE_LOCAL, .bytes = 4 * PAGE,
				       .flags = MLOS_TENSOR_POPULATE | MLOS_ALLOC_NUMA_STRICT };

	if (version(fd).numa_nodes < 2)
		SKIP("one memory node");
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_STATS, &s), 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	s.nodes = (uintptr_t)m;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_NUMA_STATS, &s), 0);
	/* On one of them, all of it: the thread may have moved between asking for its CPU and here. */
	EXPECT_EQ(m[0].used_size - n[0].used_size + m[1].used_size - n[1].used_size, 4 * PAGE);
	EXPECT(m[0].used_size == n[0].used_size || m[1].used_size == n[1].used_size);
	EXPECT_EQ(m[0].tensor_count + m[1].tensor_count, n[0].tensor_count + n[1].tensor_count + 1);
	close(t.fd);
	close(fd);
}

static void a_private_write_does_not_reach_who_shares_the_pages(void)
{
	uint32_t flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP | MLOS_TENSOR_POPULATE;
	int fd = dev(), a = pattern_file(4 * PAGE, 9), b = pattern_file(4 * PAGE, 9);
	struct mlos_tensor_alloc ta, tb;
	struct mlos_stats before = stats(fd), after;
	uint8_t *pa, *pb;

	EXPECT_EQ(tensor(fd, 4 * PAGE, flags, a, &ta), 0);
	EXPECT_EQ(tensor(fd, 4 * PAGE, flags, b, &tb), 0);
	after = stats(fd);
	EXPECT_EQ(after.dedup_duplicates, before.dedup_duplicates + 1);
	EXPECT_EQ(after.resident_bytes, before.resident_bytes + 4 * PAGE);
	pa = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ta.fd, 0);
	pb = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, tb.fd, 0);
	EXPECT(pa != MAP_FAILED && pb != MAP_FAILED);
	memset(pa, 0xee, 4 * PAGE);
	EXPECT(matches(pb, 4 * PAGE, 9));
	EXPECT_EQ(pa[3 * PAGE + 7], 0xee);
	munmap(pa, 4 * PAGE);
	munmap(pb, 4 * PAGE);
	close(ta.fd);
	close(tb.fd);
	close(a);
	close(b);
	close(fd);
}

static void the_accelerator_with_most_room_is_selected(void)
{
	int fd = dev();
	struct mlos_gpu gpus[16];
	struct mlos_gpu_list l = { .size = sizeof(l), .gpus = (uintptr_t)gpus, .count = 16, .element_size = sizeof(gpus[0]) };
	struct mlos_gpu_select s = { .size = sizeof(s) };
	struct mlos_tensor_alloc t = { .size = sizeof(t), .flags = MLOS_ALLOC_GPU, .numa_node = -1 };

	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_LIST, &l), 0);
	if (l.count < 2 || !(gpus[1].flags & MLOS_GPU_SIMULATED))
		SKIP("fewer than 2 simulated accelerators");
	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_SELECT, &s), 0);
	EXPECT_EQ(s.gpu, 0);
	EXPECT_EQ(s.free_bytes, gpus[0].memory_total);
	t.bytes = MIB;
	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_SELECT, &s), 0);
	EXPECT_EQ(s.gpu, 1);
	EXPECT_EQ(s.largest_free, gpus[1].memory_total);
	s.bytes = gpus[1].memory_total + 1;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_GPU_SELECT, &s), ENOSPC);
	s.bytes = 0;
	s.reserved = 1;
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_GPU_SELECT, &s), EINVAL);
	close(t.fd);
	close(fd);
}

static void accelerators_of_the_pci_bus_are_listed(void)
{
	int fd = dev(), at = -1;
	struct mlos_gpu gpus[16];
	struct mlos_gpu_list l = { .size = sizeof(l), .gpus = (uintptr_t)gpus, .count = 16, .element_size = sizeof(gpus[0]) };
	char path[128];
	uint32_t i;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_LIST, &l), 0);
	EXPECT_EQ(version(fd).gpus, l.count);
	for (i = 0; i < l.count && i < 16; i++)
		if (!(gpus[i].flags & MLOS_GPU_SIMULATED))
			at = i;
	if (at < 0)
		SKIP("no display or accelerator on the PCI bus");
	EXPECT(gpus[at].vendor && gpus[at].device);
	EXPECT(gpus[at].pci_class >> 16 == 0x03 || gpus[at].pci_class >> 16 == 0x12);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%04x:%02x:%02x.%x/class", gpus[at].pci_domain, gpus[at].pci_bus,
		 gpus[at].pci_slot, gpus[at].pci_function);
	EXPECT_EQ(access(path, R_OK), 0);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "the kernel's shrinker takes what can be read again", the_kernels_shrinker_takes_what_can_be_read_again },
	{ "pages are charged to the group that opened the device", pages_are_charged_to_the_group_that_opened_the_device },
	{ "a full group evicts its own tensors, then refuses", a_full_group_evicts_its_own_tensors_then_refuses },
	{ "a full node is an error when strict", a_full_node_is_an_error_when_strict },
	{ "LOCAL is the node of the calling CPU", local_is_the_node_of_the_calling_cpu },
	{ "a private write does not reach who shares the pages", a_private_write_does_not_reach_who_shares_the_pages },
	{ "the accelerator with most room is selected", the_accelerator_with_most_room_is_selected },
	{ "accelerators of the PCI bus are listed", accelerators_of_the_pci_bus_are_listed },
};
TAP_MAIN(tests)
