// SPDX-License-Identifier: Apache-2.0
#include "resources/failover_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "resources/testing/fake_backend.h"

namespace mlos::resources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FailoverBackendTest : public testing::Test {
 protected:
  const std::shared_ptr<FakeBackend::State> state_ = std::make_shared<FakeBackend::State>();
  std::vector<std::string> lost_;
  FailoverBackend backend_{std::make_unique<FakeBackend>(state_),
                           [this](const std::string& why) { lost_.push_back(why); }};
};

TEST_F(FailoverBackendTest, UsesTheFirstForAsLongAsItWorks) {
  const uint64_t model = backend_.RegisterModel("m").value();
  EXPECT_TRUE(backend_.Begin({.model = model}).ok());
  EXPECT_TRUE(backend_.Probe().ok());
  EXPECT_EQ(backend_.mode(), RuntimeMode::kKernelSched);
  EXPECT_EQ(backend_.slots(), 1U);
  EXPECT_EQ(state_->begun, 1U);
  EXPECT_TRUE(lost_.empty());
  EXPECT_TRUE(backend_.UnregisterModel(model).ok());
}

TEST_F(FailoverBackendTest, GoesOnWithPlainLinuxAndSaysSoOnce) {
  const uint64_t model = backend_.RegisterModel("m").value();
  state_->Break();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(backend_.Begin({.model = model}).ok());
  EXPECT_TRUE(backend_.Allocate({.size_bytes = 10}).ok());
  EXPECT_EQ(backend_.mode(), RuntimeMode::kUserspace);
  EXPECT_EQ(backend_.slots(), 0U);
  EXPECT_THAT(lost_, ElementsAre(HasSubstr("the kernel module is gone: the fake device is not there")));
  EXPECT_THAT(backend_.why(), HasSubstr("the fake device is not there"));
  EXPECT_EQ(backend_.Latency(model)->samples, 3U);
  EXPECT_TRUE(backend_.UnregisterModel(model).ok());
  EXPECT_EQ(backend_.Begin({.model = model}).status().code(), Code::kNotFound);
}

TEST_F(FailoverBackendTest, LooksWithoutBeingUsed) {
  state_->Break();
  EXPECT_TRUE(backend_.Probe().ok());
  EXPECT_EQ(backend_.mode(), RuntimeMode::kUserspace);
  EXPECT_EQ(lost_.size(), 1U);
  EXPECT_FALSE(state_->alive) << "nothing uses it, so it must be closed";
  EXPECT_TRUE(backend_.RegisterModel("later").ok());
}

TEST_F(FailoverBackendTest, WhatIsUnderWayKeepsTheFirstUntilItEnds) {
  const uint64_t model = backend_.RegisterModel("m").value();
  auto execution = std::move(backend_.Begin({.model = model}).value());
  auto buffer = std::move(backend_.Allocate({.size_bytes = 10, .model = model}).value());
  EXPECT_FALSE(buffer->is_abandoned());
  state_->Break();
  EXPECT_TRUE(backend_.Probe().ok());
  EXPECT_TRUE(state_->alive);
  EXPECT_TRUE(buffer->is_abandoned());
  EXPECT_FALSE(backend_.Allocate({.size_bytes = 10, .model = model}).value()->is_abandoned());
  buffer->bytes()[9] = std::byte{1};
  buffer.reset();
  execution.reset();
  EXPECT_FALSE(state_->alive);
  EXPECT_TRUE(backend_.UnregisterModel(model).ok());
}

TEST_F(FailoverBackendTest, ABufferNamesItsModelAsItsBackendKnowsIt) {
  (void)backend_.RegisterModel("other").value();
  const uint64_t model = backend_.RegisterModel("m").value();
  EXPECT_TRUE(backend_.UnregisterModel(1).ok());
  EXPECT_TRUE(backend_.Allocate({.size_bytes = 10, .model = model}).ok());
  EXPECT_NE(state_->buffers[0].model, 0U);
  EXPECT_EQ(backend_.Allocate({.size_bytes = 10, .model = model + 1}).status().code(), Code::kNotFound);
}

TEST_F(FailoverBackendTest, OneWhoWaitsForASlotGoesOnWithoutIt) {
  const uint64_t model = backend_.RegisterModel("m").value();
  const auto holder = std::move(backend_.Begin({.model = model}).value());
  bool ok = false;
  std::thread waiter([&] { ok = backend_.Begin({.model = model}).ok(); });
  state_->AwaitWaiting(1);
  state_->Break();
  waiter.join();
  EXPECT_TRUE(ok);
  EXPECT_EQ(backend_.mode(), RuntimeMode::kUserspace);
}

TEST_F(FailoverBackendTest, ARefusalIsNoFailure) {
  const uint64_t model = backend_.RegisterModel("m").value();
  const auto holder = std::move(backend_.Begin({.model = model}).value());
  EXPECT_EQ(backend_.Begin({.model = model, .wait = false}).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(backend_.Begin({.model = model, .stop = [] { return true; }}).status().code(), Code::kCancelled);
  EXPECT_EQ(backend_.mode(), RuntimeMode::kKernelSched);
}

}  // namespace
}  // namespace mlos::resources
