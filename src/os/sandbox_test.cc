// SPDX-License-Identifier: Apache-2.0
// Each test enters the sandbox in a child process and tries one thing there. What this machine does not offer is skipped,
// with the reason that the report gives.
#include "os/sandbox.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "os/directory.h"
#include "os/file.h"

namespace mlos::os {
namespace {

using ::testing::HasSubstr;

// What a try answers: 0 when it worked, else errno.
using Try = std::function<int()>;
constexpr int kSandboxFailed = 200;

// Wait status of a child that entered the sandbox of `spec` and then exited with what `attempt` answered.
int StatusInSandbox(const SandboxSpec& spec, const Try& attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto report = EnterSandbox(spec);
    ::_exit(report.ok() ? attempt() : kSandboxFailed);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}
int InSandbox(const SandboxSpec& spec, const Try& attempt) {
  const int status = StatusInSandbox(spec, attempt);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  return WEXITSTATUS(status);
}
int Errno(long result) { return result >= 0 ? 0 : errno; }
int OpenAndClose(const std::filesystem::path& path, int flags) {
  return Errno(::open(path.c_str(), flags, 0600));
}

class SandboxTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto report = ProbeSandbox();
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    report_ = new SandboxReport(std::move(report).value());
  }
  static void TearDownTestSuite() { delete report_; }
  void SetUp() override {
    ASSERT_NE(report_, nullptr);
    inside_ = folder_.path() / "package";
    ASSERT_TRUE(MakeDirectories(inside_).ok());
    ASSERT_TRUE(WriteFile(inside_ / "model", "weights").ok());
    ASSERT_TRUE(WriteFile(folder_.path() / "foreign", "secret").ok());
    spec_.read_paths = {inside_};
  }
  static std::string Missing(Mechanism mechanism) {
    const MechanismState* state = report_->Find(mechanism);
    return state == nullptr ? "not reported" : std::string(MechanismName(mechanism)) + ": " + state->detail;
  }

  static SandboxReport* report_;
  TemporaryDirectory folder_;
  std::filesystem::path inside_;
  SandboxSpec spec_;
};
SandboxReport* SandboxTest::report_ = nullptr;

#define NEEDS(mechanism) \
  if (!report_->InForce(mechanism)) GTEST_SKIP() << Missing(mechanism)
#define NEEDS_CONFINED_FILES \
  if (!report_->FilesConfined()) GTEST_SKIP() << Missing(Mechanism::kLandlock)

TEST_F(SandboxTest, ReportsEveryMechanismOnceInOrderAndSaysWhatIsMissing) {
  ASSERT_EQ(report_->mechanisms.size(), std::size(kAllMechanisms));
  for (size_t i = 0; i < std::size(kAllMechanisms); ++i) {
    EXPECT_EQ(report_->mechanisms[i].mechanism, kAllMechanisms[i]);
    EXPECT_FALSE(report_->mechanisms[i].detail.empty()) << MechanismName(kAllMechanisms[i]);
  }
}

TEST_F(SandboxTest, WhatNeedsNoHelpFromTheMachineIsInForce) {
  EXPECT_TRUE(report_->InForce(Mechanism::kDescriptors));
  EXPECT_TRUE(report_->InForce(Mechanism::kLimits));
  EXPECT_TRUE(report_->InForce(Mechanism::kNoNewPrivileges));
  EXPECT_TRUE(report_->InForce(Mechanism::kCapabilities));
}

TEST_F(SandboxTest, ReadsThePackageAndNothingElse) {
  NEEDS_CONFINED_FILES;
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_RDONLY); }), 0);
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(folder_.path() / "foreign", O_RDONLY); }),
              ::testing::AnyOf(ENOENT, EACCES));
  EXPECT_THAT(InSandbox(spec_, [] { return OpenAndClose("/etc/passwd", O_RDONLY); }),
              ::testing::AnyOf(ENOENT, EACCES));
  EXPECT_THAT(InSandbox(spec_, [] { return OpenAndClose("/proc/1/cmdline", O_RDONLY); }),
              ::testing::AnyOf(ENOENT, EACCES));
}

// One mechanism at a time, the others off: each must hold alone.
class ConfinesAloneTest : public SandboxTest, public ::testing::WithParamInterface<Mechanism> {};

TEST_P(ConfinesAloneTest, ForeignFilesAndWriting) {
  NEEDS(GetParam());
  for (const Mechanism other : {Mechanism::kMountNamespace, Mechanism::kLandlock, Mechanism::kSystemCalls}) {
    if (other != GetParam()) spec_.off.push_back(other);
  }
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_RDONLY); }), 0);
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(folder_.path() / "foreign", O_RDONLY); }),
              ::testing::AnyOf(ENOENT, EACCES));
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_RDWR); }),
              ::testing::AnyOf(EROFS, EACCES));
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "new", O_CREAT | O_WRONLY); }),
              ::testing::AnyOf(EROFS, EACCES));
  EXPECT_THAT(InSandbox(spec_, [&] { return Errno(::unlink((inside_ / "model").c_str())); }),
              ::testing::AnyOf(EROFS, EACCES));
  EXPECT_EQ(ReadFile(inside_ / "model", 100).value_or(""), "weights");
}

INSTANTIATE_TEST_SUITE_P(Files, ConfinesAloneTest,
                         ::testing::Values(Mechanism::kMountNamespace, Mechanism::kLandlock),
                         [](const auto& param) { return std::string(MechanismName(param.param)); });

TEST_F(SandboxTest, SystemCallsAloneRefuseWriting) {
  NEEDS(Mechanism::kSystemCalls);
  spec_.off = {Mechanism::kMountNamespace, Mechanism::kLandlock};
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_RDONLY); }), 0);
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_WRONLY); }), EACCES);
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "new", O_CREAT); }), EACCES);
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_TRUNC); }), EACCES);
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::unlink((inside_ / "model").c_str())); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::truncate((inside_ / "model").c_str(), 0)); }), EPERM);
}

TEST_F(SandboxTest, WritesOnlyWhereItMay) {
  NEEDS_CONFINED_FILES;
  const std::filesystem::path cache = folder_.path() / "cache";
  ASSERT_TRUE(MakeDirectories(cache).ok());
  spec_.write_paths = {cache};
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(cache / "new", O_CREAT | O_RDWR); }), 0);
  EXPECT_TRUE(Exists(cache / "new"));
  EXPECT_EQ(
      InSandbox(spec_, [&] { return Errno(::rename((cache / "new").c_str(), (cache / "other").c_str())); }),
      0);
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(inside_ / "model", O_RDWR); }),
              ::testing::AnyOf(EROFS, EACCES));
}

// With Landlock alone, which knows neither, modes and times could be changed wherever a file can be seen.
TEST_F(SandboxTest, ChangesNoModesNorTimesWhereItMayWrite) {
  NEEDS(Mechanism::kSystemCalls);
  spec_.write_paths = {folder_.path()};
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::chmod((inside_ / "model").c_str(), 0)); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::utimensat(AT_FDCWD, inside_.c_str(), nullptr, 0)); }),
            EPERM);
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::setpriority(PRIO_PROCESS, 0, 5)); }), EPERM);
}

TEST_F(SandboxTest, FollowsSymbolicLinksToAllowedPaths) {
  NEEDS_CONFINED_FILES;
  std::filesystem::create_directory_symlink(inside_, folder_.path() / "link");
  spec_.read_paths = {folder_.path() / "link"};
  EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(folder_.path() / "link" / "model", O_RDONLY); }), 0);
  EXPECT_THAT(InSandbox(spec_, [&] { return OpenAndClose(folder_.path() / "foreign", O_RDONLY); }),
              ::testing::AnyOf(ENOENT, EACCES));
}

TEST_F(SandboxTest, APackageIsNoPlaceForCode) {
  NEEDS(Mechanism::kMountNamespace);
  const auto map_code = [](const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED ? 0 : errno;
  };
  EXPECT_EQ(InSandbox(spec_, [&] { return map_code(inside_ / "model"); }), EPERM);
  spec_.library_paths = {inside_};
  EXPECT_EQ(InSandbox(spec_, [&] { return map_code(inside_ / "model"); }), 0);
}

TEST_F(SandboxTest, OpensSystemLibraries) {
  EXPECT_EQ(InSandbox(spec_, [] { return ::dlopen("libz.so.1", RTLD_NOW) != nullptr ? 0 : 1; }), 0);
}

TEST_F(SandboxTest, SeesTheMachineItRunsOn) {
  for (const char* path : {"/proc/self/status", "/proc/cpuinfo", "/proc/meminfo",
                           "/sys/devices/system/cpu/online", "/dev/null", "/dev/urandom"}) {
    if (!Exists(path)) continue;
    EXPECT_EQ(InSandbox(spec_, [&] { return OpenAndClose(path, O_RDONLY); }), 0) << path;
  }
}

TEST_F(SandboxTest, HasNoNetwork) {
  NEEDS(Mechanism::kNetworkNamespace);
  spec_.off = {Mechanism::kSystemCalls, Mechanism::kLandlock};
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  socklen_t size = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const auto connect = [&] {
    return Errno(
        ::connect(::socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address), sizeof address));
  };
  EXPECT_EQ(InSandbox(spec_, connect), ENETUNREACH);
  ASSERT_EQ(connect(), 0) << "the listener must be reachable from outside";
  ::close(listener);
}

TEST_F(SandboxTest, MakesNoSocketOfAnyFamily) {
  NEEDS(Mechanism::kSystemCalls);
  for (const int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK}) {
    EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::socket(family, SOCK_STREAM, 0)); }), EPERM);
  }
}

TEST_F(SandboxTest, UsesTheSocketItInherited) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  spec_.keep_fds = {pair[1]};
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::send(pair[1], "x", 1, 0)); }), 0);
  char byte = 0;
  EXPECT_EQ(::recv(pair[0], &byte, 1, MSG_DONTWAIT), 1);
  spec_.keep_fds = {};
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::send(pair[1], "x", 1, 0)); }), EBADF);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(SandboxTest, MakesThreadsButNoProcesses) {
  NEEDS(Mechanism::kSystemCalls);
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        int seen = 1;
                        std::thread([&] { seen = 0; }).join();
                        return seen;
                      }),
            0);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::fork()); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::syscall(SYS_clone3, nullptr, 0)); }), ENOSYS);
}

TEST_F(SandboxTest, SignalsNobodyElse) {
  NEEDS(Mechanism::kSystemCalls);
  const pid_t parent = ::getpid();
  EXPECT_EQ(InSandbox(spec_, [&] { return Errno(::kill(parent, 0)); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::kill(-1, 0)); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::kill(0, 0)); }), EPERM);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::kill(::getpid(), 0)); }), 0);
}

// What only an attack does ends the process, with a signal that the parent can tell from a crash.
class FatalCallTest : public SandboxTest,
                      public ::testing::WithParamInterface<std::pair<const char*, long>> {};

TEST_P(FatalCallTest, EndsTheProcess) {
  NEEDS(Mechanism::kSystemCalls);
  const int status = StatusInSandbox(spec_, [] {
    ::syscall(GetParam().second, 0, 0, 0, 0, 0, 0);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, FatalCallTest,
    ::testing::Values(std::pair("execve", SYS_execve), std::pair("execveat", SYS_execveat),
                      std::pair("ptrace", SYS_ptrace), std::pair("mount", SYS_mount),
                      std::pair("unshare", SYS_unshare), std::pair("setns", SYS_setns),
                      std::pair("bpf", SYS_bpf), std::pair("perf_event_open", SYS_perf_event_open),
                      std::pair("keyctl", SYS_keyctl), std::pair("kexec_load", SYS_kexec_load),
                      std::pair("process_vm_writev", SYS_process_vm_writev),
                      std::pair("init_module", SYS_init_module)),
    [](const auto& param) { return std::string(param.param.first); });

TEST_F(SandboxTest, AbortStillEndsItAsAnAbort) {
  const int status = StatusInSandbox(spec_, []() -> int { ::abort(); });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST_F(SandboxTest, PrivateMemoryHasALimitAndMappedFilesDoNot) {
  constexpr uint64_t kLimit = 128U << 20U;
  spec_.limits.private_bytes = kLimit;
  const auto map_private = [](size_t bytes) {
    return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
  };
  EXPECT_EQ(InSandbox(spec_, [&] { return map_private(kLimit / 4); }), 0);
  EXPECT_EQ(InSandbox(spec_, [&] { return map_private(kLimit * 2); }), ENOMEM);
  ASSERT_EQ(::truncate((inside_ / "model").c_str(), kLimit * 2), 0);
  EXPECT_EQ(InSandbox(spec_,
                      [&] {
                        const int fd = ::open((inside_ / "model").c_str(), O_RDONLY);
                        return ::mmap(nullptr, kLimit * 2, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? errno
                                                                                                       : 0;
                      }),
            0);
}

TEST_F(SandboxTest, NoMemoryEscapesTheLimit) {
  NEEDS(Mechanism::kSystemCalls);
  EXPECT_EQ(InSandbox(spec_, [] { return Errno(::memfd_create("x", 0)); }), EPERM);
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        return ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
                                       MAP_FAILED
                                   ? errno
                                   : 0;
                      }),
            EPERM);
}

TEST_F(SandboxTest, LimitsCannotBeRaisedAgain) {
  NEEDS(Mechanism::kSystemCalls);
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        const rlimit more{4096, 4096};
                        return Errno(::setrlimit(RLIMIT_NOFILE, &more));
                      }),
            EPERM);
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        rlimit now{};
                        return Errno(::getrlimit(RLIMIT_NOFILE, &now)) != 0 || now.rlim_max != 1024 ? 1 : 0;
                      }),
            0);
}

TEST_F(SandboxTest, HoldsNoCapability) {
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        uint32_t header[2] = {0x20080522, 0};
                        uint32_t data[6] = {};
                        if (::syscall(SYS_capget, header, data) != 0) return errno;
                        return data[0] == 0 && data[1] == 0 && data[3] == 0 && data[4] == 0 ? 0 : 1;
                      }),
            0);
}

TEST_F(SandboxTest, AMechanismThatIsTurnedOffIsReportedAsOff) {
  spec_.off = {Mechanism::kSystemCalls};
  EXPECT_EQ(InSandbox(spec_,
                      [] {
                        const pid_t child = ::fork();
                        if (child == 0) ::_exit(0);
                        return Errno(child);
                      }),
            0);
  spec_.off = {std::begin(kAllMechanisms), std::end(kAllMechanisms)};
  const auto report = EnterSandbox(spec_);  // nothing happens to the test program itself
  ASSERT_TRUE(report.ok());
  for (const MechanismState& state : report->mechanisms) EXPECT_EQ(state.state, MechanismState::State::kOff);
}

TEST_F(SandboxTest, OffDoesNothing) {
  spec_.mode = SandboxMode::kOff;
  const auto report = EnterSandbox(spec_);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->mechanisms.empty());
}

TEST_F(SandboxTest, RequiredAndMissingIsAnErrorThatNamesTheMechanism) {
  spec_.mode = SandboxMode::kRequire;
  spec_.read_paths.clear();
  const int status = StatusInSandbox(spec_, [] { return 0; });
  const bool all = std::all_of(report_->mechanisms.begin(), report_->mechanisms.end(),
                               [](const auto& m) { return m.state == MechanismState::State::kInForce; });
  EXPECT_EQ(WEXITSTATUS(status), all ? 0 : kSandboxFailed);
  // The second sandbox inside a first one: its filter ends the process or refuses, in any case it cannot be entered again.
  NEEDS(Mechanism::kSystemCalls);
  const int nested = StatusInSandbox(SandboxSpec{}, [&] {
    SandboxSpec inner = spec_;
    inner.off = {Mechanism::kUserNamespace, Mechanism::kMountNamespace, Mechanism::kNetworkNamespace,
                 Mechanism::kIpcNamespace};
    const auto report = EnterSandbox(inner);
    return !report.ok() && report.status().message().find("oom_score") != std::string::npos ? 0 : 1;
  });
  ASSERT_TRUE(WIFEXITED(nested));
  EXPECT_EQ(WEXITSTATUS(nested), 0);
}

TEST_F(SandboxTest, IsRefusedOnceThereAreThreads) {
  EXPECT_EQ(InSandbox({.mode = SandboxMode::kOff},
                      [&] {
                        int pipe_fds[2];
                        if (::pipe(pipe_fds) != 0) return errno;
                        std::thread other([&] {
                          char byte = 0;
                          (void)!::read(pipe_fds[0], &byte, 1);
                        });
                        const auto report = EnterSandbox(SandboxSpec{});
                        (void)!::write(pipe_fds[1], "x", 1);
                        other.join();
                        return report.status().code() == Code::kFailedPrecondition ? 0 : 1;
                      }),
            0);
}

TEST(SandboxReportTest, ReadsBackWhatItWrites) {
  SandboxReport report;
  report.mechanisms = {{Mechanism::kLandlock, MechanismState::State::kMissing, "not\tin this\nkernel"},
                       {Mechanism::kSystemCalls, MechanismState::State::kInForce, "196 calls"}};
  const auto back = SandboxReport::Parse(report.Serialize());
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  ASSERT_EQ(back->mechanisms.size(), 2U);
  EXPECT_EQ(back->mechanisms[0].detail, "not in this kernel");
  EXPECT_TRUE(back->InForce(Mechanism::kSystemCalls));
  EXPECT_FALSE(back->FilesConfined());
}

TEST(SandboxReportTest, RefusesWhatIsNoReport) {
  for (const char* text : {"landlock", "landlock\tin_force\tx", "landlock\tperhaps\tx\n", "landlock\n", "\n",
                           "landlock\tin_force\tx\nlandlock\tmissing\ty\n"}) {
    EXPECT_FALSE(SandboxReport::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(SandboxReport::Parse("a_later_mechanism\tin_force\tx\n").ok());
}

TEST(MechanismTest, NamesAreFoundAgain) {
  for (const Mechanism mechanism : kAllMechanisms)
    EXPECT_EQ(FindMechanism(MechanismName(mechanism)), mechanism);
  EXPECT_FALSE(FindMechanism("wishes").has_value());
}

}  // namespace
}  // namespace mlos::os
