// SPDX-License-Identifier: Apache-2.0
#include "serving/server.h"

#include <gtest/gtest.h>

#include <future>

#include "model/testing/fake_plugins.h"

namespace mlos::serving {
namespace {

const std::string kModelFile = std::string(MLOS_SOURCE_DIR) + "/tests/models/onnx/identity_float32.onnx";

struct Answer {
  Status status;
  Response response;
};

class FutureSink final : public ResponseSink {
 public:
  explicit FutureSink(std::promise<Answer> promise) : promise_(std::move(promise)) {}
  void OnDone(Status status, Response response) override {
    promise_.set_value({std::move(status), std::move(response)});
  }

 private:
  std::promise<Answer> promise_;
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override { Start({.threads = 1}); }
  void Start(const ServerOptions& options) {
    auto catalog = model::Catalog::Open(":memory:");
    ASSERT_TRUE(catalog.ok());
    auto registry = model::Registry::Open(std::move(catalog).value(),
                                          std::make_unique<plugin::FakePluginRegistry>(state_));
    ASSERT_TRUE(registry.ok());
    server_ = std::make_unique<Server>(std::move(registry).value(), options, clock_);
    const Result<ModelStatus> status = server_->RegisterModel({.model_id = "t/x", .path = kModelFile});
    ASSERT_TRUE(status.ok()) << status.status().message();
  }
  std::future<Answer> Infer(Request request) {
    std::promise<Answer> promise;
    std::future<Answer> future = promise.get_future();
    if (request.model_id.empty()) request.model_id = "t/x";
    server_->Infer(std::move(request), std::make_unique<FutureSink>(std::move(promise)));
    return future;
  }

  FakeClock clock_;
  plugin::FakePluginState state_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersAndCountsPerModel) {
  state_.run = [this](const Request&, std::unique_ptr<ResponseSink> sink) {
    clock_.AdvanceNs(500);
    Response response;
    response.text = "hello";
    sink->OnDone(OkStatus(), std::move(response));
  };
  const Answer answer = Infer({}).get();
  ASSERT_TRUE(answer.status.ok()) << answer.status.message();
  EXPECT_EQ(answer.response.text, "hello");
  EXPECT_EQ(answer.response.model_version, "latest");
  EXPECT_EQ(answer.response.timing.total_ns, 500);
  EXPECT_EQ(server_->GetModel("t/x")->requests_ok, 1u);
  EXPECT_EQ(server_->Stats().requests_ok, 1u);
  EXPECT_EQ(server_->Stats().latency_sum_ns, 500);
}

TEST_F(ServerTest, AnUnknownModelIsNotFound) {
  EXPECT_EQ(Infer({.model_id = "t/none"}).get().status.code(), Code::kNotFound);
  EXPECT_EQ(server_->Stats().requests_failed, 1u);
  std::promise<Status> described;
  server_->Describe("t/none", [&](const auto& result) { described.set_value(result.status()); });
  EXPECT_EQ(described.get_future().get().code(), Code::kNotFound);
}

TEST_F(ServerTest, RefusesADeadlineInThePast) {
  Request request;
  request.deadline_ns = clock_.MonotonicNs();
  EXPECT_EQ(Infer(std::move(request)).get().status.code(), Code::kDeadlineExceeded);
}

TEST_F(ServerTest, DropsWhatWaitedTooLongAndWhatFindsNoRoom) {
  Start({.threads = 1, .max_queue = 1});
  std::promise<void> release;
  std::promise<void> started;
  state_.run = [&](const Request&, std::unique_ptr<ResponseSink> sink) {
    started.set_value();
    release.get_future().wait();
    sink->OnDone(OkStatus(), {});
  };
  std::future<Answer> running = Infer({});
  started.get_future().wait();
  Request soon;
  soon.deadline_ns = clock_.MonotonicNs() + 10;
  std::future<Answer> waiting = Infer(std::move(soon));
  EXPECT_EQ(Infer({}).get().status.code(), Code::kUnavailable);
  clock_.AdvanceNs(11);
  release.set_value();
  EXPECT_TRUE(running.get().status.ok());
  EXPECT_EQ(waiting.get().status.code(), Code::kDeadlineExceeded);
}

TEST_F(ServerTest, ARequestCancelledInTheQueueNeverReachesThePlugin) {
  int runs = 0;
  state_.run = [&](const Request&, std::unique_ptr<ResponseSink> sink) {
    ++runs;
    sink->OnDone(OkStatus(), {});
  };
  Request request;
  request.cancel = std::make_shared<CancelToken>();
  request.cancel->Cancel();
  EXPECT_EQ(Infer(std::move(request)).get().status.code(), Code::kCancelled);
  EXPECT_EQ(runs, 0);
}

TEST_F(ServerTest, TextForAModelWithoutTokenizerIsUnprocessable) {
  Request request;
  request.texts = {"hello"};
  EXPECT_EQ(Infer(std::move(request)).get().status.code(), Code::kUnprocessable);
}

TEST_F(ServerTest, RefusesEverythingWhileDraining) {
  server_->SetReady(false);
  EXPECT_EQ(Infer({}).get().status.code(), Code::kUnavailable);
  EXPECT_EQ(server_->RegisterModel({.model_id = "t/y", .path = kModelFile}).status().code(),
            Code::kUnavailable);
  EXPECT_FALSE(server_->Ready());
}

TEST_F(ServerTest, TheLastHandleMayBeDroppedInsideThePluginsOwnCall) {
  std::unique_ptr<ResponseSink> held;
  state_.run = [&](const Request&, std::unique_ptr<ResponseSink> sink) { held = std::move(sink); };
  Request request;
  request.generation.emplace();
  std::future<Answer> answer = Infer(std::move(request));
  ASSERT_NE(held, nullptr);
  std::thread unregister([this] { EXPECT_TRUE(server_->UnregisterModel("t/x").ok()); });
  while (server_->GetModel("t/x").ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  held->OnDone(OkStatus(), {});
  held.reset();
  unregister.join();
  EXPECT_TRUE(answer.get().status.ok());
  EXPECT_EQ(state_.alive, 0);
}

TEST_F(ServerTest, ADamagedModelIsTheClientsToMend) {
  state_.before_load = [] { return DataLoss("truncated"); };
  EXPECT_EQ(server_->RegisterModel({.model_id = "t/y", .path = kModelFile}).status().code(),
            Code::kUnprocessable);
}

TEST_F(ServerTest, RegistrationWantsAnIdAndAnAbsolutePath) {
  EXPECT_EQ(server_->RegisterModel({.path = kModelFile}).status().message(), "model_id is missing");
  EXPECT_EQ(server_->RegisterModel({.model_id = "t/y"}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(server_->RegisterModel({.model_id = "t/y", .path = "relative"}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(server_->RegisterModel({.model_id = "../y", .path = kModelFile}).status().code(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace mlos::serving
