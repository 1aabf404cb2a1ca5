// SPDX-License-Identifier: Apache-2.0
#include "os/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "os/errors.h"
#include "os/xdg.h"

extern char** environ;

namespace mlos::os {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 100;  // how soon an interrupt is seen

// Both ends of a pipe, closed by the destructor.
class Pipe {
 public:
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    CloseWriter();
    CloseReader();
  }
  Status Open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "open", "a pipe");
    reader_ = ends[0];
    writer_ = ends[1];
    return OkStatus();
  }
  int reader() const { return reader_; }
  int writer() const { return writer_; }
  void CloseReader() { Close(&reader_); }
  void CloseWriter() { Close(&writer_); }

 private:
  static void Close(int* fd) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  int reader_ = -1;
  int writer_ = -1;
};

// Reads what is there; closes the pipe at its end.
void Drain(Pipe* pipe, size_t max_bytes, std::string* out) {
  std::array<char, 65536> buffer{};
  const ssize_t got = ::read(pipe->reader(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) {
    pipe->CloseReader();
    return;
  }
  const size_t room = max_bytes - std::min(max_bytes, out->size());
  out->append(buffer.data(), std::min(static_cast<size_t>(got), room));
}

class Child {
 public:
  explicit Child(const RunOptions& options) : options_(options) {}
  ~Child() {
    if (pid_ > 0 && !reaped_) Kill();
  }

  Status Start(const std::filesystem::path& program, const std::vector<std::string>& arguments);
  Result<ProgramResult> Wait();

 private:
  void Kill() {
    ::kill(-pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
  }

  const RunOptions& options_;
  Pipe output_;
  Pipe error_;
  pid_t pid_ = -1;
  bool reaped_ = false;
};

Status Child::Start(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  MLOS_RETURN_IF_ERROR(output_.Open());
  if (options_.capture_error) MLOS_RETURN_IF_ERROR(error_.Open());
  std::vector<std::string> words = {program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    bool replaced = false;
    for (const auto& [name, value] : options_.environment)
      replaced = replaced || text.starts_with(name + "=");
    if (!replaced) variables.emplace_back(text);
  }
  for (const auto& [name, value] : options_.environment) variables.push_back(name + "=" + value);
  std::vector<char*> argv;
  std::vector<char*> envp;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& variable : variables) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output_.writer(), 1);
  if (options_.capture_error) posix_spawn_file_actions_adddup2(&files, error_.writer(), 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that what it starts can be killed with it; no signal blocked or ignored.
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawn(&pid_, program.c_str(), &files, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  output_.CloseWriter();
  error_.CloseWriter();
  if (error != 0) {
    pid_ = -1;
    return ErrnoStatus(error, "run", program);
  }
  return OkStatus();
}

Result<ProgramResult> Child::Wait() {
  ProgramResult result;
  const auto end = Clock::now() + std::chrono::duration<double>(options_.timeout_s);
  while (output_.reader() >= 0 || error_.reader() >= 0) {
    std::array<pollfd, 2> waiting = {pollfd{output_.reader(), POLLIN, 0}, pollfd{error_.reader(), POLLIN, 0}};
    ::poll(waiting.data(), waiting.size(), kPollMs);
    if (waiting[0].revents != 0) Drain(&output_, options_.max_output_bytes, &result.output);
    if (waiting[1].revents != 0) Drain(&error_, options_.max_output_bytes, &result.error);
    if (options_.interrupted != nullptr && options_.interrupted->load()) return Cancelled("interrupted");
    if (Clock::now() > end) return DeadlineExceeded("the program ran longer than it may");
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "wait for", "a program");
  }
  reaped_ = true;
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  return result;
}

}  // namespace

Result<ProgramResult> RunProgram(const std::filesystem::path& program,
                                 const std::vector<std::string>& arguments, const RunOptions& options) {
  Child child(options);
  MLOS_RETURN_IF_ERROR(child.Start(program, arguments));
  return child.Wait();
}

Result<std::filesystem::path> FindProgram(const std::string& name) {
  std::string rest = GetEnv("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    const std::filesystem::path candidate = std::filesystem::path(rest.substr(0, colon)) / name;
    if (candidate.is_absolute() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.erase(0, std::min(colon + 1, rest.size()));
  }
  return NotFound("no program '" + name + "' in $PATH");
}

}  // namespace mlos::os
