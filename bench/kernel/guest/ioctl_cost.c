// SPDX-License-Identifier: Apache-2.0
// What one operation costs, against a character device that does nothing: chunks of each, interleaved round by round.
#include "common.h"

enum { kRounds = 41, kCalls = 400, kRecords = 256 };

static int device, null_device;
static uint64_t model;

static void null_plain(void) { must(null_device, 0, NULL, "null"); }

static void null_copy(void) {
  char bytes[64] = {0};
  must(null_device, 1, bytes, "null");
}

static void version(void) {
  struct mlos_version v = {.size = sizeof(v)};
  must(device, MLOS_IOC_VERSION, &v, "VERSION");
}

static void predict(void) {
  struct mlos_model_predict p = {
      .size = sizeof(p), .model_id = model, .priority = MLOS_PRIO_NORMAL, .threads = 1};
  must(device, MLOS_IOC_MODEL_PREDICT, &p, "MODEL_PREDICT");
}

static void start_done(uint32_t priority, uint32_t flags) {
  struct mlos_inference_start s = {
      .size = sizeof(s), .flags = flags, .model_id = model, .priority = priority, .threads = 1};
  struct mlos_inference_done d = {.size = sizeof(d)};
  must(device, MLOS_IOC_INFERENCE_START, &s, "INFERENCE_START");
  d.inference_id = s.inference_id;
  must(device, MLOS_IOC_INFERENCE_DONE, &d, "INFERENCE_DONE");
}

static void plain_inference(void) { start_done(MLOS_PRIO_NORMAL, 0); }
static void boosted_inference(void) { start_done(MLOS_PRIO_HIGH, MLOS_INFERENCE_BOOST); }

static void records(void) {
  static struct mlos_batch_entry entries[kRecords];
  struct mlos_inference_batch b = {.size = sizeof(b),
                                   .entries = (uintptr_t)entries,
                                   .count = kRecords,
                                   .element_size = sizeof(entries[0])};
  const uint64_t end = now_ns() - 1;
  for (int i = 0; i < kRecords; ++i) {
    entries[i] = (struct mlos_batch_entry){
        .op = MLOS_BATCH_RECORD, .id = model, .start_ns = end - 1000000, .end_ns = end};
  }
  must(device, MLOS_IOC_INFERENCE_BATCH, &b, "INFERENCE_BATCH");
  if (b.failed) die("INFERENCE_BATCH: entries failed");
}

static const struct {
  const char* name;
  void (*fn)(void);
  int calls;        // a chunk
  int round_trips;  // a call; records: one for the report of an execution
} cases[] = {
    {"a device that does nothing", null_plain, kCalls, 1},
    {"a device that copies 64 bytes in and out", null_copy, kCalls, 1},
    {"VERSION (64 bytes in and out)", version, kCalls, 1},
    {"MODEL_PREDICT (96 bytes)", predict, kCalls, 1},
    {"INFERENCE_START and DONE, each", plain_inference, kCalls / 2, 2},
    {"the same, thread raised and put back", boosted_inference, kCalls / 8, 2},
    {"report of one execution, 256 a call", records, 4, kRecords},
};
enum { kCases = sizeof(cases) / sizeof(cases[0]) };

int main(void) {
  static uint64_t picoseconds[kCases][kRounds];
  device = must_open(MLOS_DEVICE);
  null_device = must_open("/dev/mlos-null");
  model = register_model(device);
  for (int round = -1; round < kRounds; ++round) {
    for (int c = 0; c < kCases; ++c) {
      const uint64_t start = now_ns();
      for (int i = 0; i < cases[c].calls; ++i) cases[c].fn();
      const uint64_t took = now_ns() - start;
      if (round >= 0) picoseconds[c][round] = took * 1000 / (uint64_t)(cases[c].calls * cases[c].round_trips);
    }
  }
  for (int c = 0; c < kCases; ++c) {
    printf("{\"part\":\"ioctl\",\"name\":\"%s\",\"median_ns\":%.1f,\"p10_ns\":%.1f,\"p90_ns\":%.1f}\n",
           cases[c].name, (double)quantile(picoseconds[c], kRounds, 0.5) / 1000,
           (double)quantile(picoseconds[c], kRounds, 0.1) / 1000,
           (double)quantile(picoseconds[c], kRounds, 0.9) / 1000);
  }
  return 0;
}
