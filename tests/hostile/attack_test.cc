// SPDX-License-Identifier: Apache-2.0
// The attacker plugin inside the sandbox that a worker gives it: what it tries is refused, or ends its own process alone.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sandbox.h"
#include "plugin/testing/test_plugins.h"

namespace mlos::plugin {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uint64_t kLimit = 256U << 20U;

struct End {
  int status = 0;    // of waitpid
  std::string said;  // what the plugin said of its attack, or the error of the call
};

class AttackTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto report = os::ProbeSandbox();
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    report_ = new os::SandboxReport(std::move(report).value());
  }
  static void TearDownTestSuite() { delete report_; }

  void SetUp() override {
    model_ = folder_.Write("model.attacker", "attacker 1\n");
    foreign_ = other_folder_.Write("secret", "secret");
  }

  // What a worker gives the plugin: its own library, its model, 256 MiB.
  os::SandboxSpec Spec() const {
    os::SandboxSpec spec;
    spec.library_paths = {HostileDir("attacker")};
    spec.read_paths = {folder_.path()};
    spec.limits.private_bytes = kLimit;
    return spec;
  }

  static std::string RunPlugin(const std::filesystem::path& model, const std::string& attack,
                               const std::string& argument) {
    std::vector<Status> errors;
    auto registry = PluginRegistry::Open({HostileDir("attacker")}, &errors);
    if (!registry.ok()) return registry.status().ToString();
    if (!errors.empty()) return errors[0].ToString();
    LoadOptions load;
    load.model_path = model;
    load.package_dir = model.parent_path();
    auto instance = (*registry)->Load("attacker", load);
    if (!instance.ok()) return instance.status().ToString();
    Request request;
    const std::vector<std::string> words = {attack, argument};
    request.inputs.push_back({"attack", Tensor::FromStrings({2}, words).value()});
    const auto answer = RunAndWait(**instance, std::move(request));
    if (!answer->Wait().ok()) return answer->Wait().ToString();
    return std::string(DecodeStrings(answer->response().outputs[0].tensor).value()[0]);
  }

  End Attack(const std::string& attack, const std::string& argument = "") const {
    int pipe_fds[2];
    EXPECT_EQ(::pipe(pipe_fds), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      os::SandboxSpec spec = Spec();
      spec.keep_fds = {pipe_fds[1]};
      const auto report = os::EnterSandbox(spec);
      const std::string said = report.ok() ? RunPlugin(model_, attack, argument) : report.status().ToString();
      (void)!::write(pipe_fds[1], said.data(), said.size());
      ::_exit(0);
    }
    ::close(pipe_fds[1]);
    End end;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(pipe_fds[0], buffer, sizeof buffer)) > 0;) end.said.append(buffer, n);
    ::close(pipe_fds[0]);
    EXPECT_EQ(::waitpid(child, &end.status, 0), child);
    return end;
  }

  void ExpectSignal(const std::string& attack, int signal) const {
    const End end = Attack(attack);
    ASSERT_TRUE(WIFSIGNALED(end.status)) << end.said;
    EXPECT_EQ(WTERMSIG(end.status), signal) << ::strsignal(WTERMSIG(end.status));
  }
  void ExpectRefused(const std::string& attack, const std::string& argument = "") const {
    const End end = Attack(attack, argument);
    EXPECT_TRUE(WIFEXITED(end.status)) << attack;
    EXPECT_THAT(end.said, StartsWith("refused: ")) << attack;
  }

  static os::SandboxReport* report_;
  TemporaryFolder folder_;
  TemporaryFolder other_folder_;
  std::filesystem::path model_;
  std::filesystem::path foreign_;
};
os::SandboxReport* AttackTest::report_ = nullptr;

#define NEEDS(mechanism)                                             \
  if (!report_->InForce(os::Mechanism::mechanism)) {                 \
    GTEST_SKIP() << report_->Find(os::Mechanism::mechanism)->detail; \
  }

TEST_F(AttackTest, AHarmlessCallWorksInside) { EXPECT_EQ(Attack("none").said, "done"); }

TEST_F(AttackTest, CrashesEndTheProcessWithTheirOwnSignal) {
  ExpectSignal("segfault", SIGSEGV);
  ExpectSignal("abort", SIGABRT);
  ExpectSignal("deep_stack", SIGSEGV);
}

TEST_F(AttackTest, ExitEndsTheProcess) {
  const End end = Attack("exit", "3");
  ASSERT_TRUE(WIFEXITED(end.status));
  EXPECT_EQ(WEXITSTATUS(end.status), 3);
  EXPECT_EQ(end.said, "");
}

TEST_F(AttackTest, MakesNoProcess) {
  NEEDS(kSystemCalls);
  ExpectRefused("fork");
  ExpectRefused("system", "exit 0");
  ExpectSignal("exec", SIGSYS);
}

TEST_F(AttackTest, ReachesNoListener) {
  NEEDS(kSystemCalls);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ExpectRefused("connect", std::to_string(::ntohs(address.sin_port)));
  ::close(listener);
}

TEST_F(AttackTest, ReadsNoForeignFile) {
  if (!report_->FilesConfined()) GTEST_SKIP() << "neither a mount namespace nor Landlock here";
  EXPECT_EQ(Attack("read_file", model_).said, "done");
  ExpectRefused("read_file", foreign_);
  ExpectRefused("read_file", "/etc/passwd");
  ExpectRefused("read_file", "/proc/" + std::to_string(::getpid()) + "/mem");
}

TEST_F(AttackTest, ChangesNoFileNotEvenItsPackage) {
  if (!report_->FilesConfined() && !report_->InForce(os::Mechanism::kSystemCalls)) GTEST_SKIP();
  ExpectRefused("write_file", model_);
  ExpectRefused("write_file", folder_.path() / "new");
  ExpectRefused("write_file", foreign_);
  ExpectRefused("write_file", "/proc/self/oom_score_adj");
  ExpectRefused("remove_file", model_);
  EXPECT_TRUE(std::filesystem::exists(model_));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "new"));
}

TEST_F(AttackTest, LeaksUpToItsLimitOnly) {
  EXPECT_THAT(Attack("leak").said, StartsWith("refused: no memory after "));
  EXPECT_THAT(Attack("allocate", "100").said, "done: 100 MiB");
  EXPECT_THAT(Attack("allocate", "1000").said, StartsWith("refused: no memory after "));
  ExpectSignal("leak_and_crash", SIGABRT);
}

TEST_F(AttackTest, FindsNoMemoryBesideTheLimit) {
  NEEDS(kSystemCalls);
  ExpectRefused("shared_memory");
  ExpectRefused("raise_limits");
}

TEST_F(AttackTest, StartsAsManyThreadsAsItsMemoryAllows) {
  EXPECT_THAT(Attack("threads").said, AllOf(StartsWith("refused: "), HasSubstr("after")));
}

TEST_F(AttackTest, LeavesOtherProcessesAlone) {
  NEEDS(kSystemCalls);
  ExpectRefused("kill_parent");
  ExpectRefused("signal_all");
  ExpectRefused("pin_parent");
  ExpectSignal("ptrace_parent", SIGSYS);
}

struct Lie {
  const char* how;
  const char* says;
};
class AttackLieTest : public AttackTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(AttackLieTest, IsToldFromTheTruth) {
  const End end = Attack(GetParam().how);
  EXPECT_TRUE(WIFEXITED(end.status));
  EXPECT_THAT(end.said, AllOf(StartsWith("internal: "), HasSubstr("attacker"), HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(Lies, AttackLieTest,
                         ::testing::Values(Lie{"lie_dtype", "has 4 bytes, but the plugin says 8"},
                                           Lie{"lie_shape", "outcome"},
                                           Lie{"lie_size", "18446744073709551607 bytes after"},
                                           Lie{"lie_name", "treasure"}, Lie{"lie_null", "no data"}),
                         [](const auto& param) { return std::string(param.param.how); });

TEST_F(AttackTest, OutputThatPointsNowhereEndsItsOwnProcess) {
  ExpectSignal("lie_wild", SIGSEGV);
  ExpectSignal("lie_nan", SIGSEGV);
}

TEST_F(AttackTest, ACrashWhileLoadingEndsTheProcess) {
  std::ofstream(model_) << "attacker 1\nat_load segfault\n";
  ExpectSignal("none", SIGSEGV);
}

}  // namespace
}  // namespace mlos::plugin
