// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest use of /dev/mlos-ml from C: weights of a file shared through the kernel, and an inference that waits its turn.
 *
 *   cd kernel/samples/mlos && cc -I../../include/uapi -o example infer.c && ./example WEIGHTS
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mlos.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static int fail(const char *what)
{
	fprintf(stderr, "error: %s: %s\n", what, strerror(errno));
	return 1;
}

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Stands for an execution: reads every byte. */
static unsigned int execute(const unsigned char *weights, size_t bytes)
{
	unsigned int sum = 0;
	size_t i;

	for (i = 0; i < bytes; i++)
		sum += weights[i];
	return sum;
}

int main(int argc, char **argv)
{
	struct mlos_model_register model = { .size = sizeof(model), .name = "sample" };
	struct mlos_tensor_alloc tensor = { .size = sizeof(tensor), .numa_node = MLOS_NUMA_NODE_ANY,
					    .flags = MLOS_TENSOR_BACKED | MLOS_TENSOR_READONLY };
	struct mlos_inference_start start = { .size = sizeof(start), .priority = MLOS_PRIO_HIGH, .threads = 1,
					      .flags = MLOS_INFERENCE_BOOST };
	struct mlos_inference_wait wait = { .size = sizeof(wait) };
	struct mlos_inference_done done = { .size = sizeof(done) };
	const unsigned char *weights;
	struct stat st;
	int dev, file;
	unsigned int sum;

	if (argc != 2) {
		fprintf(stderr, "usage: infer WEIGHTS\n");
		return 2;
	}
	dev = open(MLOS_DEVICE, O_RDWR | O_CLOEXEC);
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (dev < 0 || file < 0 || fstat(file, &st))
		return fail(dev < 0 ? MLOS_DEVICE : argv[1]);
	if (ioctl(dev, MLOS_IOC_MODEL_REGISTER, &model))
		return fail("MODEL_REGISTER");

	tensor.bytes = st.st_size;
	tensor.backing_fd = file;
	tensor.model_id = model.model_id;
	if (ioctl(dev, MLOS_IOC_TENSOR_ALLOC, &tensor))
		return fail("TENSOR_ALLOC");
	weights = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, tensor.fd, 0);
	if (weights == MAP_FAILED)
		return fail("mmap");

	start.model_id = model.model_id;
	start.deadline_ns = now_ns() + 5000000000ULL;
	if (ioctl(dev, MLOS_IOC_INFERENCE_START, &start))
		return fail("INFERENCE_START");
	wait.inference_id = start.inference_id;
	if (ioctl(dev, MLOS_IOC_INFERENCE_WAIT, &wait))
		return fail("INFERENCE_WAIT");
	if (wait.state != MLOS_INFERENCE_GRANTED) {
		fprintf(stderr, "error: the deadline passed in the queue\n");
		return 1;
	}
	sum = execute(weights, st.st_size);
	done.inference_id = start.inference_id;
	if (ioctl(dev, MLOS_IOC_INFERENCE_DONE, &done))
		return fail("INFERENCE_DONE");
	printf("sum %u, queued %llu us, ran %llu us, deadline %s\n", sum, (unsigned long long)wait.queued_ns / 1000,
	       (unsigned long long)done.duration_ns / 1000, done.deadline_met ? "met" : "missed");
	return 0;
}
