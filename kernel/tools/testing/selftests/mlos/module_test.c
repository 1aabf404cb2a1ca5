// SPDX-License-Identifier: GPL-2.0
/*
 * Loading, unloading and parameters; what sysfs, debugfs, the tracepoints and the kernel's log tell. Needs the right to load
 * modules and the module's file; leaves the module loaded as it was found.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fault.h"

#define MODULE "/mlos_ml.ko"
#define AS_FOUND "/parameters"
#define BYTES (16 * 4096ULL)

static int load(const char *parameters)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), ret = -1, error;

	if (fd >= 0)
		ret = syscall(SYS_finit_module, fd, parameters, 0);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "mlos_ml", O_NONBLOCK);
}

static const char *parameters_as_found(void)
{
	static char text[256];
	int fd = open(AS_FOUND, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = 0;
	text[strcspn(text, "\n")] = 0;
	return text;
}

static int load_as_found(void)
{
	return load(parameters_as_found());
}

/* Again with other parameters. */
static bool reload(const char *parameters)
{
	return unload() == 0 && load(parameters) == 0;
}

static bool restore(void)
{
	return unload() == 0 && load_as_found() == 0;
}

#define NEEDS_THE_FILE()                                                                               \
	do {                                                                                           \
		if (access(MODULE, R_OK))                                                              \
			SKIP("no " MODULE);                                                            \
	} while (0)

/* --- unloading ---------------------------------------------------------------------------------------------------------- */

static void in_use_by_a_descriptor_is_not_unloaded(void)
{
	int fd = dev();

	NEEDS_THE_FILE();
	EXPECT(fd >= 0);
	EXPECT_ERRNO(unload(), EWOULDBLOCK);
	close(fd);
	EXPECT_EQ(unload(), 0);
	EXPECT_ERRNO(dev(), ENOENT);
	EXPECT_EQ(load_as_found(), 0);
	fd = dev();
	EXPECT(fd >= 0);
	close(fd);
}

static void in_use_by_a_tensor_is_not_unloaded(void)
{
	int fd = dev();
	struct mlos_tensor_alloc t;
	uint8_t *p;

	NEEDS_THE_FILE();
	EXPECT_EQ(tensor(fd, BYTES, 0, -1, &t), 0);
	close(fd);
	EXPECT_ERRNO(unload(), EWOULDBLOCK);
	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	EXPECT(p != MAP_FAILED);
	close(t.fd);
	/* Only a mapping is left, and part of it. */
	munmap(p, BYTES / 2);
	EXPECT_ERRNO(unload(), EWOULDBLOCK);
	p[BYTES - 1] = 1;
	munmap(p + BYTES / 2, BYTES / 2);
	EXPECT(restore());
}

static void in_use_by_the_status_page_is_not_unloaded(void)
{
	int fd = dev();
	const struct mlos_status *s = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	NEEDS_THE_FILE();
	EXPECT(s != MAP_FAILED);
	close(fd);
	EXPECT_ERRNO(unload(), EWOULDBLOCK);
	EXPECT_EQ(s->abi_major, MLOS_ABI_MAJOR);
	munmap((void *)s, 4096);
	EXPECT(restore());
}

/* Bug: what the prefetch still used was gone when it came to give it back. */
static void unloading_awaits_what_is_still_read(void)
{
	int round, i, file;

	NEEDS_THE_FILE();
	file = pattern_file(64 * BYTES, 1);
	for (round = 0; round < 5; round++) {
		int fd = dev();

		for (i = 0; i < 8; i++) {
			struct mlos_tensor_alloc t;
			struct mlos_tensor_op op;

			EXPECT_EQ(tensor(fd, 64 * BYTES, MLOS_TENSOR_BACKED | MLOS_ALLOC_GPU, file, &t), 0);
			EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PREFETCH, t.tensor_id, &op), 0);
			close(t.fd);
		}
		close(fd);
		EXPECT(restore());
	}
	EXPECT_EQ(figure("resident_bytes"), 0);
	close(file);
}

/* Refused by the module before it allocates anything: all that was allocated until then is the kernel's own. */
#define REFUSED_AT_ONCE "sim_gpus=17"
/* How many that is varies by a few. The last of them are for the module's files in sysfs. */
#define VARIES 32

static unsigned int allocations_until_init(void)
{
	const unsigned int many = 1U << 30;
	bool refused;
	long left;

	fail_at(many);
	refused = load(REFUSED_AT_ONCE) && errno == EINVAL;
	left = faults_left();
	return refused && left > 0 ? many - left : 0;
}

/* Each of the module's own allocations fails once, and some that the kernel makes for it just before and afterwards. */
static void loading_fails_cleanly_at_each_allocation(void)
{
	const char *parameters = parameters_as_found();
	unsigned int n, first, faults = 0, refused = 0;
	uint64_t began = now_ns();
	bool hit = true;

	NEEDS_THE_FILE();
	if (!can_inject())
		SKIP(NO_INJECTION);
	EXPECT_EQ(unload(), 0);
	first = allocations_until_init();
	EXPECT(first > VARIES);
	for (n = first - VARIES; hit; n++) {
		bool loaded;

		EXPECT(n < first + 5000);
		fail_at(n);
		loaded = load(parameters) == 0;
		hit = fault_was_hit();
		EXPECT(hit || loaded);
		faults += hit;
		refused += !loaded;
		/* What the kernel itself can do without (a file in debugfs, a name in sysfs) may be missing; it works all the same. */
		if (loaded)
			EXPECT_EQ(unload(), 0);
	}
	printf("# loading: %u faults, %u refused it, the kernel alone makes %u before; %llu s\n", faults, refused, first,
	       (unsigned long long)(now_ns() - began) / 1000000000);
	EXPECT(refused >= 10);
	EXPECT_EQ(load_as_found(), 0);
	close(nth_fd);
}

/* --- parameters ---------------------------------------------------------------------------------------------------------- */

static void wrong_parameters_are_refused(void)
{
	static const char *const wrong[] = { "enable_tmm=perhaps", "sim_gpus=-1", REFUSED_AT_ONCE, "slots=4097", "slots=many", "memory_limit_mb=99999999999999999999" };
	size_t i;

	NEEDS_THE_FILE();
	EXPECT_EQ(unload(), 0);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		int ret = load(wrong[i]);

		if (ret == 0)
			unload();
		EXPECT(ret != 0 && (errno == EINVAL || errno == ERANGE));
	}
	EXPECT_EQ(load_as_found(), 0);
}

static void a_subsystem_switched_off_is_told_and_refused(void)
{
	int fd;
	struct mlos_tensor_alloc t;
	struct mlos_inference_start s;
	struct mlos_memory_trim tr = { .size = sizeof(tr) };
	struct mlos_gpu_list g = { .size = sizeof(g), .element_size = sizeof(struct mlos_gpu) };
	struct mlos_prefetch_stats st = { .size = sizeof(st) };

	NEEDS_THE_FILE();
	EXPECT(reload("enable_tmm=0"));
	fd = dev();
	EXPECT(!(version(fd).features & (MLOS_FEATURE_TMM | MLOS_FEATURE_PREFETCH)) && (version(fd).features & MLOS_FEATURE_SCHED));
	EXPECT_ERRNO(tensor(fd, BYTES, 0, -1, &t), EOPNOTSUPP);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_MEMORY_TRIM, &tr), EOPNOTSUPP);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_PREFETCH_STATS, &st), EOPNOTSUPP);
	EXPECT_EQ(start(fd, model(fd, "m"), MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	close(fd);
	EXPECT(reload("enable_scheduler=0"));
	fd = dev();
	EXPECT(!(version(fd).features & (MLOS_FEATURE_SCHED | MLOS_FEATURE_BOOST)) && version(fd).slots == 0);
	EXPECT_ERRNO(start(fd, model(fd, "m"), MLOS_PRIO_NORMAL, 1, 0, &s), EOPNOTSUPP);
	EXPECT_EQ(tensor(fd, BYTES, 0, -1, &t), 0);
	close(t.fd);
	close(fd);
	EXPECT(reload("enable_gpu_manager=0 sim_gpus=2"));
	fd = dev();
	EXPECT(!(version(fd).features & MLOS_FEATURE_GPU) && version(fd).gpus == 0);
	EXPECT_ERRNO(ioctl(fd, MLOS_IOC_GPU_LIST, &g), EOPNOTSUPP);
	EXPECT_ERRNO(tensor(fd, BYTES, MLOS_ALLOC_GPU, -1, &t), EOPNOTSUPP);
	close(fd);
	EXPECT(restore());
}

static void simulated_accelerators_are_as_many_and_as_large_as_asked(void)
{
	struct mlos_gpu g[17];
	struct mlos_gpu_list l = { .size = sizeof(l), .gpus = (uintptr_t)g, .count = 17, .element_size = sizeof(g[0]) };
	uint32_t i, simulated = 0;
	int fd;

	NEEDS_THE_FILE();
	EXPECT(reload("sim_gpus=3 sim_gpu_mb=8"));
	fd = dev();
	EXPECT_EQ(ioctl(fd, MLOS_IOC_GPU_LIST, &l), 0);
	for (i = 0; i < l.count && i < 17; i++) {
		simulated += (g[i].flags & MLOS_GPU_SIMULATED) != 0;
		if (g[i].flags & MLOS_GPU_SIMULATED)
			EXPECT_EQ(g[i].memory_total, 8 << 20);
	}
	EXPECT_EQ(simulated, 3);
	close(fd);
	EXPECT(reload("sim_gpus=16"));
	fd = dev();
	EXPECT(version(fd).gpus >= 16);
	close(fd);
	EXPECT(restore());
}

static void slots_are_what_parameters_say(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int fd;

	NEEDS_THE_FILE();
	EXPECT(reload("slots=7"));
	fd = dev();
	EXPECT_EQ(version(fd).slots, 7);
	close(fd);
	EXPECT(reload("io_cpus=2"));
	fd = dev();
	EXPECT_EQ(version(fd).slots, cpus > 2 ? cpus - 2 : 1);
	close(fd);
	EXPECT(reload("io_cpus=4000"));
	fd = dev();
	EXPECT_EQ(version(fd).slots, 1);
	close(fd);
	EXPECT(restore());
}

/* Value of a parameter as it is now; switches as 0 and 1. */
static void parameter(const char *name, char *value, size_t size)
{
	char path[320];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/module/mlos_ml/parameters/%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, value, size - 1);
	close(fd);
	value[n < 0 ? 0 : n] = 0;
	value[strcspn(value, "\n")] = 0;
	if (!strcmp(value, "Y") || !strcmp(value, "N"))
		strcpy(value, *value == 'Y' ? "1" : "0");
}

/* The file for /etc/modprobe.d names every parameter with its default. */
static void defaults_are_those_of_the_modprobe_file(void)
{
	char word[128], value[128];
	FILE *conf = fopen("/mlos-ml.conf", "r");
	struct dirent *entry;
	int named = 0, there = 0;
	DIR *dir;

	if (!conf)
		SKIP("no /mlos-ml.conf");
	NEEDS_THE_FILE();
	EXPECT(reload(""));
	while (fscanf(conf, "%127s", word) == 1) {
		char *equals = strchr(word, '=');

		if (!equals)
			continue;
		*equals = 0;
		parameter(word, value, sizeof(value));
		printf("# %s: %s, by the file %s\n", word, value, equals + 1);
		EXPECT(!strcmp(value, equals + 1));
		named++;
	}
	fclose(conf);
	dir = opendir("/sys/module/mlos_ml/parameters");
	while (dir && (entry = readdir(dir)))
		there += entry->d_name[0] != '.';
	closedir(dir);
	EXPECT_EQ(named, there);
	EXPECT(restore());
}

/* What the udev rule starts from: until it ran, nobody but root may open the device. */
static void the_device_is_closed_to_others(void)
{
	struct stat st;

	EXPECT_EQ(stat(MLOS_DEVICE, &st), 0);
	EXPECT_EQ(st.st_mode & 07777, 0660);
	EXPECT_EQ(st.st_uid, 0);
	EXPECT_EQ(st.st_gid, 0);
}

static void boosts_can_be_switched_off_while_running(void)
{
	int fd = dev();
	struct mlos_inference_start s = { .size = sizeof(s), .flags = MLOS_INFERENCE_BOOST, .model_id = model(fd, "m"),
					  .priority = MLOS_PRIO_HIGH, .threads = 1 };

	set_parameter("enable_boost", "0");
	EXPECT(!(version(fd).features & MLOS_FEATURE_BOOST));
	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_START, &s), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	set_parameter("enable_boost", "1");
	EXPECT(version(fd).features & MLOS_FEATURE_BOOST);
	close(fd);
}

/* --- what can be looked at ------------------------------------------------------------------------------------------------ */

static void sysfs_has_one_number_a_file(void)
{
	DIR *dir = opendir("/sys/class/misc/mlos-ml");
	struct dirent *entry;
	int numbers = 0;

	EXPECT(dir);
	while ((entry = readdir(dir))) {
		static const char *const others[] = { "dev", "uevent" };
		char path[320], text[4096] = "", *end;
		struct stat st;
		int fd, n;

		snprintf(path, sizeof(path), "/sys/class/misc/mlos-ml/%s", entry->d_name);
		if (lstat(path, &st) || !S_ISREG(st.st_mode) || !strcmp(entry->d_name, others[0]) || !strcmp(entry->d_name, others[1]))
			continue;
		fd = open(path, O_RDONLY);
		EXPECT(fd >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		EXPECT(n >= 2);
		(void)strtoull(text, &end, 10);
		printf("# %s: %s", entry->d_name, text);
		EXPECT(end > text && *end == '\n' && end[1] == 0);
		EXPECT_EQ(st.st_mode & 0222, 0);
		numbers++;
	}
	closedir(dir);
	EXPECT(numbers >= 20);
}

static bool contains(const char *path, const char *text)
{
	static char content[1 << 18];
	int fd = open(path, O_RDONLY);
	ssize_t n, all = 0;

	while (fd >= 0 && all < (ssize_t)sizeof(content) - 1 && (n = read(fd, content + all, sizeof(content) - 1 - all)) > 0)
		all += n;
	content[all] = 0;
	close(fd);
	return strstr(content, text) != NULL;
}

static void debugfs_lists_inferences_and_tensors(void)
{
	int fd = dev();
	struct mlos_inference_start s;
	struct mlos_tensor_alloc t;
	char line[128];

	if (access("/sys/kernel/debug", X_OK) || access("/sys/kernel/debug/mlos", F_OK))
		SKIP("no debugfs");
	EXPECT_EQ(start(fd, model(fd, "seen-in-debugfs"), MLOS_PRIO_HIGH, 1, 0, &s), 0);
	EXPECT_EQ(tensor(fd, 12345, MLOS_TENSOR_POPULATE, -1, &t), 0);
	snprintf(line, sizeof(line), "%llu %d 1 1 granted ", (unsigned long long)s.inference_id, getpid());
	EXPECT(contains("/sys/kernel/debug/mlos/inferences", line));
	EXPECT(contains("/sys/kernel/debug/mlos/inferences", " seen-in-debugfs\n"));
	EXPECT(contains("/sys/kernel/debug/mlos/tensors", "12345 16 "));
	close(t.fd);
	close(fd);
	EXPECT(!contains("/sys/kernel/debug/mlos/inferences", "seen-in-debugfs"));
}

static void tracepoints_tell_what_happens(void)
{
	static const char *const events[] = { "mlos_start: id=", "mlos_grant: id=", "mlos_done: id=", "mlos_evict: bytes=65536" };
	int fd = dev();
	struct mlos_inference_start s;
	struct mlos_tensor_alloc t;
	size_t i;

	if (access("/sys/kernel/tracing/events/mlos", F_OK))
		SKIP("no tracefs");
	write_file("/sys/kernel/tracing/trace", "");
	write_file("/sys/kernel/tracing/events/mlos/enable", "1");
	EXPECT_EQ(start(fd, model(fd, "m"), MLOS_PRIO_HIGH, 1, 0, &s), 0);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	EXPECT_EQ(tensor(fd, BYTES, MLOS_TENSOR_DISCARDABLE | MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT_EQ(trim(fd, 0).evicted, 1);
	write_file("/sys/kernel/tracing/events/mlos/enable", "0");
	for (i = 0; i < ARRAY_SIZE(events); i++)
		EXPECT(contains("/sys/kernel/tracing/trace", events[i]));
	EXPECT(contains("/sys/kernel/tracing/events/mlos/enable", "0"));
	write_file("/sys/kernel/tracing/trace", "");
	close(t.fd);
	close(fd);
}

static void the_log_tells_as_much_as_debug_level_says(void)
{
	int fd = dev(), log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), said = 0, level;
	char text[1024], wanted[64];
	ssize_t n;

	EXPECT(log >= 0);
	snprintf(wanted, sizeof(wanted), "process %d: operation 11: -2", getpid());
	for (level = 0; level < 2; level++) {
		lseek(log, 0, SEEK_END);
		set_parameter("debug_level", level ? "1" : "0");
		EXPECT_ERRNO(tensor_free(fd, ~0ULL), ENOENT);
		for (said = 0; (n = read(log, text, sizeof(text) - 1)) > 0;) {
			text[n] = 0;
			said += strstr(text, wanted) != NULL;
		}
		EXPECT_EQ(said, level);
	}
	set_parameter("debug_level", "0");
	close(log);
	close(fd);
}

static const struct tap_test tests[] = {
	{ "in use by a descriptor is not unloaded", in_use_by_a_descriptor_is_not_unloaded },
	{ "in use by a tensor is not unloaded", in_use_by_a_tensor_is_not_unloaded },
	{ "in use by the status page is not unloaded", in_use_by_the_status_page_is_not_unloaded },
	{ "unloading awaits what is still read", unloading_awaits_what_is_still_read },
	{ "loading fails cleanly at each allocation", loading_fails_cleanly_at_each_allocation },
	{ "wrong parameters are refused", wrong_parameters_are_refused },
	{ "a subsystem switched off is told and refused", a_subsystem_switched_off_is_told_and_refused },
	{ "simulated accelerators are as many and as large as asked", simulated_accelerators_are_as_many_and_as_large_as_asked },
	{ "slots are what parameters say", slots_are_what_parameters_say },
	{ "defaults are those of the modprobe file", defaults_are_those_of_the_modprobe_file },
	{ "the device is closed to others", the_device_is_closed_to_others },
	{ "boosts can be switched off while running", boosts_can_be_switched_off_while_running },
	{ "sysfs has one number a file", sysfs_has_one_number_a_file },
	{ "debugfs lists inferences and tensors", debugfs_lists_inferences_and_tensors },
	{ "tracepoints tell what happens", tracepoints_tell_what_happens },
	{ "the log tells as much as debug_level says", the_log_tells_as_much_as_debug_level_says },
};
TAP_MAIN(tests)
