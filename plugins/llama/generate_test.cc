// SPDX-License-Identifier: Apache-2.0
// Text generation, end to end through the SMI table, against what the model's own framework answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <atomic>
#include <chrono>
#include <future>
#include <set>
#include <thread>

#include "call.h"
#include "gguf_header.h"
#include "testing/harness.h"

namespace mlos::llama {
namespace {

using testing::HasSubstr;

const std::string kModel = FixturePath("addition/model-f16.gguf");

struct Golden {
  std::string prompt;
  std::string text;
  std::vector<int32_t> ids;
};

class GenerateTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    simdjson::dom::parser parser;
    for (simdjson::dom::element item : parser.load(FixturePath("addition/golden.json"))["completions"]) {
      Golden golden{
          std::string(std::string_view(item["prompt"])), std::string(std::string_view(item["text"])), {}};
      for (int64_t id : item["ids"].get_array()) golden.ids.push_back(static_cast<int32_t>(id));
      goldens.push_back(std::move(golden));
    }
    ASSERT_GE(goldens.size(), 10u);
  }
  static void TearDownTestSuite() { goldens.clear(); }
  // A text that goes on for a while: the model counts.
  static Ask LongAsk() { return {.prompt = "count to 30:"}; }

  static inline std::vector<Golden> goldens;
  TestModel model{kModel};
};

TEST_F(GenerateTest, GreedyTextEqualsTheFrameworks) {
  ASSERT_TRUE(model.loaded()) << model.message();
  for (const Golden& golden : goldens) {
    const auto answer = model.Generate({.prompt = golden.prompt});
    EXPECT_EQ(answer->code, SMI_OK) << answer->message;
    EXPECT_EQ(answer->text, golden.text) << golden.prompt;
    EXPECT_EQ(answer->result.finish, SMI_FINISH_STOP);
    EXPECT_EQ(answer->result.prompt_tokens, golden.ids.size());
  }
}

TEST_F(GenerateTest, QuantizedModelGivesTheSameGreedyText) {
  TestModel quantized(FixturePath("addition/model-q8_0.gguf"));
  for (const Golden& golden : goldens) {
    EXPECT_EQ(quantized.Generate({.prompt = golden.prompt})->text, golden.text) << golden.prompt;
  }
}

TEST_F(GenerateTest, TokenizesAsTheFramework) {
  for (const Golden& golden : goldens) EXPECT_EQ(model.Tokenize(golden.prompt), golden.ids) << golden.prompt;
}

TEST_F(GenerateTest, CountsTokensAndTellsThemWithTheText) {
  const auto answer = model.Generate(LongAsk());
  EXPECT_GT(answer->pieces.size(), 10u);
  EXPECT_EQ(answer->told_tokens, answer->result.completion_tokens);
  EXPECT_GT(answer->result.prompt_ns, 0u);
  EXPECT_GT(answer->result.eval_ns, 0u);
  EXPECT_EQ(model.stats().tokens_generated, answer->result.completion_tokens);
  EXPECT_EQ(model.stats().tokens_prompt, answer->result.prompt_tokens);
  EXPECT_EQ(model.stats().calls_ok, 1u);
  EXPECT_EQ(model.stats().running, 0u);
}

TEST_F(GenerateTest, EndsWithLengthAtMaxTokens) {
  Ask ask = LongAsk();
  ask.max_tokens = 3;
  const auto answer = model.Generate(ask);
  EXPECT_EQ(answer->code, SMI_OK);
  EXPECT_EQ(answer->result.finish, SMI_FINISH_LENGTH);
  EXPECT_EQ(answer->result.completion_tokens, 3u);
}

TEST_F(GenerateTest, SameSeedSameTextAnotherSeedAnother) {
  Ask ask = LongAsk();
  ask.temperature = 3;
  ask.max_tokens = 40;
  ask.seed = 7;
  const std::string first = model.Generate(ask)->text;
  EXPECT_EQ(model.Generate(ask)->text, first);
  ask.seed = 8;
  EXPECT_NE(model.Generate(ask)->text, first);
  ask.seed = 0;  // random; two may agree by chance, six do not
  std::set<std::string> texts;
  for (int i = 0; i < 6; ++i) texts.insert(model.Generate(ask)->text);
  EXPECT_GT(texts.size(), 1u);
}

TEST_F(GenerateTest, RepeatPenaltyChangesGreedyText) {
  Ask ask = LongAsk();
  const std::string plain = model.Generate(ask)->text;
  ask.repeat_penalty = 10;  // the model is sure of itself
  EXPECT_NE(model.Generate(ask)->text, plain);
}

TEST_F(GenerateTest, StopStringAcrossPiecesEndsTheTextBeforeIt) {
  const std::string whole = model.Generate(LongAsk())->text;
  ASSERT_GT(whole.size(), 12u);
  const std::string stop = whole.substr(5, 6);
  Ask ask = LongAsk();
  ask.stop = {"never said", stop};
  const auto answer = model.Generate(ask);
  EXPECT_EQ(answer->text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(answer->result.finish, SMI_FINISH_STOP);
  EXPECT_LT(answer->result.completion_tokens, 30u);
}

TEST_F(GenerateTest, HeldBackBeginningOfAStopStringIsShownAtTheEnd) {
  const std::string whole = model.Generate(LongAsk())->text;
  Ask ask = LongAsk();
  ask.stop = {whole.substr(whole.size() - 3) + "!"};
  const auto answer = model.Generate(ask);
  EXPECT_EQ(answer->text, whole);
  EXPECT_EQ(answer->told_tokens, answer->result.completion_tokens);
}

TEST_F(GenerateTest, EightAtOnceAnswerAsEachAlone) {
  TestModel wide(kModel, {.max_sequences = 3});  // so that some wait for a sequence
  std::vector<std::unique_ptr<Answer>> answers;
  for (size_t i = 0; i < 8; ++i) answers.push_back(wide.Start({.prompt = goldens[i].prompt}));
  for (size_t i = 0; i < 8; ++i) {
    answers[i]->Wait();
    EXPECT_EQ(answers[i]->code, SMI_OK) << answers[i]->message;
    EXPECT_EQ(answers[i]->text, goldens[i].text) << goldens[i].prompt;
  }
  EXPECT_EQ(wide.stats().calls_ok, 8u);
}

TEST_F(GenerateTest, ALongPromptDoesNotDisturbARunningCall) {
  TestModel small_steps(kModel, {.max_sequences = 4, .options = {{"batch", "16"}}});
  const std::string alone = small_steps.Generate(LongAsk())->text;
  std::string lengthy;
  for (int i = 0; i < 30; ++i) lengthy += "1+1=2 ";
  lengthy += "23+45=";
  const std::string lengthy_alone = small_steps.Generate({.prompt = lengthy, .max_tokens = 8})->text;
  auto running = small_steps.Start(LongAsk());
  auto other = small_steps.Start({.prompt = lengthy, .max_tokens = 8});
  running->Wait();
  other->Wait();
  EXPECT_EQ(running->text, alone);
  EXPECT_EQ(other->text, lengthy_alone);
}

TEST_F(GenerateTest, CallsBeyondTheQueueAreTurnedAway) {
  TestModel narrow(kModel, {.max_sequences = 1, .options = {{"max_queue", "1"}}});
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::atomic<bool> begun{false};
  Ask blocking = LongAsk();
  blocking.on_text = [&, gone](int) {
    begun = true;
    gone.wait();
    return SMI_OK;
  };
  auto first = narrow.Start(blocking);
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto waiting = narrow.Start({.prompt = "23+45="});
  auto refused = narrow.Start({.prompt = "23+45="});
  EXPECT_EQ(waiting->accepted, SMI_OK);
  EXPECT_EQ(refused->accepted, SMI_UNAVAILABLE);
  EXPECT_THAT(refused->message, HasSubstr("retry later"));
  go.set_value();
  first->Wait();
  waiting->Wait();
  EXPECT_EQ(waiting->text, "68");
  EXPECT_GT(waiting->result.queue_ns, 0u);
}

TEST_F(GenerateTest, CancelEndsARunningAndAWaitingCall) {
  TestModel narrow(kModel, {.max_sequences = 1});
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::atomic<bool> begun{false};
  Ask blocking = LongAsk();
  blocking.on_text = [&, gone](int) {
    begun = true;
    gone.wait();
    return SMI_OK;
  };
  auto running = narrow.Start(blocking);
  auto waiting = narrow.Start(LongAsk());
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  running->Cancel(Plugin().api, narrow.get());
  waiting->Cancel(Plugin().api, narrow.get());
  go.set_value();
  running->Wait();
  waiting->Wait();
  EXPECT_EQ(running->code, SMI_CANCELLED);
  EXPECT_EQ(running->result.finish, SMI_FINISH_CANCELLED);
  EXPECT_EQ(running->pieces.size(), 1u);
  EXPECT_EQ(waiting->code, SMI_CANCELLED);
  EXPECT_EQ(waiting->result.completion_tokens, 0u);
  EXPECT_EQ(narrow.stats().calls_failed, 2u);
  EXPECT_EQ(narrow.Generate({.prompt = "23+45="})->text, "68");  // and the model goes on
}

TEST_F(GenerateTest, ReceiverThatRefusesTextEndsTheCall) {
  Ask ask = LongAsk();
  ask.on_text = [](int n) { return n == 2 ? SMI_CANCELLED : SMI_OK; };
  const auto answer = model.Generate(ask);
  EXPECT_EQ(answer->code, SMI_CANCELLED);
  EXPECT_EQ(answer->pieces.size(), 2u);
}

TEST_F(GenerateTest, DeadlineEndsARunningCall) {
  Ask ask = LongAsk();
  ask.deadline_ns = NowNs() + 50'000'000;
  ask.on_text = [&](int) {
    while (NowNs() < ask.deadline_ns) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return SMI_OK;
  };
  const auto answer = model.Generate(ask);
  EXPECT_EQ(answer->code, SMI_DEADLINE_EXCEEDED);
  EXPECT_EQ(answer->pieces.size(), 1u);
  EXPECT_THAT(answer->message, HasSubstr("deadline"));
}

TEST_F(GenerateTest, DeadlineInThePastEndsACallBeforeItStarts) {
  const auto answer = model.Generate({.prompt = "23+45=", .deadline_ns = 1});
  EXPECT_EQ(answer->code, SMI_DEADLINE_EXCEEDED);
  EXPECT_TRUE(answer->text.empty());
}

TEST_F(GenerateTest, FullContextEndsWithLength) {
  TestModel narrow(kModel, {.context_length = 16});
  const auto answer = narrow.Generate(LongAsk());
  EXPECT_EQ(answer->code, SMI_OK);
  EXPECT_EQ(answer->result.finish, SMI_FINISH_LENGTH);
  EXPECT_EQ(answer->result.prompt_tokens + answer->result.completion_tokens, 16u);
}

TEST_F(GenerateTest, PromptLongerThanTheContextIsRefusedWithBothNumbers) {
  TestModel narrow(kModel, {.context_length = 16});
  const auto answer = narrow.Generate({.prompt = std::string(100, '1')});
  EXPECT_EQ(answer->accepted, SMI_BAD_INPUT);
  EXPECT_THAT(answer->message, HasSubstr("101 tokens"));
  EXPECT_THAT(answer->message, HasSubstr("holds 16"));
}

TEST_F(GenerateTest, EverySequenceHasItsWholeContext) {
  TestModel wide(kModel, {.context_length = 64, .max_sequences = 4});
  std::vector<std::unique_ptr<Answer>> answers;
  Ask ask = LongAsk();
  ask.temperature = 50;  // goes on until the context is full, or nearly always
  for (int i = 0; i < 4; ++i) answers.push_back(wide.Start(ask));
  for (auto& answer : answers) {
    answer->Wait();
    EXPECT_EQ(answer->code, SMI_OK) << answer->message;
  }
}

TEST_F(GenerateTest, ParametersOutOfRangeAreNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [ask, name] : std::vector<std::pair<Ask, std::string>>{
           {{.prompt = "1", .temperature = -1}, "temperature"},
           {{.prompt = "1", .temperature = nan}, "temperature"},
           {{.prompt = "1", .top_p = 0}, "top_p"},
           {{.prompt = "1", .top_p = nan}, "top_p"},
           {{.prompt = "1", .min_p = 1}, "min_p"},
           {{.prompt = "1", .repeat_penalty = 0}, "repeat_penalty"},
           {{.prompt = "1", .top_k = -1}, "top_k"},
           {{.prompt = "1", .stop = {""}}, "stop string"},
       }) {
    const auto answer = model.Generate(ask);
    EXPECT_EQ(answer->accepted, SMI_INVALID_ARGUMENT);
    EXPECT_THAT(answer->message, HasSubstr(name));
  }
}

TEST_F(GenerateTest, UnloadWhileACallRunsIsRefused) {
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  Ask blocking = LongAsk();
  blocking.on_text = [gone](int) {
    gone.wait();
    return SMI_OK;
  };
  auto running = model.Start(blocking);
  smi_error error{};
  error.struct_size = sizeof error;
  EXPECT_EQ(Plugin().api->unload(model.get(), &error), SMI_WRONG_STATE);
  EXPECT_THAT(error.message, HasSubstr("running"));
  EXPECT_EQ(Plugin().api->close(Plugin().plugin, &error), SMI_WRONG_STATE);
  go.set_value();
  running->Wait();
  EXPECT_EQ(running->code, SMI_OK);
}

TEST_F(GenerateTest, LanguageModelTakesNoTensors) {
  EXPECT_EQ(model.Embed({"23+45="}).code, SMI_UNSUPPORTED);
  EXPECT_EQ(model.info().n_inputs, 0u);
}

TEST_F(GenerateTest, DescribesTheModel) {
  const smi_model_info& info = model.info();
  EXPECT_EQ(std::string(info.architecture.data, info.architecture.size), "llama");
  GgufHeader header;
  ASSERT_TRUE(GgufHeader::ReadFile(kModel, &header).ok());
  uint64_t parameters = 0;
  for (const GgufTensor& t : header.tensors()) {
    parameters += static_cast<uint64_t>(t.dims[0] * t.dims[1] * t.dims[2] * t.dims[3]);
  }
  EXPECT_EQ(info.parameter_count, parameters);
  EXPECT_TRUE(info.capabilities & SMI_CAP_GENERATE);
  EXPECT_TRUE(info.capabilities & SMI_CAP_CHAT_TEMPLATE);
  EXPECT_FALSE(info.capabilities & SMI_CAP_EXECUTE);
  EXPECT_GT(info.context_length, 0u);
  EXPECT_THAT(std::string(info.chat_template.data, info.chat_template.size), HasSubstr("<|im_start|>"));
}

}  // namespace
}  // namespace mlos::llama
