// SPDX-License-Identifier: Apache-2.0
// The host with a plugin that behaves, echo: in this process, and in a worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "plugin/testing/test_plugins.h"

namespace mlos::plugin {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTensors = "echo 1\ninput x FP32 batch 3\noptional note BYTES n\n";

class InstanceTest : public ::testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    std::filesystem::create_symlink(kPluginDir / "libmlos_echo.so", folder_.path() / "libmlos_echo.so");
    OpenOptions options;
    options.isolation = GetParam();
    options.worker.program = kWorkerProgram;
    options.worker.sandbox = kTestSandbox;
    auto registry = PluginRegistry::Open({folder_.path()}, options, nullptr);
    ASSERT_TRUE(registry.ok()) << registry.status().ToString();
    registry_ = std::move(registry).value();
  }

  Result<std::unique_ptr<Instance>> TryLoad(const std::string& text) {
    LoadOptions load;
    load.package_dir = folder_.path();
    load.model_path = folder_.Write("model.txt", text);
    load.format = "echo";
    return registry_->Load("echo", load);
  }
  std::unique_ptr<Instance> Load(const std::string& text) {
    auto instance = TryLoad(text);
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    return std::move(instance).value();
  }

  static Request Tensors(std::vector<NamedTensor> inputs) {
    Request request;
    request.inputs = std::move(inputs);
    return request;
  }
  static Request Text(const std::string& prompt) {
    Request request;
    request.generation.emplace();
    request.generation->prompt = prompt;
    return request;
  }
  static Request OneRow() {
    std::vector<NamedTensor> inputs;
    inputs.push_back(Floats("x", {1, 3}, {1, 2, 3}));
    return Tensors(std::move(inputs));
  }
  static Status Fail(Instance& instance, Request request) {
    const auto answer = RunAndWait(instance, std::move(request));
    EXPECT_EQ(answer->times(), 1);
    return answer->Wait();
  }

  const TemporaryFolder folder_;
  std::unique_ptr<PluginRegistry> registry_;
};

TEST_P(InstanceTest, DescribesTheModel) {
  const auto instance = Load(kTensors);
  const ModelInterface& interface = instance->interface();
  ASSERT_EQ(interface.inputs.size(), 2U);
  EXPECT_EQ(SpecToString(interface.inputs[0]), "FP32 [batch, 3]");
  EXPECT_TRUE(interface.inputs[1].optional);
  EXPECT_TRUE(interface.executes);
  EXPECT_FALSE(interface.generates);
  EXPECT_EQ(instance->plugin_id(), "echo");
}

TEST_P(InstanceTest, CarriesTensorsThereAndBack) {
  const auto instance = Load(kTensors);
  std::vector<NamedTensor> inputs;
  inputs.push_back(Floats("x", {2, 3}, {1, 2, 3, 4, 5, 6}));
  const std::vector<std::string> notes = {"", "two words"};
  inputs.push_back({"note", Tensor::FromStrings({2}, notes).value()});
  const auto answer = RunAndWait(*instance, Tensors(std::move(inputs)));
  ASSERT_TRUE(answer->Wait().ok()) << answer->Wait().ToString();
  const auto& outputs = answer->response().outputs;
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(outputs[0].name, "x");
  EXPECT_EQ(outputs[0].tensor.shape(), (Shape{2, 3}));
  EXPECT_THAT(outputs[0].tensor.As<float>(), ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(DecodeStrings(outputs[1].tensor).value(), ::testing::ElementsAre("", "two words"));
  EXPECT_GT(answer->response().timing.total_ns, 0);
}

TEST_P(InstanceTest, AnswersOnlyTheOutputsThatWereAskedFor) {
  const auto instance = Load("echo 1\ninput a FP32 n\ninput b FP32 n\n");
  std::vector<NamedTensor> inputs;
  inputs.push_back(Floats("a", {1}, {1}));
  inputs.push_back(Floats("b", {1}, {2}));
  Request request = Tensors(std::move(inputs));
  request.outputs = {"b"};
  const auto answer = RunAndWait(*instance, std::move(request));
  ASSERT_TRUE(answer->Wait().ok());
  ASSERT_EQ(answer->response().outputs.size(), 1U);
  EXPECT_EQ(answer->response().outputs[0].name, "b");
}

TEST_P(InstanceTest, NamesTheInputsThereAreWhenOneIsUnknown) {
  const auto instance = Load(kTensors);
  std::vector<NamedTensor> inputs;
  inputs.push_back(Floats("y", {1, 3}, {1, 2, 3}));
  const Status status = Fail(*instance, Tensors(std::move(inputs)));
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_EQ(status.message(),
            "the model has no input 'y'; its inputs: 'x' FP32 [batch, 3], 'note' BYTES [n] (optional)");
}

TEST_P(InstanceTest, NamesTheInputThatIsMissing) {
  const auto instance = Load(kTensors);
  const Status status = Fail(*instance, Tensors({}));
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("input 'x' is missing: wanted FP32 [batch, 3]"));
}

TEST_P(InstanceTest, RefusesAnInputGivenTwice) {
  const auto instance = Load(kTensors);
  std::vector<NamedTensor> inputs;
  inputs.push_back(Floats("x", {1, 3}, {1, 2, 3}));
  inputs.push_back(Floats("x", {1, 3}, {1, 2, 3}));
  EXPECT_THAT(Fail(*instance, Tensors(std::move(inputs))).message(), HasSubstr("input 'x' is given twice"));
}

TEST_P(InstanceTest, RefusesAWrongShapeAndAWrongDtype) {
  const auto instance = Load(kTensors);
  std::vector<NamedTensor> inputs;
  inputs.push_back(Floats("x", {1, 4}, {1, 2, 3, 4}));
  EXPECT_THAT(Fail(*instance, Tensors(std::move(inputs))).message(), HasSubstr("wanted FP32 [batch, 3]"));
  inputs.clear();
  const std::vector<int64_t> values = {1, 2, 3};
  inputs.push_back({"x", Tensor::FromValues<int64_t>(DType::kInt64, {1, 3}, values).value()});
  EXPECT_THAT(Fail(*instance, Tensors(std::move(inputs))).message(), HasSubstr("got dtype INT64"));
}

TEST_P(InstanceTest, RefusesAnOutputThatIsNotThere) {
  const auto instance = Load(kTensors);
  Request request = OneRow();
  request.outputs = {"nothing"};
  const Status status = Fail(*instance, std::move(request));
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("no output 'nothing'"));
}

TEST_P(InstanceTest, RefusesTextForATensorModelAndTensorsForATextModel) {
  EXPECT_EQ(Fail(*Load(kTensors), Text("hello")).code(), Code::kUnimplemented);
  EXPECT_EQ(Fail(*Load("echo 1\ngenerate\n"), Tensors({})).code(), Code::kUnimplemented);
}

TEST_P(InstanceTest, GeneratesText) {
  const auto instance = Load("echo 1\ngenerate\n");
  const auto answer = RunAndWait(*instance, Text("one two three"));
  ASSERT_TRUE(answer->Wait().ok());
  EXPECT_EQ(answer->response().text, "one two three");
  EXPECT_EQ(answer->response().finish, FinishReason::kStop);
  EXPECT_EQ(answer->response().prompt_tokens, 3U);
  EXPECT_EQ(answer->response().completion_tokens, 3U);
}

TEST_P(InstanceTest, StreamsTheTextItAlsoAnswersWhole) {
  const auto instance = Load("echo 1\ngenerate\n");
  Request request = Text("one two three");
  request.generation->stream = true;
  request.generation->max_tokens = 2;
  std::vector<std::string> pieces;
  auto answer = std::make_shared<Answer>();
  instance->Run(std::move(request), std::make_unique<AnswerSink>(answer, [&](std::string_view piece) {
                  pieces.emplace_back(piece);
                  return true;
                }));
  ASSERT_TRUE(answer->Wait().ok());
  EXPECT_THAT(pieces, ::testing::ElementsAre("one ", "two "));
  EXPECT_EQ(answer->response().text, "one two ");
  EXPECT_EQ(answer->response().finish, FinishReason::kLength);
}

TEST_P(InstanceTest, StopsWhenTheSinkRefusesMoreText) {
  const auto instance = Load("echo 1\ngenerate\n");
  Request request = Text("one two three");
  request.generation->stream = true;
  int pieces = 0;
  auto answer = std::make_shared<Answer>();
  instance->Run(std::move(request), std::make_unique<AnswerSink>(answer, [&](std::string_view) {
                  ++pieces;
                  return false;
                }));
  EXPECT_EQ(answer->Wait().code(), Code::kCancelled);
  EXPECT_EQ(pieces, 1);
}

TEST_P(InstanceTest, CancelsARunningCall) {
  const auto instance = Load("echo 1\ninput x FP32 batch 3\ndelay_us 60000000\n");
  Request request = OneRow();
  const auto token = std::make_shared<CancelToken>();
  request.cancel = token;
  auto answer = std::make_shared<Answer>();
  std::thread runner([&] { instance->Run(std::move(request), std::make_unique<AnswerSink>(answer)); });
  while (instance->stats().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  token->Cancel();
  EXPECT_EQ(answer->Wait().code(), Code::kCancelled);
  runner.join();
  EXPECT_EQ(instance->stats().running, 0U);
  EXPECT_EQ(instance->stats().calls_failed, 1U);
}

TEST_P(InstanceTest, CancelsFromInsideTheSink) {
  const auto instance = Load("echo 1\ngenerate\ndelay_us 100\n");
  std::string prompt;
  for (int i = 0; i < 10000; ++i) prompt += "word ";
  Request request = Text(prompt);
  request.generation->stream = true;
  const auto token = std::make_shared<CancelToken>();
  request.cancel = token;
  auto answer = std::make_shared<Answer>();
  instance->Run(std::move(request), std::make_unique<AnswerSink>(answer, [&](std::string_view) {
                  token->Cancel();
                  return true;
                }));
  EXPECT_EQ(answer->Wait().code(), Code::kCancelled);
}

TEST_P(InstanceTest, ReportsADeadlineThatPassesWhileTheModelRuns) {
  const auto instance = Load("echo 1\ninput x FP32 batch 3\ndelay_us 60000000\n");
  Request request = OneRow();
  request.deadline_ns = Clock::Real().MonotonicNs() + 5'000'000;
  EXPECT_EQ(Fail(*instance, std::move(request)).code(), Code::kDeadlineExceeded);
}

TEST_P(InstanceTest, DoesNotAskTheModelWhenItIsTooLateOrCancelledAlready) {
  const auto instance = Load("echo 1\ninput x FP32 batch 3\ndelay_us 60000000\n");
  Request late = OneRow();
  late.deadline_ns = 1;
  EXPECT_EQ(Fail(*instance, std::move(late)).code(), Code::kDeadlineExceeded);
  Request cancelled = OneRow();
  cancelled.cancel = std::make_shared<CancelToken>();
  cancelled.cancel->Cancel();
  EXPECT_EQ(Fail(*instance, std::move(cancelled)).code(), Code::kCancelled);
}

TEST_P(InstanceTest, TheDestructorWaitsForRunningCalls) {
  auto instance = Load("echo 1\ninput x FP32 batch 3\ndelay_us 20000\n");
  auto answer = std::make_shared<Answer>();
  std::thread runner([&, raw = instance.get()] { raw->Run(OneRow(), std::make_unique<AnswerSink>(answer)); });
  while (instance->stats().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  instance.reset();
  EXPECT_EQ(answer->times(), 1);
  EXPECT_TRUE(answer->Wait().ok());
  runner.join();
}

TEST_P(InstanceTest, KeepsItsPluginOpenWhenTheRegistryIsGone) {
  const auto instance = Load(kTensors);
  registry_.reset();
  EXPECT_TRUE(RunAndWait(*instance, OneRow())->Wait().ok());
}

TEST_P(InstanceTest, AnswersManyThreadsAtOnceAndCountsThem) {
  const auto instance = Load(kTensors);
  constexpr int kThreads = 8;
  constexpr int kCalls = 200;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        std::vector<NamedTensor> inputs;
        const auto value = static_cast<float>(t * kCalls + i);
        inputs.push_back(Floats("x", {1, 3}, {value, value, value}));
        const auto answer = RunAndWait(*instance, Tensors(std::move(inputs)));
        if (answer->Wait().ok() && answer->response().outputs[0].tensor.As<float>()[2] == value) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, kThreads * kCalls);
  EXPECT_EQ(instance->stats().calls_ok, static_cast<uint64_t>(kThreads * kCalls));
  EXPECT_EQ(instance->stats().running, 0U);
}

TEST_P(InstanceTest, SaysWhatIsWrongWithTheModelFile) {
  const Status corrupt = TryLoad("echo 1\ninput x FP99 n\n").status();
  EXPECT_EQ(corrupt.code(), Code::kDataLoss);
  EXPECT_THAT(corrupt.message(), HasSubstr("line 2: no such dtype"));
  LoadOptions load;
  load.model_path = folder_.path() / "not_there.txt";
  EXPECT_EQ(registry_->Load("echo", load).status().code(), Code::kNotFound);
}

INSTANTIATE_TEST_SUITE_P(Isolation, InstanceTest, ::testing::Values(Isolation::kNone, Isolation::kProcess),
                         [](const auto& param) {
                           return param.param == Isolation::kNone ? "InProcess" : "InWorker";
                         });

}  // namespace
}  // namespace mlos::plugin
