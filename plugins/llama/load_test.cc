// SPDX-License-Identifier: Apache-2.0
// Loading: options, estimates, and files that are not what they should be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "testing/harness.h"

namespace mlos::llama {
namespace {

using testing::HasSubstr;

const std::string kModel = FixturePath("addition/model-q8_0.gguf");

uint64_t AnonymousBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  uint64_t kib = 0;
  while (status >> word) {
    if (word == "RssAnon:") status >> kib;
  }
  return kib * 1024;
}

TEST(LoadTest, UnknownOptionsAndValuesAreNamed) {
  for (const auto& [option, words] : std::vector<std::pair<std::pair<std::string, std::string>, std::string>>{
           {{"frobnicate", "1"}, "no load option 'frobnicate'"},
           {{"batch", "many"}, "not 'many'"},
           {{"batch", "0"}, "from 1"},
           {{"repack", "maybe"}, "auto, on, off"},
           {{"pooling", "max"}, "'pooling'"},
           {{"normalize", "1"}, "true, false"},
       }) {
    TestModel model(kModel, {.options = {option}});
    EXPECT_EQ(model.code(), SMI_INVALID_ARGUMENT);
    EXPECT_THAT(model.message(), HasSubstr(words));
  }
}

TEST(LoadTest, OtherFormatsAreUnsupported) {
  TestModel model(kModel, {.format = "onnx"});
  EXPECT_EQ(model.code(), SMI_UNSUPPORTED);
  EXPECT_THAT(model.message(), HasSubstr("not 'onnx'"));
}

TEST(LoadTest, MissingFileIsNotFound) {
  TestModel model("/nowhere/model.gguf");
  EXPECT_EQ(model.code(), SMI_NOT_FOUND);
  EXPECT_THAT(model.message(), HasSubstr("/nowhere/model.gguf"));
}

TEST(LoadTest, UnknownArchitectureIsUnsupportedAndNamed) {
  std::string bytes = ReadFile(kModel);
  for (size_t at = bytes.find("llama"); at != std::string::npos; at = bytes.find("llama", at)) {
    // The tokenizer is called "llama" too: it stays.
    if (at >= 28 && bytes.compare(at - 32, 20, "tokenizer.ggml.model") == 0) {
      ++at;
    } else {
      bytes.replace(at, 5, "zzzzz");
    }
  }
  const TempFile file(bytes);
  TestModel model(file.path());
  EXPECT_EQ(model.code(), SMI_UNSUPPORTED) << model.message();
  EXPECT_THAT(model.message(), HasSubstr("zzzzz"));
}

TEST(LoadTest, TruncatedFilesAreCorruptNeverACrash) {
  const std::string whole = ReadFile(kModel);
  for (size_t size : {size_t{0}, size_t{4}, size_t{100}, size_t{5000}, whole.size() / 2, whole.size() - 64}) {
    const TempFile file(whole.substr(0, size));
    TestModel model(file.path());
    EXPECT_EQ(model.code(), SMI_CORRUPT) << size << " bytes: " << model.message();
    smi_estimate estimate{};
    std::string message;
    EXPECT_EQ(EstimateOf(file.path(), {}, &estimate, &message), SMI_CORRUPT);
  }
}

TEST(LoadTest, DamagedHeadersNeverEndTheProcess) {
  const std::string whole = ReadFile(kModel);
  const size_t header = 12000;  // metadata and tensor descriptions
  std::mt19937 random(20260101);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 4; ++i) bytes[8 + random() % (header - 8)] = static_cast<char>(random());
    const TempFile file(bytes);
    TestModel model(file.path(), {.context_length = 32, .max_sequences = 1});
    if (!model.loaded()) {
      ++refused;
      EXPECT_FALSE(model.message().empty());
      continue;
    }
    const auto answer = model.Generate({.prompt = "23+45=", .max_tokens = 4});
    EXPECT_TRUE(answer->code == SMI_OK || !answer->message.empty());
  }
  EXPECT_GT(refused, 30);
}

TEST(LoadTest, DamagedWeightsGiveAnErrorOrAnAnswerNeverACrash) {
  std::string bytes = ReadFile(kModel);
  std::mt19937 random(7);
  for (size_t at = bytes.size() / 2; at < bytes.size(); ++at) bytes[at] = static_cast<char>(random());
  const TempFile file(bytes);
  TestModel model(file.path());
  ASSERT_TRUE(model.loaded()) << model.message();
  const auto answer = model.Generate({.prompt = "23+45=", .max_tokens = 4});
  EXPECT_TRUE(answer->code == SMI_OK || answer->code == SMI_INTERNAL) << answer->message;
}

TEST(LoadTest, EstimateIsAnUpperBound) {
  const LoadAsk ask{.context_length = 256, .max_sequences = 64};
  smi_estimate estimate{};
  std::string message;
  ASSERT_EQ(EstimateOf(kModel, ask, &estimate, &message), SMI_OK) << message;
  EXPECT_GE(estimate.mapped_bytes, ReadFile(kModel).size());
  const uint64_t before = AnonymousBytes();
  TestModel model(kModel, ask);
  ASSERT_TRUE(model.loaded()) << model.message();
  std::vector<std::unique_ptr<Answer>> answers;
  for (int i = 0; i < 64; ++i) answers.push_back(model.Start({.prompt = "count to 30:"}));
  for (auto& answer : answers) answer->Wait();
  EXPECT_LE(AnonymousBytes(), before + estimate.private_bytes + 64 * estimate.per_call_bytes);
  // 64 x 256 tokens of cache cannot be free of charge: the estimate says so, within reason.
  EXPECT_GT(estimate.private_bytes, 64u * 256 * 2 * 2 * 48);
  EXPECT_LT(estimate.private_bytes, 400u << 20);
}

TEST(LoadTest, RepackedWeightsGiveTheSameAnswer) {
  TestModel repacked(kModel, {.options = {{"repack", "on"}}});
  ASSERT_TRUE(repacked.loaded()) << repacked.message();
  EXPECT_EQ(repacked.Generate({.prompt = "23+45="})->text, "68");
}

TEST(LoadTest, ModelsOfOnePluginLiveSideBySide) {
  TestModel one(kModel);
  TestModel two(FixturePath("embedding/model-f32.gguf"));
  TestModel three(kModel);
  auto a = one.Start({.prompt = "23+45="});
  auto c = three.Start({.prompt = "23+45="});
  EXPECT_EQ(two.Embed({"a cat"}).code, SMI_OK);
  a->Wait();
  c->Wait();
  EXPECT_EQ(a->text, "68");
  EXPECT_EQ(c->text, "68");
}

TEST(LoadTest, EngineSpeaksToTheHostsLogOnly) {
  TakeLog(0);
  testing::internal::CaptureStderr();
  {
    TestModel model(kModel);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_FALSE(TakeLog(0).empty());
}

TEST(LoadTest, EntryRefusesAnotherMajorVersion) {
  smi_error error{};
  error.struct_size = sizeof error;
  EXPECT_EQ(smi_plugin_entry(SMI_MAKE_VERSION(2, 0), &error), nullptr);
  EXPECT_EQ(error.code, SMI_UNSUPPORTED);
}

}  // namespace
}  // namespace mlos::llama
