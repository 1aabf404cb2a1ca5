// SPDX-License-Identifier: Apache-2.0
// /ps, the verbs load, unload, latest and ready, and the metrics of memory.
#include <gmock/gmock.h>

#include "frontend/http/memory_json.h"
#include "frontend/http/testing/server_fixture.h"

namespace mlos::frontend {
namespace {

using ::testing::HasSubstr;

TEST_F(HttpServerTest, PsTellsBudgetAndWhatEachModelTakes) {
  Start();
  const std::string body = Connect().Ask(Get("/ps")).body;
  EXPECT_THAT(body, HasSubstr(R"("memory":{"budget_bytes":1000,"budget_source":"a test","leased_bytes":600,)"
                              R"("shared_bytes":200,"reserved_bytes":0,"free_bytes":400)"));
  EXPECT_THAT(body, HasSubstr(R"("id":"t/echo@1")"));
  EXPECT_THAT(body, HasSubstr(R"("pid":4711,"private_bytes":300,"mapped_bytes":200,"pss_bytes":400)"));
  EXPECT_THAT(body, HasSubstr(R"("p50_ms":null)"));
}

TEST(MemoryJsonTest, WhatIsNotKnownIsNull) {
  serving::ProcessReport report;
  report.memory.waiting.push_back({"t/w", 500, 1'000'000, -1, "because"});
  report.models.push_back(
      {.status = {.id = "t/a", .state = serving::ModelState::kWaiting, .waits_for = "room"}});
  const std::string json = EncodeProcesses(report, 3'000'000);
  EXPECT_THAT(
      json,
      HasSubstr(R"({"model_id":"t/w","bytes":500,"waited_ms":2,"predicted_ms":null,"reason":"because"})"));
  EXPECT_THAT(json, HasSubstr(R"("state":"waiting")"));
  EXPECT_THAT(json, HasSubstr(R"("pid":null,"private_bytes":null,"mapped_bytes":null,"pss_bytes":null,)"
                              R"("lease_private_bytes":null)"));
  EXPECT_THAT(json, HasSubstr(R"("waits_for":"room","predicted_wait_ms":null)"));
}

TEST_F(HttpServerTest, LoadTakesKeepAliveAndPin) {
  Start();
  RawClient client = Connect();
  EXPECT_THAT(client.Ask(Post("/models/t%2Fecho%401/load", R"({"keep_alive":"1h","pin":true})")).body,
              HasSubstr(R"("keep_alive":"1h","pinned":true)"));
  EXPECT_EQ(client.Ask(Post("/models/t/echo@1/load", "")).status, 200);
  EXPECT_EQ(client.Ask(Post("/models/t/none/load", "{}")).status, 404);
  for (const char* bad : {R"({"keep_alive":"soon"})", R"({"pin":1})", R"({"pins":true})", "[]", "{"}) {
    EXPECT_EQ(client.Ask(Post("/models/t/echo@1/load", bad)).status / 100, 4) << bad;
  }
  EXPECT_EQ(client.Ask(Get("/models/t/echo@1/load")).status, 405);
}

TEST_F(HttpServerTest, UnloadLatestAndReadyAnswer) {
  Start();
  RawClient client = Connect();
  EXPECT_THAT(client.Ask(Post("/models/t/echo@1/unload", "{}")).body,
              HasSubstr(R"("unloaded":true,"users":0)"));
  EXPECT_THAT(client.Ask(Post("/models/t/echo@1/latest", "{}")).body, HasSubstr(R"("latest":"t/echo@1")"));
  EXPECT_EQ(client.Ask(Get("/models/t/echo@1/ready")).status, 200);
  EXPECT_EQ(client.Ask(Get("/models/t/none/ready")).status, 404);
  service_.set_ready(false);
  EXPECT_EQ(client.Ask(Get("/models/t/echo@1/ready")).status, 503);
}

TEST_F(HttpServerTest, MetricsTellTheBudget) {
  Start();
  const std::string metrics = Connect().Ask(Get("/metrics")).body;
  EXPECT_THAT(metrics, HasSubstr("\nmlos_memory_budget_bytes 1000\n"));
  EXPECT_THAT(metrics, HasSubstr("\nmlos_memory_leased_bytes 600\n"));
}

TEST_F(HttpServerTest, RegistrationTakesKeepAliveAndPinned) {
  serving::RegisterRequest seen;
  service_.set_register([&](const serving::RegisterRequest& request) -> Result<serving::ModelStatus> {
    seen = request;
    return serving::ModelStatus{.id = request.model_id, .note = "it waited"};
  });
  Start();
  const RawResponse done = Connect().Ask(
      Post("/models/register", R"({"model_id":"t/x","path":"/m","keep_alive":-1,"pinned":true})"));
  EXPECT_EQ(done.status, 200) << done.body;
  EXPECT_THAT(done.body, HasSubstr(R"("note":"it waited")"));
  EXPECT_EQ(seen.keep_alive_ns, -1);
  EXPECT_TRUE(seen.pinned);
}

TEST_F(HttpServerTest, TheKeepAliveHeaderIsReadAndMustNotContradictTheBody) {
  Start();
  RawClient client = Connect();
  const auto ask = [&](const std::string& header, const std::string& body) {
    return client.Ask("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: x\r\nX-Keep-Alive: " + header +
                      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  EXPECT_EQ(ask("5m", R"({"x":[1,2]})").status, 200);
  EXPECT_EQ(ask("5m", R"({"x":[1,2],"keep_alive":300})").status, 200);
  EXPECT_EQ(ask("5m", R"({"x":[1,2],"keep_alive":301})").status, 400);
  const RawResponse bad = ask("soon", R"({"x":[1,2]})");
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("X-Keep-Alive"));
}

}  // namespace
}  // namespace mlos::frontend
