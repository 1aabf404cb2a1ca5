// SPDX-License-Identifier: Apache-2.0
// The system calls of a worker. What is not listed here does not exist for it (ENOSYS), so that libraries fall back to older
// calls as on an older kernel; what only an attack makes ends the process; what libraries try in passing answers EPERM.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "os/sandbox_parts.h"

#ifdef __clang__
// <seccomp.h> writes its comparisons (SCMP_A0 ...) as C's compound literals.
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif

namespace mlos::os::sandbox {
namespace {

// Memory, threads, time, reading files, and moving bytes over files that are open already.
constexpr const char* kAllowed[] = {
    // memory
    "brk",
    "mmap2",
    "mprotect",
    "munmap",
    "mremap",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "mbind",
    "get_mempolicy",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "membarrier",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "cachestat",
    // threads and waiting
    "futex",
    "futex_time64",
    "futex_waitv",
    "futex_wait",
    "futex_wake",
    "futex_requeue",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "gettid",
    "getpid",
    "getppid",
    "rseq",
    "exit",
    "exit_group",
    "arch_prctl",
    "set_thread_area",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_getattr",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "getpriority",
    "getcpu",
    "restart_syscall",
    "wait4",
    "waitid",
    "poll",
    "ppoll",
    "ppoll_time64",
    "select",
    "pselect6",
    "pselect6_time64",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd",
    "eventfd2",
    // time
    "clock_gettime",
    "clock_gettime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "gettimeofday",
    "time",
    "times",
    "nanosleep",
    "getitimer",
    "setitimer",
    "alarm",
    "pause",
    "timer_create",
    "timer_settime",
    "timer_settime64",
    "timer_gettime",
    "timer_gettime64",
    "timer_delete",
    "timer_getoverrun",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_settime64",
    "timerfd_gettime",
    "timerfd_gettime64",
    // signals of its own
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigpending",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "sigaltstack",
    "sigreturn",
    "signalfd",
    "signalfd4",
    // reading files
    "access",
    "faccessat",
    "faccessat2",
    "stat",
    "stat64",
    "lstat",
    "lstat64",
    "fstat",
    "fstat64",
    "fstatat64",
    "newfstatat",
    "statx",
    "statfs",
    "statfs64",
    "fstatfs",
    "fstatfs64",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "fadvise64",
    "fadvise64_64",
    "arm_fadvise64_64",
    "readahead",
    "lseek",
    "_llseek",
    // open files
    "read",
    "pread64",
    "readv",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "fcntl64",
    "pipe",
    "pipe2",
    "splice",
    "tee",
    "vmsplice",
    "sendfile",
    "sendfile64",
    "copy_file_range",
    "flock",
    "fsync",
    "fdatasync",
    "fallocate",
    // sockets that are open already
    "recvmsg",
    "recvfrom",
    "recv",
    "recvmmsg",
    "sendmsg",
    "sendto",
    "send",
    "sendmmsg",
    "shutdown",
    "getsockopt",
    "getsockname",
    "getpeername",
    "socketpair",
    // facts
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getuid32",
    "geteuid32",
    "getgid32",
    "getegid32",
    "getresuid",
    "getresgid",
    "getresuid32",
    "getresgid32",
    "getgroups",
    "getgroups32",
    "getpgrp",
    "getpgid",
    "getsid",
    "uname",
    "sysinfo",
    "getrlimit",
    "ugetrlimit",
    "getrusage",
    "getrandom",
    "umask",
    "capget",
};

// With a folder to write to. Modes and times are not among them: where only Landlock confines files, which knows neither, they
// could be changed anywhere.
constexpr const char* kWriting[] = {
    "creat",    "truncate", "truncate64", "ftruncate",       "ftruncate64", "unlink",
    "unlinkat", "rename",   "renameat",   "renameat2",       "mkdir",       "mkdirat",
    "rmdir",    "link",     "linkat",     "sync_file_range",
};

// Libraries may try these in passing; they get an answer that they can live with.
constexpr const char* kRefused[] = {
    "socket",        "connect",
    "bind",          "listen",
    "accept",        "accept4",
    "setsockopt",    "fork",
    "vfork",         "creat",
    "setrlimit",     "sched_setattr",
    "setpriority",   "ioprio_set",
    "pidfd_open",    "memfd_create",
    "memfd_secret",  "userfaultfd",
    "shmget",        "shmat",
    "msgget",        "semget",
    "mq_open",       "inotify_init",
    "inotify_init1", "inotify_add_watch",
    "fanotify_init", "io_uring_setup",
    "unlink",        "unlinkat",
    "rename",        "renameat",
    "renameat2",     "mkdir",
    "mkdirat",       "rmdir",
    "link",          "linkat",
    "symlink",       "symlinkat",
    "truncate",      "truncate64",
    "ftruncate",     "ftruncate64",
    "chmod",         "fchmod",
    "fchmodat",      "chown",
    "fchown",        "lchown",
    "fchownat",      "mknod",
    "mknodat",       "utimensat",
    "utimes",        "utime",
    "futimesat",     "setxattr",
    "lsetxattr",     "fsetxattr",
    "chdir",         "fchdir",
    "syslog",        "setuid",
    "setgid",        "setreuid",
    "setregid",      "setresuid",
    "setresgid",     "setgroups",
    "setsid",        "setpgid",
    "capset",        "personality",
    "kcmp",          "move_pages",
    "migrate_pages",
};

// No engine makes these. The process ends with SIGSYS, and the host says so.
constexpr const char* kFatal[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_send_signal",
    "pidfd_getfd",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "open_by_handle_at",
    "name_to_handle_at",
    "lookup_dcookie",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vhangup",
    "nfsservctl",
};

constexpr int kHarmlessPrctl[] = {
    PR_SET_NAME,
    PR_GET_NAME,
    PR_GET_DUMPABLE,
    PR_GET_PDEATHSIG,
    PR_CAPBSET_READ,
    PR_GET_SECCOMP,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_TIMERSLACK,
    PR_GET_TIMERSLACK,
    PR_SET_THP_DISABLE,
    PR_GET_THP_DISABLE,
    51 /*PR_SVE_GET_VL*/,
    0x53564d41 /*PR_SET_VMA*/,
};
// isatty, bytes waiting, blocking or not.
constexpr unsigned kHarmlessIoctl[] = {TCGETS, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TIOCGWINSZ};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

// Rules are added until one fails; then `error()` says what.
class Filter {
 public:
  Filter() : filter_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) {
    if (filter_ == nullptr) error_ = "seccomp_init";
  }

  // A call that this architecture lacks is left out.
  void Add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    if (!error_.empty()) return;
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR || call < 0) return;
    const int result =
        seccomp_rule_add_array(filter_.get(), action, call, static_cast<unsigned>(when.size()), when.begin());
    if (result != 0) error_ = std::string("seccomp rule for ") + name + ": errno " + std::to_string(-result);
  }
  template <size_t n>
  void AddAll(uint32_t action, const char* const (&names)[n]) {
    for (const char* name : names) Add(action, name);
  }
  // 0 or a negative errno.
  int Load() { return seccomp_load(filter_.get()); }
  const std::string& error() const { return error_; }

 private:
  std::unique_ptr<void, ReleaseFilter> filter_;
  std::string error_;
};

void AddFiles(Filter* filter, bool may_write) {
  if (may_write) {
    for (const char* name : {"open", "openat"}) filter->Add(SCMP_ACT_ALLOW, name);
    filter->AddAll(SCMP_ACT_ALLOW, kWriting);
    return;
  }
  // The second line of defence behind the mount namespace and Landlock: no file is opened for writing, nor made.
  const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
  filter->Add(SCMP_ACT_ALLOW, "open", {SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY)});
  filter->Add(SCMP_ACT_ALLOW, "openat", {SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY)});
  for (const uint64_t flag : {uint64_t{O_WRONLY}, uint64_t{O_RDWR}, uint64_t{O_CREAT}, uint64_t{O_TRUNC}}) {
    filter->Add(SCMP_ACT_ERRNO(EACCES), "open", {SCMP_A1(SCMP_CMP_MASKED_EQ, flag, flag)});
    filter->Add(SCMP_ACT_ERRNO(EACCES), "openat", {SCMP_A2(SCMP_CMP_MASKED_EQ, flag, flag)});
  }
}

void AddThreadsAndSignals(Filter* filter) {
  filter->Add(SCMP_ACT_ALLOW, "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)});
  filter->Add(SCMP_ACT_ERRNO(EPERM), "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)});
  // clone3 keeps its flags in memory, out of a filter's sight: it stays unlisted, and libraries go back to clone.
  const auto self = static_cast<scmp_datum_t>(::getpid());
  for (const char* name : {"kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"}) {
    filter->Add(SCMP_ACT_ALLOW, name, {SCMP_A0(SCMP_CMP_EQ, self)});
    filter->Add(SCMP_ACT_ERRNO(EPERM), name, {SCMP_A0(SCMP_CMP_NE, self)});
  }
  filter->Add(SCMP_ACT_ERRNO(EPERM), "tkill");
  for (const char* name : {"sched_setaffinity", "sched_setscheduler", "sched_setparam"}) {
    filter->Add(SCMP_ACT_ALLOW, name, {SCMP_A0(SCMP_CMP_EQ, 0)});
    filter->Add(SCMP_ACT_ERRNO(EPERM), name, {SCMP_A0(SCMP_CMP_NE, 0)});
  }
  // Limits are read, not changed.
  filter->Add(SCMP_ACT_ALLOW, "prlimit64", {SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0)});
  filter->Add(SCMP_ACT_ERRNO(EPERM), "prlimit64", {SCMP_A0(SCMP_CMP_NE, 0)});
  filter->Add(SCMP_ACT_ERRNO(EPERM), "prlimit64", {SCMP_A2(SCMP_CMP_NE, 0)});
}

void AddRest(Filter* filter, bool may_use_devices) {
  // Shared anonymous memory counts against no limit of a process.
  const uint64_t shared = MAP_SHARED | MAP_ANONYMOUS;
  filter->Add(SCMP_ACT_ERRNO(EPERM), "mmap", {SCMP_A3(SCMP_CMP_MASKED_EQ, shared, shared)});
  filter->Add(SCMP_ACT_ALLOW, "mmap", {SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)});
  filter->Add(SCMP_ACT_ALLOW, "mmap", {SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED, 0)});
  for (const int option : kHarmlessPrctl) {
    filter->Add(SCMP_ACT_ALLOW, "prctl", {SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option))});
  }
  // Ending with the parent can be asked for, not undone.
  filter->Add(SCMP_ACT_ALLOW, "prctl",
              {SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG), SCMP_A1(SCMP_CMP_EQ, SIGKILL)});
  if (may_use_devices) {
    filter->Add(SCMP_ACT_ALLOW, "ioctl");
    return;
  }
  for (const unsigned request : kHarmlessIoctl) {
    filter->Add(SCMP_ACT_ALLOW, "ioctl", {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, request)});
  }
}

}  // namespace

Outcome FilterSystemCalls(bool may_write, bool may_use_devices) {
  Filter filter;
  filter.AddAll(SCMP_ACT_ALLOW, kAllowed);
  filter.AddAll(SCMP_ACT_KILL_PROCESS, kFatal);
  AddFiles(&filter, may_write || may_use_devices);
  AddThreadsAndSignals(&filter);
  AddRest(&filter, may_use_devices);
  const auto writes = [](std::string_view name) {
    return std::ranges::find(kWriting, name) != std::end(kWriting);
  };
  for (const char* name : kRefused) {
    if (!(may_write || may_use_devices) || !writes(name)) filter.Add(SCMP_ACT_ERRNO(EPERM), name);
  }
  if (!filter.error().empty()) return Missing(filter.error());
  if (const int error = -filter.Load(); error != 0) {
    return MissingErrno(error, "seccomp filter (Linux with CONFIG_SECCOMP_FILTER has it)");
  }
  return InForce(std::to_string(std::size(kAllowed)) + " calls allowed" +
                 (may_write ? ", files may be written" : ""));
}

}  // namespace mlos::os::sandbox
