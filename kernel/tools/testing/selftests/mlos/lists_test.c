// SPDX-License-Identifier: GPL-2.0
/* What there is, of all open files: clients, models, tensors, inferences, counters. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "client.h"

/* All elements, to be freed. */
static void *all(int fd, unsigned long op, uint32_t element_size, uint32_t *count)
{
	struct mlos_list a = { .size = sizeof(a), .element_size = element_size };
	void *elements;

	*count = 0;
	if (ioctl(fd, op, &a))
		return NULL;
	a.count += 64;
	elements = calloc(a.count, element_size);
	a.elements = (uintptr_t)elements;
	if (ioctl(fd, op, &a)) {
		free(elements);
		return NULL;
	}
	*count = a.count;
	return elements;
}

static bool find_client(int fd, int32_t process, uint32_t tensors, struct mlos_client_info *out)
{
	uint32_t n, i;
	struct mlos_client_info *c = all(fd, MLOS_IOC_CLIENT_LIST, sizeof(*c), &n);
	bool found = false;

	for (i = 0; i < n && !found; i++) {
		found = c[i].process == process && c[i].tensors == tensors;
		if (found)
			*out = c[i];
	}
	free(c);
	return found;
}

static void clients_come_and_go_with_their_files(void)
{
	int fd = dev(), other = dev();
	struct mlos_client_info c;
	struct mlos_tensor_alloc t;
	char name[16] = "";

	model(other, "one");
	model(other, "two");
	EXPECT_EQ(tensor(other, 5 * 4096, MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT(find_client(fd, getpid(), 1, &c));
	EXPECT_EQ(c.models, 2);
	EXPECT_EQ(c.inferences, 0);
	EXPECT_EQ(c.resident_bytes, 5 * 4096);
	EXPECT(pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 && !strcmp(c.name, name));
	close(t.fd);
	close(other);
	EXPECT(!find_client(fd, getpid(), 1, &c));
	close(fd);
}

static void a_client_of_another_process_is_seen_as_such(void)
{
	int fd = dev(), ready[2], go[2], status;
	struct mlos_client_info c;
	struct mlos_tensor_alloc t;
	char byte;
	pid_t child;

	EXPECT(pipe(ready) == 0 && pipe(go) == 0);
	child = fork();
	if (child == 0) {
		int own = dev(), i;

		for (i = 0; i < 3; i++)
			tensor(own, 4096, 0, -1, &t);
		if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	EXPECT_EQ(read(ready[0], &byte, 1), 1);
	EXPECT(find_client(fd, child, 3, &c));
	EXPECT_EQ(write(go[1], "g", 1), 1);
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	EXPECT(!find_client(fd, child, 3, &c));
	close(fd);
}

static void models_are_listed_with_their_latencies(void)
{
	int fd = dev();
	uint64_t id = model(fd, "listed");
	uint64_t end = now_ns() - MS;
	struct mlos_batch_entry e = { .op = MLOS_BATCH_RECORD, .id = id, .start_ns = end - 20 * MS, .end_ns = end };
	struct mlos_inference_batch b = { .size = sizeof(b), .entries = (uintptr_t)&e, .count = 1, .element_size = sizeof(e) };
	struct mlos_model_info *m;
	uint32_t n, i, at = ~0u;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_INFERENCE_BATCH, &b), 0);
	m = all(fd, MLOS_IOC_MODEL_LIST, sizeof(*m), &n);
	for (i = 0; i < n; i++)
		if (m[i].model_id == id)
			at = i;
	EXPECT(at < n);
	EXPECT(!strcmp(m[at].name, "listed"));
	EXPECT_EQ(m[at].process, getpid());
	EXPECT_EQ(m[at].samples, 1);
	EXPECT(m[at].p50_duration_ns >= 20 * MS && m[at].p50_duration_ns <= 23 * MS);
	EXPECT_EQ(m[at].inferences, 0);
	EXPECT_EQ(m[at].plan_entries, 0);
	free(m);
	close(fd);
}

static bool find_tensor(int fd, uint64_t id, struct mlos_tensor_info *out)
{
	uint32_t n, i;
	struct mlos_tensor_info *t = all(fd, MLOS_IOC_TENSOR_LIST, sizeof(*t), &n);
	bool found = false;

	for (i = 0; i < n && !found; i++) {
		found = t[i].tensor_id == id;
		if (found)
			*out = t[i];
	}
	free(t);
	return found;
}

static void tensors_are_listed_with_their_state(void)
{
	int fd = dev(), other = dev(), file = pattern_file(8192, 3);
	uint64_t m = model(fd, "m");
	struct mlos_tensor_alloc t = { .size = sizeof(t), .flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY, .bytes = 8100,
				       .model_id = m, .numa_node = -1, .backing_fd = file };
	struct mlos_tensor_info i;
	struct mlos_tensor_op op;
	void *p;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_TENSOR_ALLOC, &t), 0);
	EXPECT(find_tensor(other, t.tensor_id, &i));
	EXPECT_EQ(i.model_id, m);
	EXPECT_EQ(i.process, getpid());
	EXPECT_EQ(i.bytes, 8100);
	EXPECT_EQ(i.resident_bytes, 0);
	EXPECT_EQ(i.flags, MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY);
	EXPECT_EQ(i.state, 0);
	EXPECT_EQ(i.numa_node, -1);
	EXPECT_EQ(tensor_op(fd, MLOS_IOC_TENSOR_PIN, t.tensor_id, &op), 0);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, t.fd, 0);
	EXPECT(find_tensor(other, t.tensor_id, &i));
	EXPECT_EQ(i.resident_bytes, 8192);
	EXPECT_EQ(i.pins, 1);
	EXPECT_EQ(i.mappings, 1);
	EXPECT_EQ(i.state, MLOS_TENSOR_STATE_RESIDENT | MLOS_TENSOR_STATE_PINNED);
	munmap(p, 4096);
	EXPECT_EQ(tensor_free(fd, t.tensor_id), 0);
	EXPECT(!find_tensor(other, t.tensor_id, &i));
	close(t.fd);
	close(file);
	close(fd);
	close(other);
}

static bool find_inference(int fd, uint64_t id, struct mlos_inference_info *out)
{
	uint32_t n, i;
	struct mlos_inference_info *q = all(fd, MLOS_IOC_INFERENCE_LIST, sizeof(*q), &n);
	bool found = false;

	for (i = 0; i < n && !found; i++) {
		found = q[i].inference_id == id;
		if (found)
			*out = q[i];
	}
	free(q);
	return found;
}

static void inferences_are_listed_from_start_to_end(void)
{
	int fd = dev(), other = dev();
	uint64_t m = model(fd, "m"), deadline = now_ns() + 60000 * MS;
	struct mlos_inference_start running, waiting;
	struct mlos_inference_info i;

	EXPECT_EQ(start(fd, m, MLOS_PRIO_HIGH, version(fd).slots, 0, &running), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_BATCH, 1, deadline, &waiting), 0);
	EXPECT(find_inference(other, running.inference_id, &i));
	EXPECT_EQ(i.state, MLOS_INFERENCE_GRANTED);
	EXPECT_EQ(i.priority, MLOS_PRIO_HIGH);
	EXPECT_EQ(i.threads, version(fd).slots);
	EXPECT(i.started_ns && i.granted_ns >= i.started_ns);
	EXPECT(find_inference(other, waiting.inference_id, &i));
	EXPECT_EQ(i.state, MLOS_INFERENCE_QUEUED);
	EXPECT_EQ(i.model_id, m);
	EXPECT_EQ(i.process, getpid());
	EXPECT_EQ(i.deadline_ns, deadline);
	EXPECT_EQ(i.granted_ns, 0);
	EXPECT_EQ(finish(fd, waiting.inference_id), 0);
	EXPECT(!find_inference(other, waiting.inference_id, &i));
	close(fd);
	EXPECT(!find_inference(other, running.inference_id, &i));
	close(other);
}

static void counters_count(void)
{
	int fd = dev();
	struct mlos_stats a = { .size = sizeof(a) }, b = { .size = sizeof(b) };
	struct mlos_inference_start s;
	struct mlos_tensor_alloc t;

	EXPECT_EQ(ioctl(fd, MLOS_IOC_STATS, &a), 0);
	EXPECT(a.clients >= 1);
	EXPECT_EQ(a.slots, version(fd).slots);
	EXPECT_EQ(a.slots_free, a.slots);
	EXPECT_EQ(tensor(fd, 3 * 4096, MLOS_TENSOR_DISCARDABLE | MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT_EQ(start(fd, model(fd, "m"), MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_STATS, &b), 0);
	EXPECT_EQ(b.resident_bytes, a.resident_bytes + 3 * 4096);
	EXPECT_EQ(b.granted_now[MLOS_PRIO_NORMAL], 1);
	EXPECT_EQ(b.slots_free, b.slots - 1);
	EXPECT_EQ(b.started, a.started + 1);
	EXPECT_EQ(b.granted, a.granted + 1);
	EXPECT_EQ(finish(fd, s.inference_id), 0);
	trim(fd, 0);
	EXPECT_EQ(ioctl(fd, MLOS_IOC_STATS, &b), 0);
	EXPECT_EQ(b.done, a.done + 1);
	EXPECT(b.evicted_tensors >= a.evicted_tensors + 1);
	EXPECT(b.evicted_bytes >= a.evicted_bytes + 3 * 4096);
	close(t.fd);
	close(fd);
}

static void each_field_of_a_list_wrong(void)
{
	static const struct {
		unsigned long op;
		uint32_t size;
	} lists[] = { { MLOS_IOC_CLIENT_LIST, sizeof(struct mlos_client_info) },
		      { MLOS_IOC_MODEL_LIST, sizeof(struct mlos_model_info) },
		      { MLOS_IOC_TENSOR_LIST, sizeof(struct mlos_tensor_info) },
		      { MLOS_IOC_INFERENCE_LIST, sizeof(struct mlos_inference_info) } };
	int fd = dev();
	uint64_t m = model(fd, "m");
	struct mlos_inference_start s;
	struct mlos_tensor_alloc t;
	char room[256];
	size_t i;

	EXPECT_EQ(tensor(fd, 4096, 0, -1, &t), 0);
	EXPECT_EQ(start(fd, m, MLOS_PRIO_NORMAL, 1, 0, &s), 0);
	for (i = 0; i < 4; i++) {
		struct mlos_list good = { .size = sizeof(good), .elements = (uintptr_t)room, .count = 1,
					  .element_size = lists[i].size }, a;

		a = good;
		a.flags = 1;
		EXPECT_ERRNO(ioctl(fd, lists[i].op, &a), EINVAL);
		a = good;
		a.element_size--;
		EXPECT_ERRNO(ioctl(fd, lists[i].op, &a), EINVAL);
		a = good;
		a.count = 65537;
		EXPECT_ERRNO(ioctl(fd, lists[i].op, &a), EINVAL);
		a = good;
		a.elements = 4096;
		EXPECT_ERRNO(ioctl(fd, lists[i].op, &a), EFAULT);
		memset(room, 0x5a, sizeof(room));
		EXPECT_EQ(ioctl(fd, lists[i].op, &good), 0);
		EXPECT(good.count >= 1);
		EXPECT_EQ(room[lists[i].size], 0x5a);
	}
	close(t.fd);
	close(fd);
}

static atomic_bool stop;

static void *come_and_go(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		int fd = dev();
		struct mlos_tensor_alloc t;
		struct mlos_inference_start s;

		start(fd, model(fd, "passing"), MLOS_PRIO_NORMAL, 1, 0, &s);
		if (tensor(fd, 8192, MLOS_TENSOR_POPULATE, -1, &t) == 0)
			close(t.fd);
		close(fd);
	}
	return NULL;
}

static void lists_hold_while_clients_come_and_go(void)
{
	int fd = dev(), i;
	pthread_t threads[3];

	atomic_store(&stop, false);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, come_and_go, NULL);
	for (i = 0; i < 300; i++) {
		uint32_t n;

		free(all(fd, MLOS_IOC_CLIENT_LIST, sizeof(struct mlos_client_info), &n));
		free(all(fd, MLOS_IOC_MODEL_LIST, sizeof(struct mlos_model_info), &n));
		free(all(fd, MLOS_IOC_TENSOR_LIST, sizeof(struct mlos_tensor_info), &n));
		free(all(fd, MLOS_IOC_INFERENCE_LIST, sizeof(struct mlos_inference_info), &n));
	}
	atomic_store(&stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	free(all(fd, MLOS_IOC_INFERENCE_LIST, sizeof(struct mlos_inference_info), (uint32_t[]){ 0 }));
	close(fd);
}

static const struct tap_test tests[] = {
	{ "clients come and go with their files", clients_come_and_go_with_their_files },
	{ "a client of another process is seen as such", a_client_of_another_process_is_seen_as_such },
	{ "models are listed with their latencies", models_are_listed_with_their_latencies },
	{ "tensors are listed with their state", tensors_are_listed_with_their_state },
	{ "inferences are listed from start to end", inferences_are_listed_from_start_to_end },
	{ "counters count", counters_count },
	{ "lists: each field wrong", each_field_of_a_list_wrong },
	{ "lists hold while clients come and go", lists_hold_while_clients_come_and_go },
};
TAP_MAIN(tests)
