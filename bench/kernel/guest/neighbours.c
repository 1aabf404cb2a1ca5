// SPDX-License-Identifier: Apache-2.0
// Latency of an inference beside busy loops, the module's class HIGH against default scheduling, in turns.
//
//   neighbours THREADS ROUNDS REQUESTS
//
// The inference stands for ResNet-50: 53 layers, one after the other, each a loop of floating-point work split over the threads, which
// meet after every layer. Its cost is set on the quiet machine to 16 ms on one thread, what ResNet-50 takes on one core of the
// machine this was written on. Between requests the client thinks for as long as a quiet request takes.
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

enum { kLayers = 53, kMaxThreads = 8, kMaxHogs = 4, kMaxSamples = 4096 };
static const uint64_t kCostNs = 16000000;

static int n_threads;
static uint64_t work_per_layer;
static pthread_barrier_t go;
static atomic_uint arrived, layer_done;
static volatile float sink;

static void layer_work(uint64_t steps) {
  float x = 1.0f, y = 0.5f;
  for (uint64_t i = 0; i < steps; ++i) {
    x = x * 0.999f + y;
    y = y * 1.001f - 0.001f;
    if (y > 2.0f) y = 0.5f;
  }
  sink = x;
}

static long futex(atomic_uint* word, int op, unsigned value) {
  return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

// Spins a little, then sleeps, as the thread pools of engines do.
static void meet(void) {
  const unsigned generation = atomic_load(&layer_done);
  if (atomic_fetch_add(&arrived, 1) + 1 == (unsigned)n_threads) {
    atomic_store(&arrived, 0);
    atomic_fetch_add(&layer_done, 1);
    futex(&layer_done, FUTEX_WAKE_PRIVATE, INT32_MAX);
    return;
  }
  for (int spins = 0; spins < 2000; ++spins) {
    if (atomic_load(&layer_done) != generation) return;
  }
  while (atomic_load(&layer_done) == generation) futex(&layer_done, FUTEX_WAIT_PRIVATE, generation);
}

static void run_layers(void) {
  for (int layer = 0; layer < kLayers; ++layer) {
    layer_work(work_per_layer / (uint64_t)n_threads);
    if (n_threads > 1) meet();
  }
}

static void* helper(void* tid) {
  *(int32_t*)tid = (int32_t)syscall(SYS_gettid);
  for (;;) {
    pthread_barrier_wait(&go);
    run_layers();
  }
  return NULL;
}

static uint64_t infer(void) {
  const uint64_t start = now_ns();
  if (n_threads > 1) pthread_barrier_wait(&go);
  run_layers();
  return now_ns() - start;
}

static int device;
static uint64_t model;
static int32_t tids[kMaxThreads];

static uint64_t infer_through_the_module(uint64_t* boosted) {
  const uint64_t start = now_ns();
  struct mlos_inference_start s = {.size = sizeof(s),
                                   .flags = MLOS_INFERENCE_BOOST,
                                   .model_id = model,
                                   .priority = MLOS_PRIO_HIGH,
                                   .threads = (uint32_t)n_threads,
                                   .tids = (uintptr_t)tids,
                                   .n_tids = (uint32_t)n_threads};
  struct mlos_inference_done d = {.size = sizeof(d)};
  must(device, MLOS_IOC_INFERENCE_START, &s, "INFERENCE_START");
  if (s.state != MLOS_INFERENCE_GRANTED) die("not granted at once");
  *boosted += s.boosted == (uint32_t)n_threads;
  infer();
  d.inference_id = s.inference_id;
  must(device, MLOS_IOC_INFERENCE_DONE, &d, "INFERENCE_DONE");
  return now_ns() - start;
}

static void think(uint64_t ns) {
  const struct timespec t = {(time_t)(ns / 1000000000ull), (long)(ns % 1000000000ull)};
  nanosleep(&t, NULL);
}

static pid_t hogs[kMaxHogs];

static void start_hogs(int n) {
  for (int i = 0; i < n; ++i) {
    hogs[i] = fork();
    if (hogs[i] != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) layer_work(1000000);
  }
}

static void stop_hogs(int n) {
  for (int i = 0; i < n; ++i) kill(hogs[i], SIGKILL);
  for (int i = 0; i < n; ++i) waitpid(hogs[i], NULL, 0);
}

// So that a quiet inference on one thread takes kCostNs: the fastest of some.
static void calibrate(void) {
  const int threads = n_threads;
  uint64_t best = UINT64_MAX;
  n_threads = 1;
  work_per_layer = 20000;
  for (int i = 0; i < 15; ++i) {
    const uint64_t took = infer();
    if (took < best) best = took;
  }
  work_per_layer = work_per_layer * kCostNs / best;
  n_threads = threads;
}

static void turn(int module, int requests, uint64_t* samples, size_t* n, uint64_t* boosted) {
  for (int i = 0; i < requests && *n < kMaxSamples; ++i) {
    samples[(*n)++] = module ? infer_through_the_module(boosted) : infer();
    think(kCostNs / (uint64_t)n_threads);
  }
}

static void compare(int n_hogs, int rounds, int requests) {
  static uint64_t samples[2][kMaxSamples];
  size_t n[2] = {0, 0};
  uint64_t boosted = 0;
  start_hogs(n_hogs);
  think(200000000);
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 2; ++i) {
      const int module = (round + i) % 2;
      turn(module, requests, samples[module], &n[module], &boosted);
    }
  }
  stop_hogs(n_hogs);
  for (int module = 0; module < 2; ++module) {
    printf(
        "{\"part\":\"neighbours\",\"threads\":%d,\"hogs\":%d,\"mode\":\"%s\",\"requests\":%zu,\"boosted\":%"
        "llu,"
        "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
        n_threads, n_hogs, module ? "module" : "default", n[module],
        (unsigned long long)(module ? boosted : 0), (double)quantile(samples[module], n[module], 0.5) / 1e6,
        (double)quantile(samples[module], n[module], 0.99) / 1e6);
  }
  fflush(stdout);
}

int main(int argc, char** argv) {
  static const int hog_counts[] = {0, 1, 2, 4};
  if (argc != 4) return 2;
  n_threads = atoi(argv[1]);
  if (n_threads < 1 || n_threads > kMaxThreads) return 2;
  device = must_open(MLOS_DEVICE);
  model = register_model(device);
  calibrate();
  pthread_barrier_init(&go, NULL, (unsigned)n_threads);
  tids[0] = (int32_t)syscall(SYS_gettid);
  for (int i = 1; i < n_threads; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, helper, &tids[i]);
  }
  for (int i = 0; i < 5; ++i) infer();  // every helper has told its id
  for (size_t i = 0; i < sizeof(hog_counts) / sizeof(hog_counts[0]); ++i)
    compare(hog_counts[i], atoi(argv[2]), atoi(argv[3]));
  return 0;
}
