// SPDX-License-Identifier: Apache-2.0
// What the programs of the benchmark share; they run in the virtual machine and print lines of JSON.
#pragma once

#include <fcntl.h>
#include <linux/mlos.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline void die(const char* what) {
  perror(what);
  exit(1);
}

static inline int must_open(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) die(path);
  return fd;
}

static inline void must(int fd, unsigned long op, void* argument, const char* what) {
  if (ioctl(fd, op, argument) != 0) die(what);
}

static inline uint64_t register_model(int fd) {
  struct mlos_model_register m = {.size = sizeof(m), .name = "bench"};
  must(fd, MLOS_IOC_MODEL_REGISTER, &m, "MODEL_REGISTER");
  return m.model_id;
}

static inline int ascending(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return x < y ? -1 : x > y;
}

// Sorts. `share` 0 .. 1.
static inline uint64_t quantile(uint64_t* values, size_t n, double share) {
  size_t rank = (size_t)(share * (double)n);
  qsort(values, n, sizeof(*values), ascending);
  return values[rank >= n ? n - 1 : rank];
}
