// SPDX-License-Identifier: GPL-2.0
/* mlosctl: what /dev/mlos-ml knows, for people (tables) and programs (--json). Speaks include/uapi/linux/mlos.h and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mlos.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

static const char *device = MLOS_DEVICE;
static int dev = -1;

static const char *const classes[] = { "realtime", "high", "normal", "batch" };
static const char *const states[] = { "queued", "granted", "expired", "reclaimed" };
#define NAME_OF(names, i) ((i) < sizeof(names) / sizeof((names)[0]) ? (names)[i] : "unknown")

static void open_device(void)
{
	dev = open(device, O_RDWR | O_CLOEXEC);
	if (dev >= 0)
		return;
	fprintf(stderr, "error: cannot open %s: %s\n", device, strerror(errno));
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		fprintf(stderr, "The kernel module is not loaded: modprobe mlos_ml; lsmod | grep mlos_ml shows whether it is.\n");
	else if (errno == EACCES || errno == EPERM)
		fprintf(stderr, "The device belongs to root and the group mlos: run as root, or as a member of that group.\n");
	exit(1);
}

/* Asks the device; what it refuses is told and ends the program. */
static void ask(unsigned long op, const char *name, void *arg)
{
	if (ioctl(dev, op, arg) == 0)
		return;
	fprintf(stderr, "error: %s: %s\n", name, strerror(errno));
	if (errno == ENOTTY)
		fprintf(stderr, "%s does not know this operation: an older module than ABI %d.%d, or another device.\n", device,
			MLOS_ABI_MAJOR, MLOS_ABI_MINOR);
	else if (errno == EOPNOTSUPP)
		fprintf(stderr, "A module parameter switches this part off: grep . /sys/module/mlos_ml/parameters/enable_*\n");
	else if (errno == ENODEV)
		fprintf(stderr, "There is no such accelerator; mlosctl devices lists them.\n");
	_exit(1); /* half of an answer is not written */
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All elements of a list by their id, which is the first member of each kind; to be freed. */
static void *fetch(unsigned long op, const char *name, uint32_t element_size, uint32_t *count)
{
	struct mlos_list a = { .size = sizeof(a), .element_size = element_size };
	uint32_t capacity = 0;
	void *elements = NULL;

	for (;;) {
		a.count = capacity;
		a.elements = (uintptr_t)elements;
		ask(op, name, &a);
		if (a.count <= capacity)
			break;
		/* A few more than there are: they come and go. */
		capacity = a.count + 16 > 65536 ? 65536 : a.count + 16;
		free(elements);
		elements = calloc(capacity, element_size);
		if (!elements) {
			fprintf(stderr, "error: out of memory for %u elements\n", capacity);
			exit(1);
		}
		if (a.count > 65536)
			break;
	}
	*count = a.count < capacity ? a.count : capacity;
	if (*count)
		qsort(elements, *count, element_size, by_id);
	return elements;
}

static void put_flags(const char *key, uint64_t flags, const char *const *names, int n)
{
	char text[160] = "";
	int i;

	for (i = 0; i < n; i++) {
		if (!(flags & (1ULL << i)))
			continue;
		if (text[0])
			strcat(text, " ");
		strcat(text, names[i]);
	}
	put_text(key, text[0] ? text : "-", sizeof(text));
}

/* --- verbs ------------------------------------------------------------------------------------------------------------- */

static void show_info(void)
{
	static const char *const features[] = { "tensors", "scheduler", "gpus", "boost", "numa", "prefetch", "dedup", "lists", "share" };
	struct mlos_version v = { .size = sizeof(v) };
	char abi[32];

	ask(MLOS_IOC_VERSION, "VERSION", &v);
	snprintf(abi, sizeof(abi), "%u.%u", v.abi_major, v.abi_minor);
	record_begin("module");
	put_text("abi", abi, sizeof(abi));
	put_flags("features", v.features, features, 9);
	put_number("slots", v.slots, PLAIN);
	put_number("memory_limit", v.memory_limit, BYTES);
	put_number("max_models", v.max_models, PLAIN);
	put_number("max_tensors", v.max_tensors, PLAIN);
	put_number("max_inferences", v.max_inferences, PLAIN);
	put_number("max_plan_entries", v.max_plan_entries, PLAIN);
	put_number("tensor_size_max", v.tensor_size_max, BYTES);
	put_number("numa_nodes", v.numa_nodes, PLAIN);
	put_number("gpus", v.gpus, PLAIN);
	record_end();
}

static void show_gpus(void)
{
	static struct mlos_gpu gpus[256];
	struct mlos_gpu_list a = { .size = sizeof(a), .gpus = (uintptr_t)gpus, .count = 256, .element_size = sizeof(gpus[0]) };
	char address[32];
	uint32_t i;

	ask(MLOS_IOC_GPU_LIST, "GPU_LIST", &a);
	table_begin("accelerators");
	for (i = 0; i < a.count && i < 256; i++) {
		const struct mlos_gpu *g = &gpus[i];

		row_begin();
		put_number("gpu", g->index, PLAIN);
		put_text("name", g->name[0] ? g->name : "-", sizeof(g->name));
		snprintf(address, sizeof(address), "%04x:%02x:%02x.%x", g->pci_domain, g->pci_bus, g->pci_slot, g->pci_function);
		put_text("pci", g->flags & MLOS_GPU_SIMULATED ? "-" : address, sizeof(address));
		snprintf(address, sizeof(address), "%04x:%04x", g->vendor, g->device);
		put_text("device", g->flags & MLOS_GPU_SIMULATED ? "-" : address, sizeof(address));
		put_signed("numa_node", g->numa_node);
		put_number("memory_total", g->memory_total, BYTES);
		put_number("memory_used", g->memory_used, BYTES);
		row_end();
	}
	table_end();
}

static void show_nodes(void)
{
	static struct mlos_numa_node nodes[1024];
	struct mlos_numa_stats a = { .size = sizeof(a), .nodes = (uintptr_t)nodes, .count = 1024,
				     .element_size = sizeof(nodes[0]) };
	uint32_t i;

	ask(MLOS_IOC_NUMA_STATS, "NUMA_STATS", &a);
	table_begin("nodes");
	for (i = 0; i < a.count && i < 1024; i++) {
		row_begin();
		put_signed("node", nodes[i].node);
		put_number("total", nodes[i].total_size, BYTES);
		put_number("used", nodes[i].used_size, BYTES);
		put_number("tensors", nodes[i].tensor_count, PLAIN);
		put_number("allocated_pages", nodes[i].allocations, PLAIN);
		put_number("remote_pages", nodes[i].remote_accesses, PLAIN);
		put_number("moved_in", nodes[i].migrations_in, PLAIN);
		put_number("moved_out", nodes[i].migrations_out, PLAIN);
		row_end();
	}
	table_end();
}

static void show_devices(void)
{
	document_begin();
	show_gpus();
	show_nodes();
	document_end();
}

static void show_clients(void)
{
	uint32_t count, i;
	struct mlos_client_info *c = fetch(MLOS_IOC_CLIENT_LIST, "CLIENT_LIST", sizeof(*c), &count);

	table_begin("clients");
	for (i = 0; i < count; i++) {
		row_begin();
		put_number("client", c[i].client_id, PLAIN);
		put_signed("process", c[i].process);
		put_text("name", c[i].name, sizeof(c[i].name));
		put_number("models", c[i].models, PLAIN);
		put_number("tensors", c[i].tensors, PLAIN);
		put_number("inferences", c[i].inferences, PLAIN);
		put_number("resident", c[i].resident_bytes, BYTES);
		row_end();
	}
	table_end();
	free(c);
}

static void show_models(void)
{
	uint32_t count, i;
	struct mlos_model_info *m = fetch(MLOS_IOC_MODEL_LIST, "MODEL_LIST", sizeof(*m), &count);

	table_begin("models");
	for (i = 0; i < count; i++) {
		row_begin();
		put_number("model", m[i].model_id, PLAIN);
		put_number("client", m[i].client_id, PLAIN);
		put_signed("process", m[i].process);
		put_number("inferences", m[i].inferences, PLAIN);
		put_number("samples", m[i].samples, PLAIN);
		put_number("p50", m[i].p50_duration_ns, NANOSECONDS);
		put_number("p90", m[i].p90_duration_ns, NANOSECONDS);
		put_number("p99", m[i].p99_duration_ns, NANOSECONDS);
		put_number("plan", m[i].plan_entries, PLAIN);
		put_text("name", m[i].name, sizeof(m[i].name));
		row_end();
	}
	table_end();
	free(m);
}

static const char *name_of(const struct mlos_model_info *models, uint32_t count, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (models[i].model_id == id)
			return models[i].name;
	return "-";
}

static void show_tensors(void)
{
	static const char *const flags[] = { "readonly", "backed", "discardable", "dedup", "strict", "gpu", "populate" };
	static const char *const state[] = { "resident", "pinned", "shared", "lost" };
	uint32_t count, n_models, i;
	struct mlos_tensor_info *t = fetch(MLOS_IOC_TENSOR_LIST, "TENSOR_LIST", sizeof(*t), &count);
	struct mlos_model_info *m = fetch(MLOS_IOC_MODEL_LIST, "MODEL_LIST", sizeof(*m), &n_models);

	table_begin("tensors");
	for (i = 0; i < count; i++) {
		row_begin();
		put_number("tensor", t[i].tensor_id, PLAIN);
		put_number("model", t[i].model_id, PLAIN);
		put_number("client", t[i].client_id, PLAIN);
		put_signed("process", t[i].process);
		put_number("size", t[i].bytes, BYTES);
		put_number("resident", t[i].resident_bytes, BYTES);
		put_signed("node", t[i].numa_node);
		put_number("pins", t[i].pins, PLAIN);
		put_number("mappings", t[i].mappings, PLAIN);
		put_flags("flags", t[i].flags, flags, 7);
		put_flags("state", t[i].state, state, 4);
		put_text("name", name_of(m, n_models, t[i].model_id), MLOS_NAME_MAX);
		row_end();
	}
	table_end();
	free(m);
	free(t);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void show_queue(void)
{
	uint32_t count, i;
	struct mlos_inference_info *q = fetch(MLOS_IOC_INFERENCE_LIST, "INFERENCE_LIST", sizeof(*q), &count);
	uint64_t now = now_ns();

	table_begin("inferences");
	for (i = 0; i < count; i++) {
		uint64_t until = q[i].granted_ns ? q[i].granted_ns : now;

		row_begin();
		put_number("inference", q[i].inference_id, PLAIN);
		put_number("model", q[i].model_id, PLAIN);
		put_number("client", q[i].client_id, PLAIN);
		put_signed("process", q[i].process);
		put_text("class", NAME_OF(classes, q[i].priority), 16);
		put_text("state", NAME_OF(states, q[i].state), 16);
		put_number("threads", q[i].threads, PLAIN);
		put_number("boosted", q[i].boosted, PLAIN);
		put_number("queued", until > q[i].started_ns ? until - q[i].started_ns : 0, NANOSECONDS);
		put_number("running", q[i].granted_ns && now > q[i].granted_ns ? now - q[i].granted_ns : 0, NANOSECONDS);
		put_number("deadline_at_ns", q[i].deadline_ns, PLAIN);
		row_end();
	}
	table_end();
	free(q);
}

static void show_counters(void)
{
	struct mlos_stats s = { .size = sizeof(s) };

	ask(MLOS_IOC_STATS, "STATS", &s);
	record_begin("counters");
	put_number("clients", s.clients, PLAIN);
	put_number("resident", s.resident_bytes, BYTES);
	put_number("memory_limit", s.memory_limit, BYTES);
	put_number("evicted_tensors", s.evicted_tensors, PLAIN);
	put_number("evicted", s.evicted_bytes, BYTES);
	put_number("shrunk", s.shrunk_bytes, BYTES);
	put_number("dedup_hashed", s.dedup_hashed, PLAIN);
	put_number("dedup_duplicates", s.dedup_duplicates, PLAIN);
	put_number("dedup_saved", s.dedup_saved_bytes, BYTES);
	put_number("dedup_collisions", s.dedup_collisions, PLAIN);
	put_number("slots", s.slots, PLAIN);
	put_number("slots_free", s.slots_free, PLAIN);
	put_number("boosted_threads", s.boosted_threads, PLAIN);
	put_number("started", s.started, PLAIN);
	put_number("granted", s.granted, PLAIN);
	put_number("done", s.done, PLAIN);
	put_number("expired", s.expired, PLAIN);
	put_number("reclaimed", s.reclaimed, PLAIN);
	record_end();

	table_begin("classes");
	for (uint32_t i = 0; i < 4; i++) {
		row_begin();
		put_text("class", classes[i], 16);
		put_number("queued", s.queued_now[i], PLAIN);
		put_number("granted", s.granted_now[i], PLAIN);
		row_end();
	}
	table_end();
}

static void show_accuracy(void)
{
	struct mlos_version v = { .size = sizeof(v) };
	struct mlos_prediction_accuracy a = { .size = sizeof(a) };

	ask(MLOS_IOC_VERSION, "VERSION", &v);
	if (!(v.features & MLOS_FEATURE_SCHED))
		return;
	ask(MLOS_IOC_PREDICTION_ACCURACY, "PREDICTION_ACCURACY", &a);
	record_begin("predictions");
	put_number("total", a.total_predictions, PLAIN);
	put_number("accurate", a.accurate_predictions, PLAIN);
	put_number("missed", a.missed_predictions, PLAIN);
	put_number("false_alarms", a.false_alarms, PLAIN);
	put_number("accuracy_pct", a.accuracy_pct, PLAIN);
	put_number("calibration", a.calibration_score, PLAIN);
	put_number("mean_error", a.avg_prediction_error_ns, NANOSECONDS);
	record_end();
}

static void show_stats(void)
{
	document_begin();
	show_counters();
	show_accuracy();
	document_end();
}

/* --- deeds ------------------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *text, bool with_unit)
{
	static const char units[] = "kmgt";
	unsigned long long value;
	const char *unit;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno)
		goto bad;
	if (!*end)
		return value;
	unit = with_unit && !end[1] ? strchr(units, *end | 0x20) : NULL;
	if (unit && *unit && value <= UINT64_MAX >> (10 * (unit - units + 1)))
		return (uint64_t)value << (10 * (unit - units + 1));
bad:
	fprintf(stderr, "error: '%s' is not a number%s\n", text, with_unit ? " of bytes, such as 0, 4096, 512M or 2G" : "");
	exit(2);
}

static void trim(const char *target)
{
	struct mlos_memory_trim a = { .size = sizeof(a), .target_bytes = number(target, true) };

	ask(MLOS_IOC_MEMORY_TRIM, "MEMORY_TRIM", &a);
	record_begin("trim");
	put_number("evicted_tensors", a.evicted, PLAIN);
	put_number("freed", a.freed_bytes, BYTES);
	put_number("resident", a.resident_bytes, BYTES);
	record_end();
}

static void defrag(const char *gpu)
{
	uint64_t index = number(gpu, false);
	struct mlos_memory_defrag a = { .size = sizeof(a), .gpu = index > UINT32_MAX ? UINT32_MAX : (uint32_t)index };

	ask(MLOS_IOC_MEMORY_DEFRAG, "MEMORY_DEFRAG", &a);
	record_begin("defrag");
	put_number("moved_tensors", a.moved, PLAIN);
	put_number("moved", a.moved_bytes, BYTES);
	put_number("largest_free_before", a.largest_free_before, BYTES);
	put_number("largest_free_after", a.largest_free_after, BYTES);
	record_end();
}

/* --- the command line -------------------------------------------------------------------------------------------------- */

static const struct verb {
	const char *name;
	void (*show)(void);
	void (*act)(const char *argument);
	const char *usage, *help;
} verbs[] = {
	{ "info", show_info, NULL, "info", "the module: ABI, features, limits" },
	{ "devices", show_devices, NULL, "devices", "accelerators and memory nodes" },
	{ "clients", show_clients, NULL, "clients", "open files of the device, by whom, what they hold" },
	{ "models", show_models, NULL, "models", "registered models and their latencies" },
	{ "tensors", show_tensors, NULL, "tensors", "tensors: size, what is resident, pins, state" },
	{ "queue", show_queue, NULL, "queue", "inferences that wait or run" },
	{ "stats", show_stats, NULL, "stats", "counters of memory, scheduler and predictions" },
	{ "trim", NULL, trim, "trim BYTES", "evict until at most so much is resident (k, m, g, t)" },
	{ "defrag", NULL, defrag, "defrag GPU", "compact the memory pool of an accelerator" },
};
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define N_VERBS ARRAY_SIZE(verbs)

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: mlosctl [--json] [--device PATH] VERB\n\n");
	for (i = 0; i < N_VERBS; i++)
		fprintf(to, "  %-12s  %s\n", verbs[i].usage, verbs[i].help);
	fprintf(to, "\n--json prints plain numbers under names that end in their unit. --device is %s unless given.\n", MLOS_DEVICE);
}

static int wrong_usage(const char *what, const char *argument)
{
	fprintf(stderr, "error: %s '%s'; mlosctl --help lists what there is\n", what, argument);
	return 2;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	if (argc != (verb->act ? 1 : 0)) {
		fprintf(stderr, "usage: mlosctl %s\n", verb->usage);
		return 2;
	}
	if (verb->act)
		number(argv[0], verb->act == trim); /* before the device is asked */
	open_device();
	if (verb->show)
		verb->show();
	else
		verb->act(argv[0]);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "error: cannot write: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t i;
	int at;

	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	for (at = 1; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "--json")) {
			output_as_json(true);
		} else if (!strcmp(argv[at], "--device") && at + 1 < argc) {
			device = argv[++at];
		} else if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")) {
			usage(stdout);
			return 0;
		} else {
			return wrong_usage("unknown option, or one without its value,", argv[at]);
		}
	}
	if (at == argc) {
		usage(stderr);
		return 2;
	}
	for (i = 0; i < N_VERBS; i++)
		if (!strcmp(argv[at], verbs[i].name))
			return run(&verbs[i], argc - at - 1, argv + at + 1);
	return wrong_usage("unknown verb", argv[at]);
}
