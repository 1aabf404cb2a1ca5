// SPDX-License-Identifier: GPL-2.0
/* Races of fork, exec, kill and close with everything else, and descriptors that travel. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "race.h"

/* --- processes ---------------------------------------------------------------------------------------------------------- */

static void *forks(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i, status;

	for (i = 0; i < STEPS / 10; i++) {
		pid_t child = fork();

		if (child == 0) {
			uint8_t *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, shared[1].fd, 0);

			if (next(&seed) % 2)
				execl("/bin/true", "true", NULL);
			_exit(p == MAP_FAILED || p[1] != pattern(1, 1));
		}
		if (child > 0 && next(&seed) % 3 == 0)
			kill(child, SIGKILL);
		if (child > 0)
			waitpid(child, &status, 0);
	}
	return NULL;
}

static void forks_and_execs_against_mappings(void)
{
	static void *(*const workers[])(void *) = { forks, forks, maps, maps, takes_pages, starts };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

/* An exec ends the other threads wherever they are, in the module too. */
static void exec_while_other_threads_are_in_the_module(void)
{
	static void *(*const workers[])(void *) = { maps, takes_pages, starts, waits, uses_ids };
	int round, i, status;

	for (round = 0; round < 8; round++) {
		if (fork() == 0) {
			pthread_t t;

			if (!begin())
				_exit(1);
			for (i = 0; i < 5; i++)
				pthread_create(&t, NULL, workers[i], (void *)(uintptr_t)(round * 8 + i + 1));
			for (i = 0; i < round * 2; i++)
				sched_yield();
			execl("/bin/true", "true", NULL);
			_exit(2);
		}
		wait(&status);
		EXPECT_EQ(status, 0);
	}
	EXPECT(nothing_is_left());
}

/* --- descriptors that travel ------------------------------------------------------------------------------------------ */

static bool send_fd(int socket, int what)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	return sendmsg(socket, &m, 0) == 1;
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int got = -1;

	if (recvmsg(socket, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return got;
}

/* The maker is killed; who got the descriptor keeps the content, and nobody else can steer the tensor. */
static void a_tensor_outlives_the_process_that_made_it(void)
{
	int pair[2], got, status, own = dev();
	struct mlos_tensor_op op;
	uint64_t id;
	uint8_t *p;
	pid_t child;

	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	child = fork();
	if (child == 0) {
		struct mlos_tensor_alloc t;
		int fd_ = dev();

		tensor(fd_, BYTES, 0, -1, &t);
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
		p[5] = 77;
		if (!send_fd(pair[1], t.fd) || write(pair[1], &t.tensor_id, sizeof(t.tensor_id)) < 0)
			_exit(1);
		pause();
	}
	got = receive_fd(pair[0]);
	EXPECT(got >= 0);
	EXPECT_EQ(read(pair[0], &id, sizeof(id)), sizeof(id));
	EXPECT_ERRNO(tensor_op(own, MLOS_IOC_TENSOR_PIN, id, &op), ENOENT);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, got, 0);
	EXPECT(p != MAP_FAILED);
	EXPECT_EQ(p[5], 77);
	EXPECT_EQ(trim(own, 0).evicted, 0);
	munmap(p, BYTES);
	close(got);
	close(pair[0]);
	close(pair[1]);
	close(own);
	EXPECT(nothing_is_left());
}

/* Descriptors in flight in a socket that nobody reads hold the tensor until the socket goes. */
static void descriptors_in_a_closed_socket_go(void)
{
	struct mlos_tensor_alloc t;
	int pair[2], own = dev();

	EXPECT_EQ(tensor(own, BYTES, MLOS_TENSOR_POPULATE, -1, &t), 0);
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	EXPECT(send_fd(pair[1], t.fd));
	EXPECT(send_fd(pair[1], own));
	close(t.fd);
	close(own);
	EXPECT_EQ(figure("resident_bytes"), BYTES);
	close(pair[0]);
	close(pair[1]);
	EXPECT(nothing_is_left());
}

/* --- close against operations ----------------------------------------------------------------------------------------- */

static void *closes(void *arg)
{
	uint32_t seed = seed_of(arg);
	int i;

	for (i = 0; i < STEPS; i++) {
		int own = dev();
		struct mlos_inference_start s;
		uint64_t m = model(own, "closed");

		start(own, m, MLOS_PRIO_HIGH, 1, 0, &s);
		start(own, m, MLOS_PRIO_NORMAL, 1, 0, &s);
		if (next(&seed) % 2)
			dup2(own, fd); /* the operations of the others go over to this one; the last of fd is closed */
		close(own);
	}
	return NULL;
}

static void close_against_operations(void)
{
	static void *(*const workers[])(void *) = { closes, closes, starts, waits, uses_ids, takes_pages };

	EXPECT(begin());
	together(workers, 6);
	EXPECT(end());
}

static const struct tap_test tests[] = {
	{ "forks and execs against mappings", forks_and_execs_against_mappings },
	{ "exec while other threads are in the module", exec_while_other_threads_are_in_the_module },
	{ "a tensor outlives the process that made it", a_tensor_outlives_the_process_that_made_it },
	{ "descriptors in a closed socket go", descriptors_in_a_closed_socket_go },
	{ "close against operations", close_against_operations },
};
TAP_MAIN(tests)
