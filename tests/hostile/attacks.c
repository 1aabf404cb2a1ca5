/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every attack is bounded (64 processes, 100,000 threads that do nothing), so that a machine without a sandbox survives the
 * test that finds it missing.
 */
#define _GNU_SOURCE
#include "attacks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, MAX_FORKS = 64, MAX_THREADS = 100000 };

static void tell(char* outcome, size_t size, int failed) {
  if (failed) {
    snprintf(outcome, size, "refused: %s", strerror(errno));
  } else {
    snprintf(outcome, size, "done");
  }
}

static void attack_none(const char* argument, char* outcome, size_t size) {
  (void)argument;
  tell(outcome, size, 0);
}

static void attack_segfault(const char* argument, char* outcome, size_t size) {
  (void)argument;
  (void)outcome;
  (void)size;
  volatile int* volatile nowhere = NULL;
  *nowhere = 1;
}

static void attack_abort(const char* argument, char* outcome, size_t size) {
  (void)argument;
  (void)outcome;
  (void)size;
  abort();
}

static void attack_exit(const char* argument, char* outcome, size_t size) {
  (void)outcome;
  (void)size;
  exit(atoi(argument));
}

static void attack_hang(const char* argument, char* outcome, size_t size) {
  (void)argument;
  (void)outcome;
  (void)size;
  for (volatile uint64_t i = 0;; ++i) {
  }
}

/* For ever, or for so many milliseconds. */
static void attack_sleep(const char* argument, char* outcome, size_t size) {
  const long ms = strtol(argument, NULL, 10);
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  if (ms > 0) {
    tell(outcome, size, nanosleep(&time, NULL) == 0);
    return;
  }
  for (;;) pause();
}

/* The signal may reach another thread first: the call must not end before. */
static void attack_stop(const char* argument, char* outcome, size_t size) {
  kill(getpid(), SIGSTOP);
  attack_sleep(argument, outcome, size);
}

static void attack_fork(const char* argument, char* outcome, size_t size) {
  (void)argument;
  int made = 0;
  for (; made < MAX_FORKS; ++made) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    }
  }
  if (made == 0) {
    tell(outcome, size, 1);
  } else {
    snprintf(outcome, size, "done: %d processes", made);
  }
}

static void* idle_thread(void* argument) {
  (void)argument;
  for (;;) pause();
  return NULL;
}

static void attack_threads(const char* argument, char* outcome, size_t size) {
  (void)argument;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  int made = 0;
  for (; made < MAX_THREADS; ++made) {
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, idle_thread, NULL);
    if (error != 0) {
      snprintf(outcome, size, "refused: %s after %d threads", strerror(error), made);
      return;
    }
  }
  snprintf(outcome, size, "done: %d threads", made);
}

static void attack_connect(const char* argument, char* outcome, size_t size) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)atoi(argument));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  tell(outcome, size, fd < 0 || connect(fd, (const struct sockaddr*)&address, sizeof address) != 0);
}

static void attack_read_file(const char* argument, char* outcome, size_t size) {
  const int fd = open(argument, O_RDONLY);
  tell(outcome, size, fd < 0);
  if (fd >= 0) close(fd);
}

static void attack_write_file(const char* argument, char* outcome, size_t size) {
  const int fd = open(argument, O_WRONLY | O_CREAT, 0600);
  tell(outcome, size, fd < 0 || write(fd, "x", 1) != 1);
  if (fd >= 0) close(fd);
}

static void attack_remove_file(const char* argument, char* outcome, size_t size) {
  tell(outcome, size, unlink(argument) != 0);
}

static void attack_chmod_file(const char* argument, char* outcome, size_t size) {
  tell(outcome, size, chmod(argument, 0) != 0);
}

static void attack_exec(const char* argument, char* outcome, size_t size) {
  (void)argument;
  char* const argv[] = {"sh", "-c", "exit 0", NULL};
  char* const envp[] = {NULL};
  execve("/bin/sh", argv, envp);
  tell(outcome, size, 1);
}

static void attack_system(const char* argument, char* outcome, size_t size) {
  tell(outcome, size, system(argument) != 0);
}

/* As much as it gets, never given back; the first byte of every page is written. */
static uint64_t take(uint64_t limit_mib) {
  uint64_t taken = 0;
  for (; taken < limit_mib; ++taken) {
    char* block = malloc(MIB);
    if (block == NULL) break;
    for (size_t at = 0; at < MIB; at += 4096) *(volatile char*)(block + at) = 1;
  }
  return taken;
}

static void attack_leak(const char* argument, char* outcome, size_t size) {
  (void)argument;
  const uint64_t taken = take(UINT64_MAX);
  snprintf(outcome, size, "refused: no memory after %llu MiB", (unsigned long long)taken);
}

static void attack_leak_and_crash(const char* argument, char* outcome, size_t size) {
  (void)argument;
  (void)outcome;
  (void)size;
  take(UINT64_MAX);
  abort();
}

static void attack_allocate(const char* argument, char* outcome, size_t size) {
  const uint64_t wanted = strtoull(argument, NULL, 10);
  const uint64_t taken = take(wanted);
  snprintf(outcome, size, taken == wanted ? "done: %llu MiB" : "refused: no memory after %llu MiB",
           (unsigned long long)taken);
}

static void attack_shared_memory(const char* argument, char* outcome, size_t size) {
  (void)argument;
  const void* map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  tell(outcome, size, map == MAP_FAILED);
}

static void attack_kill_parent(const char* argument, char* outcome, size_t size) {
  (void)argument;
  tell(outcome, size, kill(getppid(), SIGKILL) != 0);
}

static void attack_signal_all(const char* argument, char* outcome, size_t size) {
  (void)argument;
  tell(outcome, size, kill(-1, SIGUSR1) != 0);
}

static void attack_ptrace_parent(const char* argument, char* outcome, size_t size) {
  (void)argument;
  tell(outcome, size, ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) != 0);
}

static void attack_pin_parent(const char* argument, char* outcome, size_t size) {
  (void)argument;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  tell(outcome, size, sched_setaffinity(getppid(), sizeof one, &one) != 0);
}

static void attack_raise_limits(const char* argument, char* outcome, size_t size) {
  (void)argument;
  const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
  tell(outcome, size, setrlimit(RLIMIT_DATA, &none) != 0);
}

static void attack_close_files(const char* argument, char* outcome, size_t size) {
  (void)argument;
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  tell(outcome, size, 0);
}

/* Overwrites all memory that it shares with the host for writing. */
static void attack_scribble(const char* argument, char* outcome, size_t size) {
  (void)argument;
  FILE* maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) {
    tell(outcome, size, 1);
    return;
  }
  char line[512];
  int areas = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long long from = 0;
    unsigned long long to = 0;
    char rights[8] = "";
    if (sscanf(line, "%llx-%llx %7s", &from, &to, rights) != 3 || strncmp(rights, "rw-s", 4) != 0) continue;
    memset((void*)(uintptr_t)from, 0xA5, (size_t)(to - from));
    ++areas;
  }
  fclose(maps);
  snprintf(outcome, size, "done: %d areas", areas);
}

static volatile char* volatile deepest;

__attribute__((noinline)) static int dig(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  deepest = frame;
  return dig(depth + 1) + frame[0];
}

static void attack_deep_stack(const char* argument, char* outcome, size_t size) {
  (void)argument;
  snprintf(outcome, size, "done: %d", dig(0));
}

static void attack_block_signals(const char* argument, char* outcome, size_t size) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  signal(SIGTERM, SIG_IGN);
  attack_sleep(argument, outcome, size);
}

static const struct {
  const char* name;
  attack_fn run;
} attacks[] = {
    {"none", attack_none},
    {"segfault", attack_segfault},
    {"abort", attack_abort},
    {"exit", attack_exit},
    {"hang", attack_hang},
    {"sleep", attack_sleep},
    {"stop", attack_stop},
    {"block_signals", attack_block_signals},
    {"fork", attack_fork},
    {"threads", attack_threads},
    {"connect", attack_connect},
    {"read_file", attack_read_file},
    {"write_file", attack_write_file},
    {"remove_file", attack_remove_file},
    {"chmod_file", attack_chmod_file},
    {"exec", attack_exec},
    {"system", attack_system},
    {"leak", attack_leak},
    {"leak_and_crash", attack_leak_and_crash},
    {"allocate", attack_allocate},
    {"shared_memory", attack_shared_memory},
    {"kill_parent", attack_kill_parent},
    {"signal_all", attack_signal_all},
    {"ptrace_parent", attack_ptrace_parent},
    {"pin_parent", attack_pin_parent},
    {"raise_limits", attack_raise_limits},
    {"close_files", attack_close_files},
    {"scribble", attack_scribble},
    {"deep_stack", attack_deep_stack},
};

attack_fn find_attack(const char* name) {
  for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; ++i) {
    if (strcmp(attacks[i].name, name) == 0) return attacks[i].run;
  }
  return NULL;
}
