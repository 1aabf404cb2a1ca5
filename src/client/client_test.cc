// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/core_client.h"
#include "client/sse.h"
#include "client/testing/fake_core.h"

namespace mlos::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Events(const std::vector<std::string>& chunks) {
  std::vector<std::string> out;
  SseParser parser([&](const std::string& data) {
    out.push_back(data);
    return true;
  });
  for (const std::string& chunk : chunks) EXPECT_TRUE(parser.Feed(chunk).ok());
  return out;
}

TEST(SseTest, EventsEndAtEmptyLines) {
  EXPECT_THAT(Events({"data: a\n\ndata:b\n\n: comment\n\nevent: x\ndata: c\ndata: d\n\n"}),
              ElementsAre("a", "b", "c\nd"));
}

TEST(SseTest, CutsAnywhereAndAllLineEndsAreTheSame) {
  const std::string stream = "data: one\r\n\r\ndata: two\r\rdata: three\n\n";
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    EXPECT_THAT(Events({stream.substr(0, cut), stream.substr(cut)}), ElementsAre("one", "two", "three"));
  }
}

TEST(SseTest, AnUnfinishedEventIsNone) { EXPECT_TRUE(Events({"data: a\n"}).empty()); }

TEST(SseTest, EndsWhenTheReaderHasEnough) {
  SseParser parser([](const std::string&) { return false; });
  EXPECT_EQ(parser.Feed("data: a\n\n").code(), Code::kCancelled);
}

TEST(ModelPathTest, IdIsOneSegment) { EXPECT_EQ(ModelPath("hf/a b@v1"), "/models/hf%2Fa%20b%40v1"); }

TEST(ErrorOfAnswerTest, ServersCodeAndMessageWin) {
  const Status status = ErrorOfAnswer(500, R"({"status":"error","code":"data_loss","message":"broken"})");
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_EQ(status.message(), "broken");
  EXPECT_EQ(ErrorOfAnswer(404, "<html>").code(), Code::kNotFound);
  EXPECT_EQ(ErrorOfAnswer(429, "{}").code(), Code::kResourceExhausted);
}

TEST(CoreClientTest, RegistersWithTheOriginalsFields) {
  FakeCore core;
  core.Answer("POST /models/register", 200,
              R"({"status":"success","model_id":"hf/m@latest","plugin_id":"onnxruntime","load_ms":12.5})");
  const auto model = CoreClient({core.url() + "/"})
                         .Register({"hf/m@latest", "m", "onnx", "onnx", "/p", "say \"x\"", "/p/m"});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ(model->id, "hf/m@latest");
  EXPECT_EQ(model->plugin_id, "onnxruntime");
  EXPECT_EQ(model->load_ms, 12.5);
  EXPECT_EQ(
      core.last_body(),
      R"({"model_id":"hf/m@latest","name":"m","framework":"onnx","execution_format":"onnx","path":"/p",)"
      R"("description":"say \"x\"","manifest_path":"/p/m"})");
}

TEST(CoreClientTest, ListsModels) {
  FakeCore core;
  core.Answer("GET /models", 200,
              R"({"models":[{"id":"a/b@c","status":"loaded","plugin_id":"llama"}],"total":1})");
  const auto models = CoreClient({core.url()}).List();
  ASSERT_TRUE(models.ok());
  ASSERT_EQ(models->size(), 1U);
  EXPECT_EQ((*models)[0].id, "a/b@c");
  EXPECT_EQ((*models)[0].plugin_id, "llama");
}

TEST(CoreClientTest, TellsWhatAModelCanDo) {
  FakeCore core;
  core.Answer(
      "GET /models/a%2Fb%40c", 200,
      R"({"status":"success","model_id":"a/b@c","state":"ready","generates":true,"has_chat_template":true,)"
      R"("statistics":{"load_ms":3.5}})");
  const auto model = CoreClient({core.url()}).Get("a/b@c");
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ(model->id, "a/b@c");
  EXPECT_EQ(model->status, "ready");
  EXPECT_EQ(model->load_ms, 3.5);
  EXPECT_TRUE(model->generates);
  EXPECT_TRUE(model->has_chat_template);
  EXPECT_FALSE(model->accepts_text);
}

TEST(CoreClientTest, StreamsTextAndCounts) {
  FakeCore core;
  core.Answer("POST /models/m%40latest/inference", 200,
              "data: {\"text\":\"4\"}\n\ndata: {\"text\":\"2\"}\n\ndata: "
              "{\"done\":true,\"text\":\"42\",\"prompt_tokens\":5,"
              "\"tokens_generated\":2,\"finish_reason\":\"stop\"}\n\ndata: [DONE]\n\n");
  std::string text;
  const auto result =
      CoreClient({core.url()}).Generate("m@latest", R"({"stream":true})", [&](std::string_view piece) {
        text += piece;
        return true;
      });
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(text, "42");
  EXPECT_EQ(result->completion_tokens, 2U);
  EXPECT_EQ(result->finish_reason, "stop");
}

TEST(CoreClientTest, ErrorsInAndBeforeTheStreamKeepTheirCode) {
  FakeCore core;
  const auto ignore = [](std::string_view) { return true; };
  core.Answer("POST /models/m/inference", 200,
              "data: {\"text\":\"4\"}\n\ndata: {\"error\":{\"code\":\"unavailable\",\"message\":\"worker "
              "died\"}}\n\n");
  EXPECT_EQ(CoreClient({core.url()}).Generate("m", "{}", ignore).status().ToString(),
            "unavailable: worker died");
  core.Answer("POST /models/m/inference", 404,
              R"({"status":"error","code":"not_found","message":"no model 'm'"})");
  EXPECT_EQ(CoreClient({core.url()}).Generate("m", "{}", ignore).status().ToString(),
            "not_found: no model 'm'");
  core.Answer("POST /models/m/inference", 200, "data: {\"text\":\"4\"}\n\n");
  EXPECT_EQ(CoreClient({core.url()}).Generate("m", "{}", ignore).status().code(), Code::kDataLoss);
}

TEST(CoreClientTest, NobodyThereSaysHowToStartIt) {
  std::string url;
  {
    const FakeCore gone;
    url = gone.url();
  }
  const auto health = CoreClient({url}).Health();
  EXPECT_EQ(health.status().code(), Code::kUnavailable);
  EXPECT_THAT(health.status().message(), HasSubstr("axon serve"));
}

}  // namespace
}  // namespace mlos::client
