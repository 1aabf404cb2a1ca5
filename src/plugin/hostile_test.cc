// SPDX-License-Identifier: Apache-2.0
// The host with a plugin that lies (tests/conformance/smi/hostile_plugin.c): every lie becomes one clear error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/testing/test_plugins.h"

namespace mlos::plugin {
namespace {

using ::testing::HasSubstr;

class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    OpenOptions options;
    options.log = [this](LogLevel, const std::string& plugin, std::string_view message) {
      const std::lock_guard lock(mu_);
      log_ += plugin + ": " + std::string(message) + "\n";
      logged_.notify_all();
    };
    auto registry = PluginRegistry::Open({HostileDir("hostile")}, options, nullptr);
    ASSERT_TRUE(registry.ok());
    registry_ = std::move(registry).value();
  }

  Result<std::unique_ptr<Instance>> TryLoad(const std::string& lie) {
    LoadOptions load;
    load.options = {{"lie", lie}};
    return registry_->Load("hostile", load);
  }
  std::shared_ptr<Answer> Ask(const std::string& lie) {
    auto instance = TryLoad(lie);
    EXPECT_TRUE(instance.ok()) << instance.status().ToString();
    Request request;
    request.inputs.push_back(Floats("x", {1}, {1}));
    auto answer = RunAndWait(**instance, std::move(request));
    instance->reset();
    EXPECT_EQ(answer->times(), 1);
    return answer;
  }
  std::string log() {
    const std::lock_guard lock(mu_);
    return log_;
  }
  void WaitForLog(const std::string& part) {
    std::unique_lock lock(mu_);
    logged_.wait(lock, [&] { return log_.find(part) != std::string::npos; });
  }

  std::mutex mu_;
  std::condition_variable logged_;
  std::string log_;
  std::unique_ptr<PluginRegistry> registry_;
};

TEST_F(HostileTest, TellsTheTruthWhenItDoesNotLie) {
  const auto answer = Ask("");
  ASSERT_TRUE(answer->Wait().ok()) << answer->Wait().ToString();
  EXPECT_THAT(answer->response().outputs[0].tensor.As<float>(), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(DecodeStrings(answer->response().outputs[1].tensor).value(), ::testing::ElementsAre("a", "b"));
  EXPECT_EQ(log(), "");
}

TEST_F(HostileTest, PutsPartsTogether) {
  const auto answer = Ask("parts");
  ASSERT_TRUE(answer->Wait().ok()) << answer->Wait().ToString();
  EXPECT_EQ(answer->response().outputs[0].tensor.shape(), (Shape{2, 2}));
  EXPECT_THAT(answer->response().outputs[0].tensor.As<float>(), ::testing::ElementsAre(1, 2, 3, 4));
}

struct Lie {
  const char* how;
  const char* says;
};
class HostileOutputTest : public HostileTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(HostileOutputTest, IsAnInternalErrorThatNamesThePlugin) {
  const Status status = Ask(GetParam().how)->Wait();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr(GetParam().says));
  EXPECT_THAT(status.message(), HasSubstr("plugin 'hostile'"));
}

INSTANTIATE_TEST_SUITE_P(
    Lies, HostileOutputTest,
    ::testing::Values(
        Lie{"dtype", "output 'y' is declared as FP32 [?, 2], but came as INT32 [2, 2]"},
        Lie{"unknown_dtype", "unknown dtype 77"}, Lie{"size_small", "has 16 bytes, but the plugin says 8"},
        Lie{"size_huge", "but the plugin says 18446744073709551615"},
        Lie{"shape_fixed", "but came as FP32 [1, 4]"}, Lie{"shape_negative", "negative dimension"},
        Lie{"shape_overflow", "2^63-1"}, Lie{"rank", "output 'y'"}, Lie{"rank_huge", "rank 4294967295"},
        Lie{"shape_null", "has no shape"}, Lie{"data_null", "has no data"},
        Lie{"memory", "is not in host memory"}, Lie{"name", "output 'z' was not asked for"},
        Lie{"name_null", "output '' was not asked for"}, Lie{"struct_small", "smaller than SMI 1.0"},
        Lie{"string_length", "output 's'"}, Lie{"string_short", "output 's'"},
        Lie{"null_tensor", "an output is missing"}, Lie{"no_output", "output 'y' did not come"},
        Lie{"twice", "output 'y' came twice"}, Lie{"parts_gap", "part 3 came after part 0"},
        Lie{"fail_unfilled", "no message"}, Lie{"refuse_unfilled", "no message"},
        Lie{"refuse_unknown", "a code that does not exist"}),
    [](const auto& param) { return std::string(param.param.how); });

class HostileLateTest : public HostileTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(HostileLateTest, IsIgnoredAndLogged) {
  const auto answer = Ask(GetParam().how);
  EXPECT_TRUE(answer->Wait().ok()) << answer->Wait().ToString();
  EXPECT_THAT(log(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Lies, HostileLateTest,
    ::testing::Values(Lie{"done_twice", "done() was called after done(); ignored"},
                      Lie{"output_after_done", "output() was called after done(); ignored"},
                      Lie{"done_then_refuse", "done() was called after done(); ignored"}),
    [](const auto& param) { return std::string(param.param.how); });

TEST_F(HostileTest, IgnoresASecondDoneThatComesWhenTheModelIsGone) {
  EXPECT_TRUE(Ask("async_done_twice")->Wait().ok());
  WaitForLog("second done() returned");
  EXPECT_THAT(log(), HasSubstr("hostile: done() was called after done(); ignored"));
}

TEST_F(HostileTest, DoesNotGiveTheSameMemoryTwice) { EXPECT_TRUE(Ask("reserve_overrun")->Wait().ok()); }

TEST_F(HostileTest, RunsOneCallAtATimeWhenTheModelAsksForIt) {
  EXPECT_TRUE(Ask("one_at_a_time")->Wait().ok());
}

TEST_F(HostileTest, TakesTextOnlyUntilDone) {
  const auto instance = TryLoad("");
  ASSERT_TRUE(instance.ok());
  Request request;
  request.generation.emplace();
  const auto answer = RunAndWait(**instance, std::move(request));
  ASSERT_TRUE(answer->Wait().ok());
  EXPECT_EQ(answer->response().text, "hello");
  EXPECT_EQ(answer->response().finish, FinishReason::kNone);
  EXPECT_THAT(log(), HasSubstr("text() was called after done()"));
}

TEST_F(HostileTest, WantsAResultWithTheText) {
  const auto instance = TryLoad("no_result");
  Request request;
  request.generation.emplace();
  EXPECT_EQ(RunAndWait(**instance, std::move(request))->Wait().code(), Code::kInternal);
}

TEST_F(HostileTest, CountsCallsItself) {
  const auto instance = TryLoad("");
  EXPECT_EQ((*instance)->stats().calls_ok, 0U);
}

class HostileDescriptionTest : public HostileTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(HostileDescriptionTest, MakesTheLoadFail) {
  const Status status = TryLoad(GetParam().how).status();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr(GetParam().says));
  EXPECT_THAT(status.message(), HasSubstr("plugin 'hostile'"));
}

INSTANTIATE_TEST_SUITE_P(
    Lies, HostileDescriptionTest,
    ::testing::Values(Lie{"load_null", "load gave no model"}, Lie{"describe_null", "nothing"},
                      Lie{"describe_short", "less than SMI 1.0"},
                      Lie{"describe_twins", "two tensors named 'x'"},
                      Lie{"describe_dtype", "unknown dtype 99"}, Lie{"describe_rank", "rank 1000000"},
                      Lie{"describe_shape", "[-7]"}, Lie{"describe_nameless", "without a name"},
                      Lie{"describe_stunted", "smaller than in SMI 1.0"}, Lie{"describe_count", "4294967295"},
                      Lie{"describe_null_inputs", "cannot be read"},
                      Lie{"describe_batch", "batch dimension 5"}),
    [](const auto& param) { return std::string(param.param.how); });

}  // namespace
}  // namespace mlos::plugin
