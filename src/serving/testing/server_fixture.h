// SPDX-License-Identifier: Apache-2.0
// A Server over a fake plugin whose calls a test holds and answers.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "model/testing/fake_plugins.h"
#include "serving/server.h"

namespace mlos::serving {

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

// Calls that the fake plugin was given and has not answered.
class HeldCalls {
 public:
  struct Held {
    Request request;
    std::unique_ptr<ResponseSink> sink;
  };
  void Add(Request request, std::unique_ptr<ResponseSink> sink) {
    std::lock_guard lock(mu_);
    calls_.push_back({std::move(request), std::move(sink)});
    changed_.notify_all();
  }
  // Blocks until there is one; the oldest.
  Held Take() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [this] { return !calls_.empty(); });
    Held out = std::move(calls_.front());
    calls_.erase(calls_.begin());
    return out;
  }
  size_t size() {
    std::lock_guard lock(mu_);
    return calls_.size();
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<Held> calls_;
};

class ServerFixture : public testing::Test {
 protected:
  // One input "x" and one output "y", FP32 [batch, 2].
  static ModelInterface Rows() {
    ModelInterface model;
    model.executes = true;
    model.batch_dimension = 0;
    model.inputs = {{.name = "x", .dtype = DType::kFp32, .shape = {-1, 2}, .dim_names = {"batch", ""}}};
    model.outputs = {{.name = "y", .dtype = DType::kFp32, .shape = {-1, 2}}};
    return model;
  }

  void Start(const ServerOptions& options, RegisterRequest model = {}) {
    server_.reset();
    auto catalog = model::Catalog::Open(":memory:");
    ASSERT_TRUE(catalog.ok());
    auto registry = model::Registry::Open(std::move(catalog).value(),
                                          std::make_unique<plugin::FakePluginRegistry>(state_));
    ASSERT_TRUE(registry.ok());
    server_ = std::make_unique<Server>(std::move(registry).value(), options, clock_);
    model.model_id = "t/x";
    model.path = std::string(MLOS_SOURCE_DIR) + "/tests/models/onnx/identity_float32.onnx";
    const Result<ModelStatus> status = server_->RegisterModel(model);
    ASSERT_TRUE(status.ok()) << status.status().message();
  }

  // One row of `value`, twice.
  static Request Row(float value) {
    Request request;
    const std::vector<float> values = {value, value};
    request.inputs.push_back({"x", Tensor::FromValues<float>(DType::kFp32, {1, 2}, values).value()});
    return request;
  }

  std::future<Answer> Infer(Request request) {
    std::promise<Answer> promise;
    std::future<Answer> future = promise.get_future();
    request.model_id = "t/x";
    server_->Infer(std::move(request), std::make_unique<FutureSink>(std::move(promise)));
    return future;
  }

  void HoldCalls() {
    state_.run = [this](Request request, std::unique_ptr<ResponseSink> sink) {
      held_.Add(std::move(request), std::move(sink));
    };
  }

  FakeClock clock_;
  HeldCalls held_;
  plugin::FakePluginState state_;
  std::unique_ptr<Server> server_;
};

}  // namespace mlos::serving
