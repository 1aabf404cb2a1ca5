// SPDX-License-Identifier: Apache-2.0
// The parts of axon that are pure: numbers for people, progress lines, example requests, answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "axon/answer.h"
#include "axon/format.h"
#include "axon/progress.h"
#include "axon/registration.h"

namespace mlos::axon {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(FormatTest, TimesAndTables) {
  EXPECT_EQ(Seconds(0.44), "0.4 s");
  EXPECT_EQ(Seconds(59.2), "59 s");
  EXPECT_EQ(Seconds(200), "3 min 20 s");
  EXPECT_EQ(Seconds(7500), "2 h 5 min");
  EXPECT_EQ(Table({{"A", "LONG"}, {"bbb", "c"}}), "A    LONG\nbbb  c\n");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(Plain("a\x1b[2Jb\n"), "a?[2Jb?");
}

class ProgressTest : public testing::Test {
 protected:
  Progress Make(bool terminal, bool quiet = false) {
    return Progress({terminal, quiet, 100}, [this](const std::string& text) { written_ += text; }, clock_);
  }
  FakeClock clock_;
  std::string written_;
};

TEST_F(ProgressTest, PlainLinesAreFew) {
  Progress progress = Make(false);
  progress.Begin(1'000'000'000, {"model.onnx"});
  for (int i = 0; i < 100; ++i) {
    clock_.AdvanceNs(100'000'000);
    progress.OnBytes(0, 10'000'000);
  }
  progress.End();
  EXPECT_EQ(std::count(written_.begin(), written_.end(), '\n'), 3);
  EXPECT_THAT(written_, HasSubstr(" 50 %"));
  EXPECT_THAT(written_, HasSubstr("100 %"));
  EXPECT_THAT(written_, HasSubstr("100.0 MB/s"));
  EXPECT_THAT(written_, Not(HasSubstr("\r")));
}

TEST_F(ProgressTest, TerminalLineIsRedrawnWithBarSpeedAndTimeLeft) {
  Progress progress = Make(true);
  progress.Begin(1'000'000'000, {"model.onnx"});
  for (int i = 0; i < 10; ++i) {
    clock_.AdvanceNs(100'000'000);
    progress.OnBytes(0, 25'000'000);
  }
  EXPECT_THAT(progress.Line(), testing::AllOf(HasSubstr(" 25 % [=====>"), HasSubstr("250.0 MB/s"),
                                              HasSubstr("3.0 s left"), HasSubstr("model.onnx")));
  EXPECT_LE(progress.Line().size(), 99U);
  EXPECT_THAT(written_, HasSubstr("\r"));
  EXPECT_THAT(written_, Not(HasSubstr("\n")));
}

TEST_F(ProgressTest, QuietSaysNothingAndBytesThrownAwayAreTakenBack) {
  Progress progress = Make(false, true);
  progress.Begin(100, {"a"});
  progress.OnResumed(0, 40);
  progress.OnBytes(0, 30);
  progress.OnBytes(0, -70);
  progress.OnRetry(0, "x", 10);
  progress.End();
  EXPECT_EQ(written_, "");
  EXPECT_THAT(progress.Line(), HasSubstr("  0 %"));
  EXPECT_EQ(progress.resumed_bytes(), 40U);
  EXPECT_EQ(progress.downloaded_bytes(), 30U);
}

TEST(ExampleBodyTest, FitsTheModel) {
  package::Manifest manifest;
  manifest.execution_format = "gguf";
  EXPECT_THAT(ExampleBody(manifest), HasSubstr("\"prompt\""));
  manifest.execution_format = "onnx";
  manifest.inputs = {
      {.name = "input_ids", .dtype = DType::kInt64, .shape = {-1, -1}, .dim_names = {"batch", "sequence"}},
      {.name = "x", .dtype = DType::kFp32, .shape = {2}, .dim_names = {""}},
      {.name = "mask", .dtype = DType::kInt64, .shape = {-1}, .dim_names = {""}, .optional = true}};
  EXPECT_EQ(ExampleBody(manifest), R"({"input_ids":[1,1,1],"x":[1,1]})");
  manifest.text = package::TextSpec();
  EXPECT_EQ(ExampleBody(manifest), R"({"inputs": "a sentence"})");
  manifest.text.reset();
  manifest.inputs = {{.name = "pixel_values", .dtype = DType::kFp32, .shape = {-1, 3, 224, 224}}};
  EXPECT_EQ(ExampleBody(manifest), "");
}

TEST(AnswerTest, OutputsAreSummarised) {
  EXPECT_EQ(SummarizeAnswer(R"({"outputs":{"y":{"datatype":"FP32","shape":[1,2],"data":[0.5,-1.25]}}})"),
            "y  FP32 [1,2]: 0.5, -1.25\n");
  EXPECT_THAT(SummarizeAnswer(R"({"outputs":{"y":{"data":[1,2,3,4,5,6,7,8,9]}},"warnings":["cut"]})"),
              testing::AllOf(HasSubstr("8, ..."), HasSubstr("warning: cut")));
  EXPECT_EQ(SummarizeAnswer(R"({"text":"hi"})"), "hi\n");
  EXPECT_EQ(SummarizeAnswer("no json"), "no json\n");
}

}  // namespace
}  // namespace mlos::axon
