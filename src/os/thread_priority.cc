// SPDX-License-Identifier: Apache-2.0
#include "os/thread_priority.h"

#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace mlos::os {
namespace {

Status Failed(int tid, std::string_view what) {
  const std::string message =
      std::string(what) + " of thread " + std::to_string(tid) + ": " + std::strerror(errno);
  if (errno == ESRCH) return NotFound(message);
  if (errno == EPERM || errno == EACCES) {
    return PermissionDenied(message + "; allow CAP_SYS_NICE, or raise the limits rtprio and nice");
  }
  return Internal(message);
}

}  // namespace

int ThisThread() { return static_cast<int>(syscall(SYS_gettid)); }

std::vector<int> ThreadsOf(int64_t pid) {
  const std::string folder = pid == 0 ? "/proc/self/task" : "/proc/" + std::to_string(pid) + "/task";
  std::vector<int> out;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return out;
  while (const dirent* entry = readdir(dir)) {
    if (const int tid = std::atoi(entry->d_name); tid > 0) out.push_back(tid);
  }
  closedir(dir);
  return out;
}

Result<ThreadPriority> GetThreadPriority(int tid) {
  const int told = sched_getscheduler(tid);
  if (told < 0) return Failed(tid, "scheduling policy");
  // Told with the policy: that what the thread starts does not inherit it.
  const int policy = told & ~SCHED_RESET_ON_FORK;
  if (policy == SCHED_FIFO) {
    sched_param param{};
    if (sched_getparam(tid, &param) != 0) return Failed(tid, "real-time priority");
    return ThreadPriority{.policy = ThreadPolicy::kRealtime, .realtime = param.sched_priority};
  }
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(tid));
  if (nice == -1 && errno != 0) return Failed(tid, "nice value");
  return ThreadPriority{.policy = policy == SCHED_OTHER ? ThreadPolicy::kNormal : ThreadPolicy::kOther,
                        .nice = nice};
}

Status SetThreadPriority(int tid, const ThreadPriority& priority) {
  sched_param param{};
  switch (priority.policy) {
    case ThreadPolicy::kRealtime:
      param.sched_priority = priority.realtime;
      if (sched_setscheduler(tid, SCHED_FIFO, &param) != 0) return Failed(tid, "set real-time priority");
      return OkStatus();
    case ThreadPolicy::kNormal:
      if (sched_setscheduler(tid, SCHED_OTHER, &param) != 0) return Failed(tid, "set normal policy");
      if (setpriority(PRIO_PROCESS, static_cast<id_t>(tid), priority.nice) != 0)
        return Failed(tid, "set nice value");
      return OkStatus();
    case ThreadPolicy::kOther:
      break;
  }
  return InvalidArgument("a policy that is neither normal nor real-time cannot be set");
}

}  // namespace mlos::os
