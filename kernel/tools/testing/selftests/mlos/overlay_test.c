// SPDX-License-Identifier: GPL-2.0
/* Tensors backed by files that are seen through an overlay. */
#include <sys/mount.h>
#include <sys/stat.h>

#include "client.h"

#define PAGE 4096ULL
#define OVERLAY_BYTES (3 * PAGE + 77)

static bool run(const char *command)
{
	int status = system(command);

	if (status)
		printf("# %s: status %d\n", command, status);
	return status == 0;
}

/* Writes the whole of a file; `flags` are those of open(). */
static bool write_pattern(const char *path, int flags, unsigned int seed)
{
	static uint8_t data[OVERLAY_BYTES];
	int fd = open(path, O_WRONLY | flags, 0600);
	ssize_t n;
	uint64_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = pattern(i, seed);
	n = write(fd, data, sizeof(data));
	close(fd);
	return n == (ssize_t)sizeof(data);
}

/* /tmp/ov/all shows /tmp/ov/lower, on which `lower` (a command) mounts a file system and which has a file f. */
static bool overlay_is_there(void)
{
	return mount("overlay", "/tmp/ov/all", "overlay", 0, "lowerdir=/tmp/ov/lower,upperdir=/tmp/ov/upper,workdir=/tmp/ov/work") == 0;
}

static bool below(const char *lower)
{
	static const char *const dirs[] = { "/tmp/ov", "/tmp/ov/lower", "/tmp/ov/upper", "/tmp/ov/work", "/tmp/ov/all" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdir(dirs[i], 0700);
	return run(lower) && write_pattern("/tmp/ov/lower/f", O_CREAT, 1);
}

static bool overlay_removed(void)
{
	return run("umount /tmp/ov/all && (umount /tmp/ov/lower 2>/dev/null || true) && rm -rf /tmp/ov");
}

/* The content, also when it has been dropped and is read again. */
static bool tensor_has(int fd, const struct mlos_tensor_alloc *t, unsigned int seed)
{
	int round;

	for (round = 0; round < 2; round++) {
		uint8_t *p = mmap(NULL, OVERLAY_BYTES, PROT_READ, MAP_SHARED, t->fd, 0);
		bool same = p != MAP_FAILED && matches(p, OVERLAY_BYTES, seed);

		munmap(p, OVERLAY_BYTES);
		if (!same || trim(fd, 0).evicted != 1)
			return false;
	}
	return true;
}

static void a_file_of_an_overlay_is_read_below_it(void)
{
	int fd = dev(), before, after, gone;
	struct mlos_tensor_alloc tb, ta, tg;

	EXPECT(below("true"));
	if (!overlay_is_there())
		SKIP("no overlayfs");
	before = open("/tmp/ov/all/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES + 1, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, before, &tb), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, before, &tb), 0);
	EXPECT(tensor_has(fd, &tb, 1));
	/* Written to, it is copied up: who opens it then has that, as with a mapping of the file itself. */
	EXPECT(write_pattern("/tmp/ov/all/f", 0, 2));
	after = open("/tmp/ov/all/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, after, &ta), 0);
	EXPECT(tensor_has(fd, &ta, 2));
	EXPECT(tensor_has(fd, &tb, 1));
	/* Removed while it is open. */
	EXPECT(write_pattern("/tmp/ov/all/g", O_CREAT, 3));
	gone = open("/tmp/ov/all/g", O_RDONLY);
	EXPECT_EQ(unlink("/tmp/ov/all/g"), 0);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, gone, &tg), 0);
	close(before);
	close(after);
	close(gone);
	/* The overlay is in use by the tensors alone now. */
	EXPECT_ERRNO(umount("/tmp/ov/all"), EBUSY);
	EXPECT(tensor_has(fd, &tg, 3));
	close(tb.fd);
	close(ta.fd);
	close(tg.fd);
	close(fd);
	EXPECT(overlay_removed());
}

/* Read without a file of the file system below. */
static void a_file_of_an_overlay_on_a_disk_is_read_below_it(void)
{
	int fd = dev(), file, direct;
	uint32_t flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY | MLOS_TENSOR_DEDUP;
	struct mlos_tensor_alloc t, td;

	if (access("/dev/loop-control", F_OK))
		SKIP("no block device");
	EXPECT(run("truncate -s 4M /tmp/disk && mke2fs -F /tmp/disk >/dev/null"));
	EXPECT(below("mount -t ext4 -o loop /tmp/disk /tmp/ov/lower"));
	/* So that it is read from the disk. */
	EXPECT(run("umount /tmp/ov/lower && mount -t ext4 -o loop,ro /tmp/disk /tmp/ov/lower"));
	if (!overlay_is_there())
		SKIP("no overlayfs");
	file = open("/tmp/ov/all/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, flags, file, &t), 0);
	EXPECT(tensor_has(fd, &t, 1));
	/* Of the same source as the file itself: shared, and may still be dropped. */
	direct = open("/tmp/ov/lower/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, flags, direct, &td), 0);
	state_of(fd, t.tensor_id);
	EXPECT(state_of(fd, td.tensor_id).state & MLOS_TENSOR_STATE_SHARED);
	EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
	close(t.fd);
	EXPECT(tensor_has(fd, &td, 1));
	close(td.fd);
	close(direct);
	close(file);
	close(fd);
	EXPECT(overlay_removed());
	unlink("/tmp/disk");
}

/* A file system that is not on a block device may need its own file, which the overlay has and the module has not. */
static void a_file_of_an_overlay_on_what_needs_its_own_file_is_refused(void)
{
	int fd = dev(), file;
	struct mlos_tensor_alloc t;

	EXPECT(below("mount -t ramfs none /tmp/ov/lower"));
	file = open("/tmp/ov/lower/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), 0);
	close(file);
	close(t.fd);
	if (!overlay_is_there())
		SKIP("no overlayfs");
	file = open("/tmp/ov/all/f", O_RDONLY);
	EXPECT_EQ(tensor(fd, OVERLAY_BYTES, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, file, &t), -1);
	EXPECT_EQ(errno, EINVAL);
	close(file);
	close(fd);
	EXPECT(overlay_removed());
}

static const struct tap_test tests[] = {
	{ "a file of an overlay is read below it", a_file_of_an_overlay_is_read_below_it },
	{ "a file of an overlay on a disk is read below it", a_file_of_an_overlay_on_a_disk_is_read_below_it },
	{ "a file of an overlay on what needs its own file is refused", a_file_of_an_overlay_on_what_needs_its_own_file_is_refused },
};
TAP_MAIN(tests)
