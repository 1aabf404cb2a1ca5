// SPDX-License-Identifier: Apache-2.0
#include "os/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "os/errors.h"
#include "os/local_socket.h"

namespace mlos::os {
namespace {

class SpawnPlan {
 public:
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&files_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  int Fill(int inherited) {
    sigset_t none;
    sigset_t defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;
    int error = ::posix_spawnattr_setflags(&attributes_, flags);
    if (error == 0) error = ::posix_spawnattr_setsigmask(&attributes_, &none);
    if (error == 0) error = ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    if (error == 0) error = ::posix_spawnattr_setpgroup(&attributes_, 0);
    if (error == 0) error = ::posix_spawn_file_actions_addopen(&files_, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0)
      error = ::posix_spawn_file_actions_adddup2(&files_, inherited, ChildProcess::kInheritedFd);
    if (error == 0)
      error = ::posix_spawn_file_actions_addclosefrom_np(&files_, ChildProcess::kInheritedFd + 1);
    return error;
  }

  int Start(const std::filesystem::path& program, char* const* argv, pid_t* pid) {
    std::vector<std::string> variables = ChildEnvironment();
    std::vector<char*> environment;
    for (std::string& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    return ::posix_spawn(pid, program.c_str(), &files_, &attributes_, argv, environment.data());
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return "exited with status " + std::to_string(code);
  const char* name = ::strsignal(signal);
  std::string text =
      "was killed by signal " + std::to_string(signal) + " (" + (name == nullptr ? "?" : name) + ")";
  if (signal == SIGSYS) text += ": it made a system call that its sandbox forbids";
  return text;
}

Result<ChildProcess> ChildProcess::Start(const std::filesystem::path& program,
                                         const std::vector<std::string>& arguments, int inherited) {
  std::vector<std::string> words = {program.filename().string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  // dup2 of a number onto itself would keep close-on-exec.
  Descriptor moved;
  if (inherited == kInheritedFd) {
    moved = Descriptor(::fcntl(inherited, F_DUPFD_CLOEXEC, kInheritedFd + 1));
    if (!moved.valid()) return ErrnoStatus(errno, "run", program);
    inherited = moved.get();
  }
  SpawnPlan plan;
  ChildProcess child;
  int error = plan.Fill(inherited);
  if (error == 0) error = plan.Start(program, argv.data(), &child.pid_);
  if (error != 0) {
    child.pid_ = -1;
    return ErrnoStatus(error, "run", program);
  }
  child.pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child.pid_, 0)));
  if (!child.pidfd_.valid()) return ErrnoStatus(errno, "pidfd_open for", program);
  return child;
}

ChildProcess::~ChildProcess() {
  if (!running()) return;
  Kill();
  Wait(-1);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

void ChildProcess::Kill() const {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  // The child may not be the leader of its group yet.
  ::kill(pid_, SIGKILL);
}

std::optional<ExitStatus> ChildProcess::Wait(int timeout_ms) {
  if (!running()) return ExitStatus();
  const int fds[] = {pidfd_.get()};
  if (pidfd_.valid() && WaitReadable(fds, timeout_ms) == 0) return std::nullopt;
  // What it started goes with it; its own number is not reused before it is collected.
  ::kill(-pid_, SIGKILL);
  int status = 0;
  rusage usage{};
  pid_t got = 0;
  do {
    got = ::wait4(pid_, &status, 0, &usage);
  } while (got < 0 && errno == EINTR);
  pid_ = -1;
  pidfd_.Close();
  ExitStatus out;
  if (got < 0) return out;
  if (WIFSIGNALED(status)) out.signal = WTERMSIG(status);
  if (WIFEXITED(status)) out.code = WEXITSTATUS(status);
  out.peak_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return out;
}

void EndWithParent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

void ExitNow(int code) { ::_exit(code); }

}  // namespace mlos::os
