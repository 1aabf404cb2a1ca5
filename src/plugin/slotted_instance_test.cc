// SPDX-License-Identifier: Apache-2.0
#include "plugin/slotted_instance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"
#include "plugin/testing/test_plugins.h"
#include "resources/testing/fake_backend.h"

namespace mlos::plugin {
namespace {

using resources::FakeBackend;

// Keeps calls until the test answers them.
class HeldInstance final : public Instance {
 public:
  explicit HeldInstance(std::vector<std::unique_ptr<ResponseSink>>* held) : held_(held) {}
  const ModelInterface& interface() const override { return interface_; }
  const std::string& plugin_id() const override { return id_; }
  InstanceStats stats() const override { return {.pid = 7}; }
  void Run(Request, std::unique_ptr<ResponseSink> sink) override {
    const std::lock_guard lock(mu_);
    held_->push_back(std::move(sink));
  }

 private:
  std::mutex mu_;
  std::vector<std::unique_ptr<ResponseSink>>* const held_;
  const ModelInterface interface_;
  const std::string id_ = "held";
};

class SlottedInstanceTest : public ::testing::Test {
 protected:
  std::shared_ptr<Answer> Run(Request request) {
    auto answer = std::make_shared<Answer>();
    instance_->Run(std::move(request), std::make_unique<AnswerSink>(answer));
    return answer;
  }
  // Answers the call that came first.
  void Finish(Status status = OkStatus()) {
    std::unique_ptr<ResponseSink> sink = std::move(held_.front());
    held_.erase(held_.begin());
    sink->OnDone(std::move(status), {});
  }
  static Request Text() {
    Request request;
    request.generation.emplace();
    return request;
  }

  const std::shared_ptr<FakeBackend::State> state_ = std::make_shared<FakeBackend::State>();
  FakeBackend backend_{state_};
  std::vector<std::unique_ptr<ResponseSink>> held_;
  std::unique_ptr<Instance> instance_ = std::make_unique<SlottedInstance>(
      std::make_unique<HeldInstance>(&held_), BackendModel::Register(backend_, "m").value(), false);
};

TEST_F(SlottedInstanceTest, AnExecutionHoldsASlotUntilItsAnswer) {
  Request request;
  request.priority = Priority::kHigh;
  request.deadline_ns = Clock::Real().MonotonicNs() + 60'000'000'000;
  request.n_threads = 3;
  const auto answer = Run(std::move(request));
  EXPECT_EQ(state_->busy, 1U);
  EXPECT_EQ(state_->options[0].execution_class, resources::ExecutionClass::kHigh);
  EXPECT_NE(state_->options[0].deadline_ns, 0);
  EXPECT_EQ(state_->options[0].threads, 3U);
  EXPECT_FALSE(state_->options[0].boost);
  Finish();
  EXPECT_EQ(state_->busy, 0U);
  EXPECT_TRUE(answer->Wait().ok());
  EXPECT_EQ(state_->failed, 0U);
  EXPECT_EQ(instance_->stats().pid, 7);
}

TEST_F(SlottedInstanceTest, ADurationOfAFailureIsNotLearnt) {
  Run({});
  Finish(Internal("no"));
  EXPECT_EQ(state_->failed, 1U);
}

TEST_F(SlottedInstanceTest, WhatWaitsForASlotIsGivenUpWhenItsClientLeaves) {
  Run({});
  Request second;
  second.cancel = std::make_shared<CancelToken>();
  const auto cancel = second.cancel;
  std::shared_ptr<Answer> answer;
  std::thread waiter([&] { answer = Run(std::move(second)); });
  state_->AwaitWaiting(1);
  cancel->Cancel();
  waiter.join();
  EXPECT_EQ(answer->Wait().code(), Code::kCancelled);
  EXPECT_EQ(held_.size(), 1U);
  Finish();
}

TEST_F(SlottedInstanceTest, AShortModelTakesNoTurn) {
  Run({});
  Finish();  // it took microseconds
  Run({});
  Run({});
  EXPECT_FALSE(state_->options.back().wait);
  EXPECT_EQ(held_.size(), 2U) << "the slot is taken, and it runs all the same";
  EXPECT_EQ(state_->busy, 1U);
  Finish();
  Finish();
}

TEST_F(SlottedInstanceTest, TextsOfOneModelShareASlot) {
  Run(Text());
  Run(Text());
  EXPECT_EQ(state_->begun, 1U);
  EXPECT_EQ(held_.size(), 2U);
  Finish();
  EXPECT_EQ(state_->busy, 1U);
  Finish();
  EXPECT_EQ(state_->busy, 0U);
  EXPECT_EQ(state_->failed, 1U) << "its duration is not that of an execution";
  Run(Text());
  EXPECT_EQ(state_->begun, 2U);
  Finish();
}

TEST_F(SlottedInstanceTest, RunsWithoutSlotsWhenTheBackendFails) {
  state_->Break();
  const auto answer = Run({});
  ASSERT_EQ(held_.size(), 1U);
  Finish();
  EXPECT_TRUE(answer->Wait().ok());
}

}  // namespace
}  // namespace mlos::plugin
