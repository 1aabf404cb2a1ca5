// SPDX-License-Identifier: Apache-2.0
// What one operation costs, against a character device that does nothing: chunks of each, interleaved round by round.
#include "common.h"

enum { kRounds = 41, kCalls = 400, kRecords = 256, kCrowd = 15 * kRecords };

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

// Somebody else's: what takes all slots, so that whatever starts is queued, and what stands before it.
static int crowd;
static uint64_t crowd_model;

static void take_all_slots(void) {
  struct mlos_version v = {.size = sizeof(v)};
  struct mlos_inference_start s = {.size = sizeof(s), .priority = MLOS_PRIO_NORMAL};
  crowd = must_open(MLOS_DEVICE);
  crowd_model = register_model(crowd);
  must(crowd, MLOS_IOC_VERSION, &v, "VERSION");
  s.model_id = crowd_model;
  s.threads = v.slots;
  must(crowd, MLOS_IOC_INFERENCE_START, &s, "INFERENCE_START");
  if (s.state != MLOS_INFERENCE_GRANTED) die("the slots are not free");
}

static void queue_crowd(void) {
  static struct mlos_batch_entry entries[kRecords];
  struct mlos_inference_batch b = {.size = sizeof(b),
                                   .entries = (uintptr_t)entries,
                                   .count = kRecords,
                                   .element_size = sizeof(entries[0])};
  const uint64_t late = now_ns() + 1000000000000ull;
  for (int n = 0; n < kCrowd; n += kRecords) {
    for (int i = 0; i < kRecords; ++i) {
      entries[i] = (struct mlos_batch_entry){.op = MLOS_BATCH_START,
                                             .id = crowd_model,
                                             .priority = MLOS_PRIO_NORMAL,
                                             .threads = 1,
                                             .deadline_ns = late + (uint64_t)(n + i) * 7919 % 4001};
    }
    must(crowd, MLOS_IOC_INFERENCE_BATCH, &b, "INFERENCE_BATCH");
    if (b.failed) die("INFERENCE_BATCH: entries failed");
  }
}

static void with_crowd(int queued) {
  take_all_slots();
  if (queued) queue_crowd();
}

static void no_crowd(void) { with_crowd(0); }
static void large_crowd(void) { with_crowd(1); }
static void leave(void) { close(crowd); }

static const struct {
  const char* name;
  void (*fn)(void);
  int calls;                             // a chunk
  int round_trips;                       // a call; records: one for the report of an execution
  void (*before)(void), (*after)(void);  // each chunk
} cases[] = {
    {"a device that does nothing", null_plain, kCalls, 1, NULL, NULL},
    {"a device that copies 64 bytes in and out", null_copy, kCalls, 1, NULL, NULL},
    {"VERSION (64 bytes in and out)", version, kCalls, 1, NULL, NULL},
    {"MODEL_PREDICT (96 bytes)", predict, kCalls, 1, NULL, NULL},
    {"INFERENCE_START and DONE, each", plain_inference, kCalls / 2, 2, NULL, NULL},
    {"the same, thread raised and put back", boosted_inference, kCalls / 8, 2, NULL, NULL},
    {"report of one execution, 256 a call", records, 4, kRecords, NULL, NULL},
    {"START that is queued and its end, each", plain_inference, kCalls / 2, 2, no_crowd, leave},
    {"the same, 3840 queued before it", plain_inference, kCalls / 2, 2, large_crowd, leave},
};
enum { kCases = sizeof(cases) / sizeof(cases[0]) };

int main(void) {
  static uint64_t picoseconds[kCases][kRounds];
  device = must_open(MLOS_DEVICE);
  null_device = must_open("/dev/mlos-null");
  model = register_model(device);
  for (int round = -1; round < kRounds; ++round) {
    for (int c = 0; c < kCases; ++c) {
      if (cases[c].before) cases[c].before();
      const uint64_t start = now_ns();
      for (int i = 0; i < cases[c].calls; ++i) cases[c].fn();
      const uint64_t took = now_ns() - start;
      if (cases[c].after) cases[c].after();
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
