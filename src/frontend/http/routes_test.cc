// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "frontend/http/testing/server_fixture.h"

namespace mlos::frontend {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(HttpServerTest, HealthSaysWhatTheOriginalSaid) {
  Start();
  const std::string body = Connect().Ask(Get("/health")).body;
  EXPECT_THAT(
      body,
      HasSubstr(R"({"status":"healthy","service":"mlos-core","version":"9.9","apis":["http"],"timestamp":)"));
  EXPECT_THAT(body, HasSubstr(R"("runtime_mode":"userspace")"));
  EXPECT_EQ(Connect().Ask(Get("/health/live")).status, 200);
  EXPECT_EQ(Connect().Ask(Get("/health/ready")).status, 200);
  service_.set_ready(false);
  EXPECT_EQ(Connect().Ask(Get("/health/ready")).status, 503);
  EXPECT_EQ(Connect().Ask(Get("/health/live")).status, 200);
}

TEST_F(HttpServerTest, ListsModelsPluginsAndStatistics) {
  Start();
  RawClient client = Connect();
  const std::string models = client.Ask(Get("/models")).body;
  EXPECT_THAT(models, HasSubstr(R"("id":"t/echo@1","status":"loaded")"));
  EXPECT_THAT(models, HasSubstr(R"("total":7)"));
  const std::string model = client.Ask(Get("/models/t%2Fecho%401")).body;
  EXPECT_THAT(
      model,
      HasSubstr(
          R"("inputs":[{"name":"x","datatype":"FP32","shape":[-1,2],"dim_names":["batch",""],"optional":false}])"));
  EXPECT_THAT(model, HasSubstr(R"("inference_endpoint":"/models/t/echo@1/inference")"));
  EXPECT_EQ(client.Ask(Get("/models/t/none@1")).status, 404);
  EXPECT_THAT(client.Ask(Get("/plugins")).body,
              HasSubstr(R"("id":"fake","name":"fake","status":"loaded","models":["t/)"));
  client.Ask(Infer("echo", R"({"x": [1, 2]})"));
  const std::string stats = client.Ask(Get("/stats")).body;
  EXPECT_THAT(stats, HasSubstr(R"("total_requests":1)"));
  EXPECT_THAT(stats, HasSubstr("\"http\":{\"enabled\":true,\"port\":" +
                               std::to_string(server_->endpoints().front().port) + "}"));
}

TEST_F(HttpServerTest, DoctorSaysWhereModelsRunAndInWhatSandbox) {
  service_.set_workers({{"t/echo@1",
                         "fake",
                         77,
                         2,
                         {{{os::Mechanism::kLandlock, os::MechanismState::State::kMissing, "old kernel"}}}},
                        {"t/other@1", "fake", 0, 0, {}}});
  Start();
  RawClient client = Connect();
  const std::string body = client.Ask(Get("/doctor")).body;
  EXPECT_THAT(body, HasSubstr(R"("plugins":[{"id":"fake")"));
  EXPECT_THAT(
      body,
      HasSubstr(R"({"model_id":"t/echo@1","plugin_id":"fake","isolation":"process","pid":77,"restarts":2,)"
                R"("sandbox":[{"mechanism":"landlock","state":"missing","detail":"old kernel"}]})"));
  EXPECT_THAT(body, HasSubstr(R"("isolation":"none","pid":0,"restarts":0,"sandbox":[])"));
  EXPECT_THAT(body, HasSubstr(R"("worker_groups":{"in_force":false,"detail":""})"));
}

TEST_F(HttpServerTest, RegistersScansAndUnregistersOffTheIoThread) {
  std::thread::id registered_on;
  service_.set_register([&](const serving::RegisterRequest& request) -> Result<serving::ModelStatus> {
    registered_on = std::this_thread::get_id();
    if (request.path == "/missing") return NotFound("no such folder");
    serving::ModelStatus status;
    status.id = request.model_id;
    status.state = serving::ModelState::kReady;
    status.plugin_id = "fake";
    return status;
  });
  Start();
  RawClient client = Connect();
  const RawResponse done =
      client.Ask(Post("/models/register",
                      R"({"model_id": "a/b@1", "name": "b", "framework": "onnx", "execution_format": "onnx",
      "path": "/p", "description": "d \"q\"", "manifest_path": "/p/manifest.yaml"})"));
  EXPECT_EQ(done.status, 200);
  EXPECT_THAT(done.body, HasSubstr(R"({"status":"success","model_id":"a/b@1","plugin_id":"fake")"));
  EXPECT_THAT(
      done.body,
      HasSubstr(R"("axon_manifest":"/p/manifest.yaml","inference_endpoint":"/models/a/b@1/inference")"));
  EXPECT_NE(registered_on, std::this_thread::get_id());
  EXPECT_EQ(client.Ask(Post("/models", R"({"name": "b", "model_path": "/p"})")).status, 200);
  const RawResponse missing =
      client.Ask(Post("/models/register", R"({"model_id": "a/b@1", "path": "/missing"})"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr("no such folder"));
  for (const char* bad :
       {"{}", R"({"model_id": "x"})", R"({"model_id": 1, "path": "p"})",
        R"({"model_id": "x", "path": "p", "foo": "b"})",
        R"({"model_id": "x", "path": "p", "model_path": "q"})", R"({"model_id": "a\u0000b", "path": "p"})"}) {
    EXPECT_EQ(client.Ask(Post("/models/register", bad)).status, 422) << bad;
  }
  for (const char* bad : {"", "[]", "{", R"({"model_id": "x", "model_id": "y", "path": "p"})"}) {
    EXPECT_EQ(client.Ask(Post("/models/register", bad)).status, 400) << bad;
  }
  EXPECT_THAT(
      client.Ask(Post("/models/scan", "")).body,
      HasSubstr(
          R"("registered":["local/new@1"],"failed":[{"model_id":"local/bad@1","code":"data_loss","message":"manifest.yaml:3: bad"}])"));
  EXPECT_EQ(client.Ask("DELETE /models/t%2Fecho%401 HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
  EXPECT_EQ(client.Ask("DELETE /models/t%2Fecho%401 HTTP/1.1\r\nHost: t\r\n\r\n").status, 404);
  EXPECT_EQ(client.Ask(Infer("echo", R"({"x": [1, 2]})")).status, 404);
}

TEST_F(HttpServerTest, AModelThatLoadsFirstAnswersWhenItIsReady) {
  service_.set_describe([this](const std::string&, serving::Service::DescribeCallback done) {
    MutexLock lock(mu_);
    threads_.emplace_back([done] { done(std::make_shared<const ModelInterface>(Vector())); });
  });
  Start();
  RawClient client = Connect();
  for (int i = 0; i < 5; ++i)
    EXPECT_THAT(client.Ask(Infer("echo", R"({"x": [1, 2]})")).body, HasSubstr("[1,2]"));
  service_.set_describe([](const std::string&, const serving::Service::DescribeCallback& done) {
    done(Unavailable("loading"));
  });
  EXPECT_EQ(client.Ask(Infer("echo", R"({"x": [1, 2]})")).status, 503);
}

TEST_F(HttpServerTest, MetricsCountRequestsAndModels) {
  Start();
  RawClient client = Connect();
  client.Ask(Infer("echo", R"({"x": [1, 2]})"));
  client.Ask(Infer("echo", R"({"x": [1, 2]})"));
  client.Ask(Get("/nope/" + std::string(50, 'a')));
  const RawResponse metrics = client.Ask(Get("/metrics"));
  EXPECT_EQ(metrics.fields.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(metrics.body,
              HasSubstr(R"(mlos_http_requests_total{route="/models/{id}/inference",status="200"} 2)"));
  EXPECT_THAT(metrics.body, HasSubstr(R"(mlos_http_requests_total{route="unknown",status="404"} 1)"));
  EXPECT_THAT(metrics.body,
              HasSubstr(R"(mlos_http_request_duration_seconds_count{route="/models/{id}/inference"} 2)"));
  EXPECT_THAT(metrics.body, HasSubstr("mlos_http_requests_in_flight 1"));
  EXPECT_THAT(metrics.body, HasSubstr("mlos_http_connections 1"));
  EXPECT_THAT(metrics.body, HasSubstr(R"(mlos_model_requests_total{model="t/echo@1",outcome="ok"} 0)"));
  EXPECT_THAT(metrics.body, Not(HasSubstr("aaaa")));
}

}  // namespace
}  // namespace mlos::frontend
