// SPDX-License-Identifier: GPL-2.0
/* mlosctl and the sample program, as they are installed: what they print about a client that is there, and without a device. */
#include <ctype.h>
#include <sys/wait.h>

#include "client.h"

static char out[1 << 16];

/* Standard output and error in `out`; the exit status. */
static int run(const char *command)
{
	char line[512];
	size_t used = 0, n;
	FILE *f;
	int status;

	snprintf(line, sizeof(line), "%s 2>&1", command);
	fflush(stdout);
	f = popen(line, "r");
	if (!f)
		return -1;
	while (used < sizeof(out) - 1 && (n = fread(out + used, 1, sizeof(out) - 1 - used, f)) > 0)
		used += n;
	out[used] = 0;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *json_value(const char *s);

static const char *spaces(const char *s)
{
	while (s && isspace((unsigned char)*s))
		s++;
	return s;
}

static const char *json_string(const char *s)
{
	if (*s++ != '"')
		return NULL;
	while (*s && *s != '"') {
		if ((unsigned char)*s < 0x20)
			return NULL;
		if (*s == '\\' && !strchr("\"\\/bfnrt", *++s))
			return NULL;
		s++;
	}
	return *s ? s + 1 : NULL;
}

static const char *json_items(const char *s, char close, bool keyed)
{
	s = spaces(s + 1);
	if (*s == close)
		return s + 1;
	for (;;) {
		if (keyed) {
			s = spaces(json_string(s));
			if (!s || *s++ != ':')
				return NULL;
			s = spaces(s);
		}
		s = spaces(json_value(s));
		if (!s)
			return NULL;
		if (*s == close)
			return s + 1;
		if (*s++ != ',')
			return NULL;
		s = spaces(s);
	}
}

/* Behind the value, or NULL when it is none. Numbers are integers here. */
static const char *json_value(const char *s)
{
	if (*s == '{' || *s == '[')
		return json_items(s, *s == '{' ? '}' : ']', *s == '{');
	if (*s == '"')
		return json_string(s);
	if (*s == '-')
		s++;
	if (!isdigit((unsigned char)*s))
		return NULL;
	while (isdigit((unsigned char)*s))
		s++;
	return s;
}

static bool is_json(const char *s)
{
	s = spaces(json_value(spaces(s)));
	return s && !*s;
}

static void it_shows_what_a_client_holds(void)
{
	int fd = dev();
	uint64_t m = model(fd, "resnet \"50\"\\\033[31m");
	struct mlos_tensor_alloc t = { .size = sizeof(t), .flags = MLOS_TENSOR_POPULATE, .bytes = 3 << 20, .model_id = m,
				       .numa_node = -1 };
	struct mlos_inference_start s;
	char wanted[128];

	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, version(fd).slots, 0, &s), 0);
	EXPECT_EQ(run("mlosctl models"), 0);
	/* Nothing that a terminal would obey. */
	EXPECT(strstr(out, "resnet \"50\"\\?[31m") && !strchr(out, '\033'));
	EXPECT_EQ(run("mlosctl --json models"), 0);
	EXPECT(is_json(out));
	EXPECT(strstr(out, "\"name\":\"resnet \\\"50\\\"\\\\?[31m\""));
	EXPECT_EQ(run("mlosctl tensors"), 0);
	EXPECT(strstr(out, "3.0 MiB"));
	EXPECT(strstr(out, "resnet \"50\""));
	EXPECT_EQ(run("mlosctl --json tensors"), 0);
	EXPECT(is_json(out));
	snprintf(wanted, sizeof(wanted), "\"tensor\":%llu,\"model\":%llu,", (unsigned long long)t.tensor_id, (unsigned long long)m);
	EXPECT(strstr(out, wanted));
	EXPECT(strstr(out, "\"size_bytes\":3145728,\"resident_bytes\":3145728"));
	EXPECT_EQ(run("mlosctl --json queue"), 0);
	EXPECT(is_json(out));
	snprintf(wanted, sizeof(wanted), "\"inference\":%llu,", (unsigned long long)s.inference_id);
	EXPECT(strstr(out, wanted));
	EXPECT(strstr(out, "\"class\":\"high\",\"state\":\"granted\""));
	EXPECT_EQ(run("mlosctl --json clients"), 0);
	EXPECT(is_json(out));
	snprintf(wanted, sizeof(wanted), "\"process\":%d,", getpid());
	EXPECT(strstr(out, wanted));
	close(t.fd);
	close(fd);
}

static void every_verb_answers_in_both_forms(void)
{
	static const char *const verbs[] = { "info", "devices", "clients", "models", "tensors", "queue", "stats", "trim 1g", "defrag 0" };
	char command[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(command, sizeof(command), "mlosctl %s", verbs[i]);
		EXPECT_EQ(run(command), 0);
		EXPECT(out[0]);
		snprintf(command, sizeof(command), "mlosctl --json %s", verbs[i]);
		EXPECT_EQ(run(command), 0);
		EXPECT(is_json(out));
	}
	EXPECT_EQ(run("mlosctl --json devices"), 0);
	EXPECT(strstr(out, "\"accelerators\":[") && strstr(out, "\"nodes\":["));
	EXPECT_EQ(run("mlosctl --json stats"), 0);
	EXPECT(strstr(out, "\"counters\":{") && strstr(out, "\"classes\":[") && strstr(out, "\"predictions\":{"));
}

static void trim_evicts(void)
{
	int fd = dev(), file = pattern_file(1 << 20, 1);
	struct mlos_tensor_alloc t;

	EXPECT_EQ(tensor(fd, 1 << 20, MLOS_TENSOR_BACKED | MLOS_TENSOR_POPULATE, file, &t), 0);
	EXPECT_EQ(run("mlosctl --json trim 0"), 0);
	EXPECT(strstr(out, "\"evicted_tensors\":1,\"freed_bytes\":1048576"));
	close(t.fd);
	close(file);
	close(fd);
}

static void mistakes_are_told(void)
{
	EXPECT_EQ(run("mlosctl"), 2);
	EXPECT_EQ(run("mlosctl frobnicate"), 2);
	EXPECT(strstr(out, "unknown verb 'frobnicate'"));
	EXPECT_EQ(run("mlosctl trim"), 2);
	EXPECT_EQ(run("mlosctl trim -1"), 2);
	EXPECT_EQ(run("mlosctl trim 5x"), 2);
	EXPECT_EQ(run("mlosctl trim 99999999999g"), 2);
	EXPECT(strstr(out, "512M"));
	EXPECT_EQ(run("mlosctl models extra"), 2);
	EXPECT_EQ(run("mlosctl defrag 99"), 1);
	EXPECT(strstr(out, "no such accelerator"));
	EXPECT_EQ(run("mlosctl --device /dev/not-there models"), 1);
	EXPECT(strstr(out, "is not loaded"));
	EXPECT_EQ(run("mlosctl --device /dev/null --json stats"), 1);
	EXPECT(!strchr(out, '{'));
	EXPECT_EQ(run("mlosctl models >/dev/full"), 1);
}

static void the_sample_runs(void)
{
	EXPECT_EQ(run("infer /bin/mlosctl"), 0);
	EXPECT(strstr(out, "deadline met"));
	EXPECT_EQ(run("infer /not/there"), 1);
	EXPECT(strstr(out, "/not/there"));
}

static const struct tap_test tests[] = {
	{ "mlosctl shows what a client holds", it_shows_what_a_client_holds },
	{ "every verb of mlosctl answers, as text and as JSON", every_verb_answers_in_both_forms },
	{ "mlosctl trim evicts", trim_evicts },
	{ "mistakes are told", mistakes_are_told },
	{ "the sample program runs", the_sample_runs },
};
TAP_MAIN(tests)
