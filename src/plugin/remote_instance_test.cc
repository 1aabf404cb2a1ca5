// SPDX-License-Identifier: Apache-2.0
// Workers that die, hang, stop and lie: the attacker plugin (tests/hostile) behind RemoteInstance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "plugin/testing/test_plugins.h"
#include "resources/failover_backend.h"
#include "resources/testing/fake_backend.h"

namespace mlos::plugin {
namespace {

using ::testing::HasSubstr;

Request Attack(const std::string& name, const std::string& argument = "") {
  Request request;
  const std::vector<std::string> words = {name, argument};
  request.inputs.push_back({"attack", Tensor::FromStrings({2}, words).value()});
  return request;
}

class RemoteInstanceTest : public ::testing::Test {
 protected:
  void Open(WorkerSettings settings = {}, const std::string& plugin = "attacker") {
    OpenOptions options;
    options.isolation = Isolation::kProcess;
    options.worker = std::move(settings);
    options.backend = backend_.get();
    options.worker.program = kWorkerProgram;
    options.worker.sandbox = kTestSandbox;
    options.log = [this](LogLevel, const std::string&, std::string_view text) {
      const std::lock_guard lock(mu_);
      log_ += std::string(text) + "\n";
    };
    const auto dir = plugin == "attacker" ? HostileDir("attacker") : kPluginDir;
    std::vector<Status> errors;
    auto registry = PluginRegistry::Open({dir}, options, &errors);
    ASSERT_TRUE(registry.ok()) << registry.status().ToString();
    ASSERT_TRUE(plugin != "attacker" || errors.empty()) << errors[0].ToString();
    registry_ = std::move(*registry);
    LoadOptions load;
    load.package_dir = folder_.path();
    load.model_path = folder_.Write("model.txt", plugin == "attacker" ? "attacker 1\n" : model_);
    load.format = plugin;
    auto instance = registry_->Load(plugin, load);
    ASSERT_TRUE(instance.ok()) << instance.status().ToString();
    instance_ = std::move(*instance);
  }

  Status Ask(Request request) {
    const auto answer = RunAndWait(*instance_, std::move(request));
    EXPECT_EQ(answer->times(), 1);
    return answer->Wait();
  }
  // Starts the call on a thread of its own.
  std::shared_ptr<Answer> Start(Request request) {
    auto answer = std::make_shared<Answer>();
    threads_.emplace_back([this, answer, r = std::make_shared<Request>(std::move(request))] {
      instance_->Run(std::move(*r), std::make_unique<AnswerSink>(answer));
    });
    return answer;
  }
  void AwaitRunning(uint32_t count) {
    while (instance_->stats().running < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void TearDown() override {
    for (std::thread& thread : threads_) thread.join();
    instance_.reset();
  }
  std::string log() {
    const std::lock_guard lock(mu_);
    return log_;
  }

  const TemporaryFolder folder_;
  std::string model_ = "echo 1\ninput x FP32 batch 3\n";
  std::mutex mu_;
  std::string log_;
  std::vector<std::thread> threads_;
  std::unique_ptr<resources::Backend> backend_;
  std::unique_ptr<PluginRegistry> registry_;
  std::unique_ptr<Instance> instance_;
};

TEST_F(RemoteInstanceTest, RunsInAnotherProcess) {
  Open();
  EXPECT_GT(instance_->stats().pid, 0);
  EXPECT_NE(instance_->stats().pid, getpid());
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_TRUE(instance_->health().ok());
}

class DeadlyRequestTest : public RemoteInstanceTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(DeadlyRequestTest, FailsAloneAndTheWorkerComesBack) {
  Open();
  const int64_t pid = instance_->stats().pid;
  const Status status = Ask(Attack(GetParam()));
  EXPECT_EQ(status.code(), Code::kUnavailable) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr("plugin 'attacker'"));
  EXPECT_THAT(status.message(), HasSubstr("retry"));
  const int64_t before_ns = Clock::Real().MonotonicNs();
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_LT(Clock::Real().MonotonicNs() - before_ns, 5'000'000'000);
  EXPECT_NE(instance_->stats().pid, pid);
  EXPECT_EQ(instance_->stats().restarts, 1U);
  EXPECT_TRUE(instance_->health().ok());
}

INSTANTIATE_TEST_SUITE_P(Attacks, DeadlyRequestTest,
                         ::testing::Values("segfault", "abort", "exit", "deep_stack"));

TEST_F(RemoteInstanceTest, OnlyWhatRanFailsWhenTheWorkerIsKilled) {
  Open();
  const auto running = Start(Attack("sleep", "60000"));
  AwaitRunning(1);
  // A request that has been answered says that the sleeper's has begun: one thread takes them in order.
  EXPECT_TRUE(Ask(Attack("none")).ok());
  ASSERT_EQ(kill(static_cast<pid_t>(instance_->stats().pid), SIGKILL), 0);
  EXPECT_EQ(running->Wait().code(), Code::kUnavailable);
  EXPECT_THAT(running->Wait().message(), HasSubstr("signal 9"));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_THAT(log(), HasSubstr("1 requests failed"));
}

TEST_F(RemoteInstanceTest, UnderLoadNoRequestFailsThatWasNotRunning) {
  Open();
  std::atomic<int> good = 0;
  std::atomic<int> unavailable = 0;
  std::atomic<int> other = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      for (int n = 0; !stop; ++n) {
        const Status status = Ask(Attack("none", std::to_string(i * 1'000'000 + n)));
        ++(status.ok() ? good : status.code() == Code::kUnavailable ? unavailable : other);
      }
    });
  }
  for (int kills = 0; kills < 3; ++kills) {
    const int before = good;
    while (good < before + 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    kill(static_cast<pid_t>(instance_->stats().pid), SIGKILL);
    while (instance_->stats().restarts < static_cast<uint64_t>(kills + 1))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const int before = good;
  while (good < before + 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(other, 0);
  EXPECT_LE(unavailable, 3 * 4);
}

TEST_F(RemoteInstanceTest, RefusesARequestThatEndedItsWorkerTwice) {
  Open();
  EXPECT_EQ(Ask(Attack("segfault")).code(), Code::kUnavailable);
  EXPECT_EQ(Ask(Attack("segfault")).code(), Code::kUnavailable);
  const Status third = Ask(Attack("segfault"));
  EXPECT_EQ(third.code(), Code::kUnprocessable);
  EXPECT_THAT(third.message(), HasSubstr("quarantined"));
  EXPECT_THAT(third.message(), HasSubstr("2 times"));
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_EQ(instance_->stats().restarts, 2U);
}

TEST_F(RemoteInstanceTest, ARequestThatStoodBesideADeadlyOneComesFree) {
  Open();
  const auto innocent = Start(Attack("sleep", "700"));
  AwaitRunning(1);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_EQ(Ask(Attack("segfault")).code(), Code::kUnavailable);
  EXPECT_EQ(innocent->Wait().code(), Code::kUnavailable);
  EXPECT_TRUE(Ask(Attack("sleep", "700")).ok());
}

TEST_F(RemoteInstanceTest, GivesUpAModelWhoseWorkerDiesAgainAndAgain) {
  WorkerSettings settings;
  settings.max_crashes = 3;
  Open(settings);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Attack("abort", std::to_string(i))).code(), Code::kUnavailable);
  while (instance_->health().message().find("given up") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(instance_->health().message(), HasSubstr("signal 6"));
  const Status status = Ask(Attack("none"));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("given up after its worker died 3 times"));
}

TEST_F(RemoteInstanceTest, StartsAWorkerAgainThatWasStopped) {
  WorkerSettings settings;
  settings.hang_timeout = std::chrono::milliseconds(400);
  Open(settings);
  ASSERT_EQ(kill(static_cast<pid_t>(instance_->stats().pid), SIGSTOP), 0);
  const Status status = Ask(Attack("none"));
  // It had not begun: the next worker runs it.
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(instance_->stats().restarts, 1U);
  EXPECT_THAT(log(), HasSubstr("no sign of life"));
}

TEST_F(RemoteInstanceTest, ALongRequestIsNoHang) {
  WorkerSettings settings;
  settings.hang_timeout = std::chrono::milliseconds(200);
  Open(settings);
  EXPECT_TRUE(Ask(Attack("sleep", "1000")).ok());
  EXPECT_EQ(instance_->stats().restarts, 0U);
}

TEST_F(RemoteInstanceTest, EndsAWorkerWhoseRequestDoesNotStop) {
  WorkerSettings settings;
  settings.stuck_timeout = std::chrono::milliseconds(300);
  Open(settings);
  // On a busy machine the deadline may pass before the worker begins with it.
  for (int tries = 0; instance_->stats().restarts == 0 && tries < 20; ++tries) {
    Request request = Attack("hang");
    request.deadline_ns = Clock::Real().MonotonicNs() + 50'000'000;
    EXPECT_EQ(Ask(std::move(request)).code(), Code::kDeadlineExceeded);
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  EXPECT_EQ(instance_->stats().restarts, 1u);
  EXPECT_TRUE(Ask(Attack("none")).ok());
}

TEST_F(RemoteInstanceTest, AnswersInTimeWhenAStoppedWorkerDoesNot) {
  Open();
  ASSERT_EQ(kill(static_cast<pid_t>(instance_->stats().pid), SIGSTOP), 0);
  Request request = Attack("none");
  request.deadline_ns = Clock::Real().MonotonicNs() + 50'000'000;
  EXPECT_EQ(Ask(std::move(request)).code(), Code::kDeadlineExceeded);
  kill(static_cast<pid_t>(instance_->stats().pid), SIGCONT);
}

TEST_F(RemoteInstanceTest, DoesNotKeepTheThreadOfAShortModelWhenItsWorkerIsStopped) {
  WorkerSettings settings;
  settings.hang_timeout = std::chrono::milliseconds(1000);
  Open(settings);
  // On a busy machine no model is short.
  int short_ones = 0;
  for (int i = 0; i < 5000 && short_ones < 40; ++i) {
    const int64_t before_ns = Clock::Real().MonotonicNs();
    EXPECT_TRUE(Ask(Attack("none")).ok());
    short_ones = Clock::Real().MonotonicNs() - before_ns < 500'000 ? short_ones + 1 : 0;
  }
  if (short_ones < 40) GTEST_SKIP() << "the machine is too busy";
  ASSERT_EQ(kill(static_cast<pid_t>(instance_->stats().pid), SIGSTOP), 0);
  // The signal takes a moment.
  const auto stat = "/proc/" + std::to_string(instance_->stats().pid) + "/stat";
  for (std::string state; state.find(") T ") == std::string::npos;)
    std::getline(std::ifstream(stat) >> std::ws, state);
  auto answer = std::make_shared<Answer>();
  instance_->Run(Attack("none"), std::make_unique<AnswerSink>(answer));
  EXPECT_EQ(answer->times(), 0) << "Run waited until the worker was killed";
  EXPECT_TRUE(answer->Wait().ok());
}

TEST_F(RemoteInstanceTest, SaysHowAWorkerDiedThatLoads) {
  Open();
  LoadOptions load;
  load.package_dir = folder_.path();
  load.model_path = folder_.Write("bad.txt", "attacker 1\nat_load segfault\n");
  const Status status = registry_->Load("attacker", load).status();
  EXPECT_EQ(status.code(), Code::kInternal);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // they catch the signal and exit
  EXPECT_THAT(status.message(), HasSubstr("was killed by signal 11"));
#endif
  EXPECT_THAT(status.message(), HasSubstr("while loading the model"));
}

TEST_F(RemoteInstanceTest, LeavesNoProcessBehind) {
  Open();
  const auto pid = static_cast<pid_t>(instance_->stats().pid);
  instance_.reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(RemoteInstanceTest, RefusesInputsForWhichThereIsNoSharedMemory) {
  WorkerSettings settings;
  settings.arena_bytes = 1 << 20;
  Open(settings, "echo");
  Request large;
  large.inputs.push_back({"x", Tensor::Allocate(DType::kFp32, {100'000, 3}).value()});
  const Status status = Ask(std::move(large));
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("shared memory for inputs is full"));
  Request small;
  small.inputs.push_back(Floats("x", {1, 3}, {1, 2, 3}));
  EXPECT_TRUE(Ask(std::move(small)).ok());
}

TEST_F(RemoteInstanceTest, RefusesOutputsForWhichThereIsNoSharedMemory) {
  WorkerSettings settings;
  settings.arena_bytes = 1 << 20;
  Open(settings, "echo");
  std::vector<std::shared_ptr<Answer>> kept;
  // Answers that nobody drops keep their place; 600 kB fit once.
  for (int i = 0; i < 2; ++i) {
    Request request;
    request.inputs.push_back({"x", Tensor::Allocate(DType::kFp32, {50'000, 3}).value()});
    kept.push_back(RunAndWait(*instance_, std::move(request)));
  }
  EXPECT_TRUE(kept[0]->Wait().ok());
  EXPECT_EQ(kept[1]->Wait().code(), Code::kUnavailable);
  EXPECT_THAT(kept[1]->Wait().message(), HasSubstr("memory for outputs is full"));
  kept.clear();
  Request again;
  again.inputs.push_back({"x", Tensor::Allocate(DType::kFp32, {50'000, 3}).value()});
  EXPECT_TRUE(Ask(std::move(again)).ok());
}

TEST_F(RemoteInstanceTest, TensorsTravelWithoutACopy) {
  Open({}, "echo");
  const auto& arena = instance_->interface().input_arena;
  ASSERT_NE(arena, nullptr);
  Tensor input = Tensor::Allocate(DType::kFp32, {1, 3}, arena).value();
  EXPECT_EQ(input.arena(), arena.get());
  std::ranges::fill(input.As<float>(), 7.0F);
  Request request;
  request.inputs.push_back({"x", std::move(input)});
  const auto answer = RunAndWait(*instance_, std::move(request));
  ASSERT_TRUE(answer->Wait().ok());
  EXPECT_NE(answer->response().outputs[0].tensor.arena(), nullptr);
  EXPECT_EQ(answer->response().outputs[0].tensor.As<float>()[2], 7.0F);
}

TEST_F(RemoteInstanceTest, AnswersOutliveTheModel) {
  Open({}, "echo");
  Request request;
  request.inputs.push_back(Floats("x", {1, 3}, {1, 2, 3}));
  const auto answer = RunAndWait(*instance_, std::move(request));
  instance_.reset();
  EXPECT_EQ(answer->response().outputs[0].tensor.As<float>()[1], 2.0F);
}

TEST_F(RemoteInstanceTest, CarriesATextThatIsLongerThanASlot) {
  model_ = "echo 1\ngenerate\n";
  Open({}, "echo");
  Request request;
  request.generation.emplace();
  for (int i = 0; i < 50'000; ++i) request.generation->prompt += "word ";
  const std::string prompt = request.generation->prompt;
  const auto answer = RunAndWait(*instance_, std::move(request));
  ASSERT_TRUE(answer->Wait().ok()) << answer->Wait().ToString();
  EXPECT_EQ(answer->response().text, prompt);
}

TEST_F(RemoteInstanceTest, SeesFilesOfItsPackageThatAreLinksToElsewhere) {
  const TemporaryFolder blobs;
  std::filesystem::create_symlink(blobs.Write("blob", "text"), folder_.path() / "part");
  Open();
  Request request = Attack("read_file", (folder_.path() / "part").string());
  const auto answer = RunAndWait(*instance_, std::move(request));
  ASSERT_TRUE(answer->Wait().ok());
  EXPECT_THAT(std::string(DecodeStrings(answer->response().outputs[0].tensor).value()[0]),
              ::testing::StartsWith("done"));
}

TEST_F(RemoteInstanceTest, EstimatesInAWorker) {
  Open({}, "echo");
  LoadOptions load;
  load.model_path = folder_.path() / "model.txt";
  const auto estimate = registry_->EstimateModel("echo", load);
  ASSERT_TRUE(estimate.ok()) << estimate.status().ToString();
  EXPECT_GT(estimate->private_bytes, 0U);
}

TEST(WorkerProgramTest, IsNamedWhenItIsNotThere) {
  OpenOptions options;
  options.isolation = Isolation::kProcess;
  options.worker.program = "/nowhere/mlos-worker";
  const Status status = PluginRegistry::Open({kPluginDir}, options, nullptr).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("/nowhere/mlos-worker"));
}

// Arenas of a backend that stands for the kernel module.
class BackedInstanceTest : public RemoteInstanceTest {
 protected:
  void SetUp() override {
    state_->slots = 64;
    backend_ = std::make_unique<resources::FailoverBackend>(std::make_unique<resources::FakeBackend>(state_),
                                                            [](const std::string&) {});
  }
  // As when the module's node is removed: noticed by who looks.
  void LoseBackend() {
    state_->Break();
    EXPECT_TRUE(backend_->Probe().ok());
  }
  void AwaitAnotherWorker(int64_t pid) {
    while (instance_->stats().pid == pid || instance_->stats().pid == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void AwaitBackendClosed() {
    while (state_->alive) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Request Numbers() {
    const auto& arena = instance_->interface().input_arena;
    Tensor input = Tensor::Allocate(DType::kFp32, {1, 3}, arena).value();
    std::ranges::fill(input.As<float>(), 7.0F);
    Request request;
    request.inputs.push_back({"x", std::move(input)});
    return request;
  }

  const std::shared_ptr<resources::FakeBackend::State> state_ =
      std::make_shared<resources::FakeBackend::State>();
};

TEST_F(BackedInstanceTest, ItsArenasAreOfTheBackendUnderTheModelsName) {
  Open({}, "echo");
  ASSERT_EQ(state_->buffers.size(), 2U);
  EXPECT_TRUE(state_->buffers[0].others_read_only);
  EXPECT_FALSE(state_->buffers[1].others_read_only);
  EXPECT_NE(state_->buffers[0].model, 0U);
  EXPECT_EQ(state_->buffers[0].model, state_->buffers[1].model);
  EXPECT_TRUE(Ask(Numbers()).ok());
}

TEST_F(BackedInstanceTest, AnotherWorkerTakesItsPlaceWhenTheBackendGoesAndNoRequestFails) {
  Open({}, "echo");
  const int64_t pid = instance_->stats().pid;
  std::atomic<bool> stop = false;
  std::atomic<int> good = 0;
  std::atomic<int> bad = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        const auto answer = RunAndWait(*instance_, Numbers());
        const bool right = answer->Wait().ok() && answer->response().outputs[0].tensor.As<float>()[2] == 7.0F;
        ++(right ? good : bad);
      }
    });
  }
  while (good < 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto kept = RunAndWait(*instance_, Numbers());
  LoseBackend();
  AwaitAnotherWorker(pid);
  const int before = good;
  while (good < before + 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(instance_->stats().restarts, 0U);
  // An answer that is still being sent keeps what it lies in.
  EXPECT_TRUE(state_->alive);
  EXPECT_EQ(kept->response().outputs[0].tensor.As<float>()[1], 7.0F);
  kept.reset();
  AwaitBackendClosed();
  EXPECT_TRUE(Ask(Numbers()).ok());
  EXPECT_THAT(log(), HasSubstr("takes the place of worker " + std::to_string(pid)));
}

TEST_F(BackedInstanceTest, AWorkerWhosePlaceIsTakenEndsWithWhatItHas) {
  Open();
  const int64_t pid = instance_->stats().pid;
  const auto running = Start(Attack("sleep", "3000"));
  AwaitRunning(1);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  LoseBackend();
  AwaitAnotherWorker(pid);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_TRUE(running->Wait().ok()) << running->Wait().ToString();
  AwaitBackendClosed();
}

TEST_F(BackedInstanceTest, ARequestOfTheWorkerThatLeavesCanBeCancelled) {
  model_ += "delay_us 60000000\n";
  Open({}, "echo");
  const int64_t pid = instance_->stats().pid;
  Request request = Numbers();
  request.cancel = std::make_shared<CancelToken>();
  const auto cancel = request.cancel;
  const auto running = Start(std::move(request));
  AwaitRunning(1);
  LoseBackend();
  AwaitAnotherWorker(pid);
  cancel->Cancel();
  EXPECT_EQ(running->Wait().code(), Code::kCancelled);
  running->response() = {};
  AwaitBackendClosed();
  EXPECT_EQ(log().find("killed"), std::string::npos) << log();
}

TEST_F(BackedInstanceTest, AWorkerThatDiesWhileItLeavesFailsOnlyWhatItRan) {
  Open();
  const int64_t pid = instance_->stats().pid;
  const auto running = Start(Attack("sleep", "60000"));
  AwaitRunning(1);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  LoseBackend();
  AwaitAnotherWorker(pid);
  ASSERT_EQ(kill(static_cast<pid_t>(pid), SIGKILL), 0);
  EXPECT_EQ(running->Wait().code(), Code::kUnavailable);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  EXPECT_EQ(instance_->stats().restarts, 0U);
  AwaitBackendClosed();
}

TEST_F(BackedInstanceTest, AWorkerThatDiesOfTheLostBackendComesBackWithoutIt) {
  Open();
  LoseBackend();
  ASSERT_EQ(kill(static_cast<pid_t>(instance_->stats().pid), SIGKILL), 0);
  EXPECT_TRUE(Ask(Attack("none")).ok());
  AwaitBackendClosed();
  EXPECT_TRUE(Ask(Attack("none")).ok());
}

TEST_F(BackedInstanceTest, WithoutMemoryOfTheBackendItHasItsOwnAndSaysSoOnce) {
  state_->no_buffers = true;
  Open({}, "echo");
  EXPECT_TRUE(Ask(Numbers()).ok());
  EXPECT_THAT(log(), HasSubstr("the fake device's limit is reached"));
  EXPECT_EQ(log().find("limit is reached"), log().rfind("limit is reached"));
  LoseBackend();
  EXPECT_TRUE(Ask(Numbers()).ok());
  AwaitBackendClosed();
}

}  // namespace
}  // namespace mlos::plugin
