// SPDX-License-Identifier: Apache-2.0
// Counts the system calls of requests by tracing a child: on an idle machine, where the status page says that nobody waits and executions
// are reported 256 at a time, and with START and DONE around each.
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

enum { kRequests = 2048, kRecords = 256 };

struct client {
  int fd;
  uint64_t model;
  const volatile struct mlos_status* status;
  struct mlos_batch_entry entries[kRecords];
  uint32_t pending;
};

static void report(struct client* c) {
  struct mlos_inference_batch b = {.size = sizeof(b),
                                   .entries = (uintptr_t)c->entries,
                                   .count = c->pending,
                                   .element_size = sizeof(c->entries[0])};
  must(c->fd, MLOS_IOC_INFERENCE_BATCH, &b, "INFERENCE_BATCH");
  if (b.failed) die("INFERENCE_BATCH: entries failed");
  c->pending = 0;
}

static int nobody_waits(const volatile struct mlos_status* s) {
  return s->slots_free && !s->queued[0] && !s->queued[1] && !s->queued[2] && !s->queued[3];
}

static void request_through_the_page(struct client* c) {
  if (!nobody_waits(c->status)) die("somebody waits");
  const uint64_t start = now_ns();  // the vDSO's, no system call
  while (now_ns() < start + 1000) continue;
  c->entries[c->pending++] = (struct mlos_batch_entry){
      .op = MLOS_BATCH_RECORD, .id = c->model, .start_ns = start, .end_ns = now_ns()};
  if (c->pending == kRecords) report(c);
}

static void request_by_start_and_done(struct client* c) {
  struct mlos_inference_start s = {
      .size = sizeof(s), .model_id = c->model, .priority = MLOS_PRIO_NORMAL, .threads = 1};
  struct mlos_inference_done d = {.size = sizeof(d)};
  must(c->fd, MLOS_IOC_INFERENCE_START, &s, "INFERENCE_START");
  d.inference_id = s.inference_id;
  must(c->fd, MLOS_IOC_INFERENCE_DONE, &d, "INFERENCE_DONE");
}

static void child(void (*request)(struct client* c)) {
  static struct client c;
  c.fd = must_open(MLOS_DEVICE);
  c.model = register_model(c.fd);
  c.status = mmap(NULL, 4096, PROT_READ, MAP_SHARED, c.fd, 0);
  if (c.status == MAP_FAILED) die("mmap of the status page");
  ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  raise(SIGSTOP);
  syscall(SYS_getppid);  // marks the beginning
  for (int i = 0; i < kRequests; ++i) request(&c);
  syscall(SYS_getppid);
  _exit(0);
}

static long number_of(pid_t pid) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void*)sizeof(info), &info) < 0) die("PTRACE_GET_SYSCALL_INFO");
  return info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1;
}

// Between the two marks.
static long count(void (*request)(struct client* c)) {
  const pid_t pid = fork();
  int status, marks = 0;
  long calls = 0;
  if (pid == 0) child(request);
  waitpid(pid, &status, 0);
  ptrace(PTRACE_SETOPTIONS, pid, NULL, (void*)PTRACE_O_TRACESYSGOOD);
  while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
         WIFSTOPPED(status)) {
    const long number = number_of(pid);
    if (number == SYS_getppid) {
      ++marks;
    } else if (number >= 0 && marks == 1) {
      ++calls;
    }
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) || marks != 2) die("the traced requests failed");
  return calls;
}

int main(void) {
  printf(
      "{\"part\":\"system calls\",\"name\":\"status page, reported 256 at a "
      "time\",\"requests\":%d,\"calls\":%ld}\n",
      kRequests, count(request_through_the_page));
  printf("{\"part\":\"system calls\",\"name\":\"INFERENCE_START and DONE\",\"requests\":%d,\"calls\":%ld}\n",
         kRequests, count(request_by_start_and_done));
  return 0;
}
