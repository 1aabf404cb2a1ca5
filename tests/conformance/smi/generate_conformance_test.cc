// SPDX-License-Identifier: Apache-2.0
// generate(): pieces of text, limits, stop strings, cancelling, garbage.
#include <atomic>
#include <cmath>
#include <thread>

#include "suite.h"

namespace smi_test {
namespace {

constexpr std::string_view kPrompt = "12+34= and 56+78= and one two three";

std::string Joined(const Outcome& outcome) {
  std::string out;
  for (const std::string& piece : outcome.pieces) out += piece;
  return out;
}

TEST_F(GenerateConformance, AnswersInPieces) {
  const Outcome outcome = model_.Generate(kPrompt);
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  EXPECT_EQ(Joined(outcome), outcome.text);
  EXPECT_GT(outcome.result.prompt_tokens, 0U);
  EXPECT_LE(outcome.result.completion_tokens, 8U);
  EXPECT_THAT(outcome.result.finish, ::testing::AnyOf(SMI_FINISH_STOP, SMI_FINISH_LENGTH));
}

TEST_F(GenerateConformance, AnswersTheSameTextAgain) {
  EXPECT_EQ(model_.Generate(kPrompt).text, model_.Generate(kPrompt).text);
  const auto warm = [](smi_generate_params* p) {
    p->temperature = 1;
    p->seed = 42;
  };
  EXPECT_EQ(model_.Generate(kPrompt, warm).text, model_.Generate(kPrompt, warm).text);
}

TEST_F(GenerateConformance, StopsAtTheLimitOfTokens) {
  const Outcome outcome = model_.Generate(kPrompt, [](smi_generate_params* p) { p->max_tokens = 1; });
  ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
  EXPECT_LE(outcome.result.completion_tokens, 1U);
}

TEST_F(GenerateConformance, StopsBeforeAStopString) {
  const Outcome whole = model_.Generate(kPrompt);
  ASSERT_EQ(whole.code, SMI_OK);
  if (whole.text.size() < 2) GTEST_SKIP() << "the model says too little";
  // Inside a piece or across two of them.
  for (size_t at = 0; at + 1 < whole.text.size(); ++at) {
    const std::string word = whole.text.substr(at, 2);
    const smi_str stop = Borrow(std::string_view(word));
    const Outcome outcome = model_.Generate(kPrompt, [&](smi_generate_params* p) {
      p->stop = &stop;
      p->n_stop = 1;
    });
    ASSERT_EQ(outcome.code, SMI_OK) << outcome.message;
    EXPECT_EQ(outcome.text, whole.text.substr(0, whole.text.find(word))) << "stop string '" << word << "'";
    EXPECT_EQ(outcome.result.finish, SMI_FINISH_STOP);
  }
}

TEST_F(GenerateConformance, CopiesItsParameters) {
  const std::string expected = model_.Generate(kPrompt).text;
  Recorder recorder;
  std::string prompt(kPrompt);
  smi_generate_params params = Greedy(prompt);
  smi_text_sink sink = recorder.text_sink();
  smi_error error = NoError();
  const smi_code accepted = model_.api().generate(model_.get(), &params, &sink, &recorder.call, &error);
  std::fill(prompt.begin(), prompt.end(), '#');
  std::memset(static_cast<void*>(&params), 0xEE, sizeof params);
  std::memset(static_cast<void*>(&sink), 0xEE, sizeof sink);
  EXPECT_EQ(recorder.Wait(accepted, error).text, expected);
}

TEST_F(GenerateConformance, TakesStructsFromALaterVersion) {
  Recorder recorder;
  const Grown<smi_generate_params> params(Greedy(kPrompt));
  const Grown<smi_text_sink> sink(recorder.text_sink());
  smi_error error = NoError();
  const smi_code accepted =
      model_.api().generate(model_.get(), &params.value, &sink.value, &recorder.call, &error);
  EXPECT_EQ(recorder.Wait(accepted, error).text, model_.Generate(kPrompt).text);
}

TEST_F(GenerateConformance, AnswersMessagesIfItHasATemplate) {
  const smi_message message = {smi_text("user"), Borrow(kPrompt)};
  const Outcome outcome = model_.Generate("", [&](smi_generate_params* p) {
    p->messages = &message;
    p->n_messages = 1;
  });
  if (model_.can(SMI_CAP_CHAT_TEMPLATE)) {
    EXPECT_EQ(outcome.code, SMI_OK) << outcome.message;
  } else {
    EXPECT_THAT(outcome.code, ::testing::AnyOf(SMI_UNSUPPORTED, SMI_INVALID_ARGUMENT)) << outcome.message;
  }
}

struct BadParameter {
  const char* what;
  void (*change)(smi_generate_params* params);
};
class BadParameterConformance : public GenerateConformance,
                                public ::testing::WithParamInterface<BadParameter> {};

TEST_P(BadParameterConformance, IsRefusedAndTheModelGoesOn) {
  const Outcome outcome = model_.Generate(kPrompt, GetParam().change);
  EXPECT_EQ(outcome.code, SMI_INVALID_ARGUMENT) << outcome.message;
  EXPECT_EQ(model_.Generate(kPrompt).code, SMI_OK);
}

INSTANTIATE_TEST_SUITE_P(
    Parameters, BadParameterConformance,
    ::testing::Values(
        BadParameter{"temperature_negative", [](smi_generate_params* p) { p->temperature = -1; }},
        BadParameter{"temperature_nan", [](smi_generate_params* p) { p->temperature = NAN; }},
        BadParameter{"top_p_zero", [](smi_generate_params* p) { p->top_p = 0; }},
        BadParameter{"top_p_large", [](smi_generate_params* p) { p->top_p = 1.5F; }},
        BadParameter{"top_p_nan", [](smi_generate_params* p) { p->top_p = NAN; }},
        BadParameter{"min_p_one", [](smi_generate_params* p) { p->min_p = 1; }},
        BadParameter{"min_p_negative", [](smi_generate_params* p) { p->min_p = -0.1F; }},
        BadParameter{"repeat_penalty_zero", [](smi_generate_params* p) { p->repeat_penalty = 0; }},
        BadParameter{"repeat_penalty_nan", [](smi_generate_params* p) { p->repeat_penalty = NAN; }},
        BadParameter{"top_k_negative", [](smi_generate_params* p) { p->top_k = -1; }},
        BadParameter{"prompt_null", [](smi_generate_params* p) { p->prompt.data = nullptr; }},
        BadParameter{"messages_null", [](smi_generate_params* p) { p->n_messages = 2; }},
        BadParameter{"stop_null", [](smi_generate_params* p) { p->n_stop = 2; }},
        BadParameter{"struct_too_small", [](smi_generate_params* p) { p->struct_size -= 8; }}),
    [](const auto& param) { return std::string(param.param.what); });

TEST_F(GenerateConformance, RefusesASinkItCannotUse) {
  Recorder recorder;
  smi_text_sink sink = recorder.text_sink();
  const smi_generate_params params = Greedy(kPrompt);
  smi_error error = NoError();
  EXPECT_EQ(model_.api().generate(model_.get(), &params, nullptr, nullptr, &error), SMI_INVALID_ARGUMENT);
  EXPECT_EQ(model_.api().generate(model_.get(), nullptr, &sink, nullptr, nullptr), SMI_INVALID_ARGUMENT);
  sink.struct_size -= 8;
  EXPECT_EQ(model_.api().generate(model_.get(), &params, &sink, nullptr, &error), SMI_INVALID_ARGUMENT);
  sink = recorder.text_sink();
  sink.text = nullptr;
  EXPECT_EQ(model_.api().generate(model_.get(), &params, &sink, nullptr, &error), SMI_INVALID_ARGUMENT);
}

TEST_F(GenerateConformance, StopsWhenTheSinkRefuses) {
  Recorder recorder;
  recorder.on_piece = [] { return static_cast<smi_code>(SMI_UNAVAILABLE); };
  const Outcome outcome = model_.Generate(kPrompt, {}, &recorder);
  if (outcome.pieces.empty()) GTEST_SKIP() << "the model says nothing";
  EXPECT_NE(outcome.code, SMI_OK);
  EXPECT_EQ(outcome.pieces.size(), 1U);
}

TEST_F(GenerateConformance, IsCancelledFromInsideTheSink) {
  if (!model_.can(SMI_CAP_CANCEL)) GTEST_SKIP() << "the model cannot cancel";
  Recorder recorder;
  recorder.on_piece = [&] {
    recorder.Cancel(model_.api(), model_.get());
    return SMI_OK;
  };
  const Outcome outcome =
      model_.Generate(kPrompt, [](smi_generate_params* p) { p->max_tokens = 0; }, &recorder);
  // A model may have come to its end with the first piece.
  EXPECT_THAT(outcome.code, ::testing::AnyOf(SMI_CANCELLED, SMI_OK)) << outcome.message;
  EXPECT_LE(outcome.pieces.size(), 4U);
}

TEST_F(GenerateConformance, DoesNotUnloadWhileACallRuns) {
  Recorder recorder;
  smi_code unloaded = SMI_WRONG_STATE;
  bool asked = false;
  recorder.on_piece = [&] {
    if (std::exchange(asked, true)) return SMI_OK;
    std::thread other([&] {
      smi_error error = NoError();
      unloaded = model_.api().unload(model_.get(), &error);
    });
    other.join();
    return SMI_OK;
  };
  EXPECT_EQ(model_.Generate(kPrompt, {}, &recorder).code, SMI_OK);
  EXPECT_EQ(unloaded, SMI_WRONG_STATE);
}

TEST_F(GenerateConformance, TakesADeadlineInThePastForWhatItIs) {
  const Outcome outcome = model_.Generate(kPrompt, [](smi_generate_params* p) { p->deadline_ns = 1; });
  EXPECT_EQ(outcome.code, SMI_DEADLINE_EXCEEDED) << outcome.message;
}

TEST_F(GenerateConformance, CountsCallsAndTokens) {
  const smi_model_stats before = model_.stats();
  const Outcome outcome = model_.Generate(kPrompt);
  ASSERT_EQ(outcome.code, SMI_OK);
  const smi_model_stats after = model_.stats();
  EXPECT_EQ(after.calls_ok, before.calls_ok + 1);
  EXPECT_EQ(after.tokens_prompt, before.tokens_prompt + outcome.result.prompt_tokens);
  EXPECT_EQ(after.tokens_generated, before.tokens_generated + outcome.result.completion_tokens);
  EXPECT_EQ(after.running, 0U);
}

TEST_F(GenerateConformance, AnswersCallsFromSeveralThreads) {
  if (!model_.can(SMI_CAP_CONCURRENT)) GTEST_SKIP() << "the model takes one call at a time";
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 4; ++i) good += model_.Generate(kPrompt).code == SMI_OK ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 12);
}

TEST_F(GenerateConformance, CountsTheTokensOfAText) {
  if (model_.api().tokenize == nullptr) GTEST_SKIP() << "the plugin has no tokenize()";
  uint64_t n = 0;
  smi_error error = NoError();
  ASSERT_EQ(model_.api().tokenize(model_.get(), Borrow(kPrompt), nullptr, 0, &n, &error), SMI_OK)
      << error.message;
  EXPECT_GT(n, 0U);
  std::vector<int32_t> ids(n + 1, -77);
  uint64_t again = 0;
  ASSERT_EQ(model_.api().tokenize(model_.get(), Borrow(kPrompt), ids.data(), n - 1, &again, &error), SMI_OK);
  EXPECT_EQ(again, n);
  EXPECT_EQ(ids[n - 1], -77) << "more ids than there was room for";
  ASSERT_EQ(model_.api().tokenize(model_.get(), Borrow(kPrompt), ids.data(), n, &again, &error), SMI_OK);
  EXPECT_NE(ids[n - 1], -77);
}

}  // namespace
}  // namespace smi_test
