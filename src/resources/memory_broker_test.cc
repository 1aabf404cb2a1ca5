// SPDX-License-Identifier: Apache-2.0
#include "resources/memory_broker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "resources/testing/fake_lease_owner.h"

namespace mlos::resources {
namespace {

constexpr int64_t kFairNs = 1000;

class MemoryBrokerTest : public testing::Test {
 protected:
  void SetUp() override { broker_.SetOwner(&owner_); }
  void TearDown() override {
    broker_.Shutdown();
    broker_.SetOwner(nullptr);
  }

  struct Asked {
    std::optional<Result<Lease>> answer;
    MemoryBroker::Ticket ticket = 0;
  };
  std::shared_ptr<Asked> Ask(const std::string& who, uint64_t bytes,
                             MemoryBroker::ReserveOptions options = {}) {
    auto asked = std::make_shared<Asked>();
    asked->ticket =
        broker_.Reserve({.who = who, .private_bytes = bytes}, std::move(options),
                        [a = asked](Result<Lease> lease) { a->answer.emplace(std::move(lease)); });
    return asked;
  }
  LeaseId Hold(const std::string& who, uint64_t bytes, Use use, int64_t last_used_ns = 0) {
    const auto asked = Ask(who, bytes);
    EXPECT_TRUE(asked->answer.has_value() && asked->answer->ok()) << who;
    Lease lease = std::move(*asked->answer).value();
    EXPECT_TRUE(broker_.Commit(lease, bytes).ok());
    return owner_.Hold(std::move(lease), use, last_used_ns);
  }

  FakeClock clock_;
  MemoryBroker broker_{{.budget_bytes = 100, .budget_source = "a test", .fair_after_ns = kFairNs}, clock_};
  FakeLeaseOwner owner_;
};

TEST_F(MemoryBrokerTest, GrantsWhatFitsAtOnceAndTakesItBackWithTheLease) {
  auto asked = Ask("a", 60);
  ASSERT_TRUE(asked->answer.has_value());
  EXPECT_EQ(broker_.Stats().leased_bytes, 60u);
  EXPECT_EQ(broker_.Stats().reserved_bytes, 60u);
  asked->answer.reset();
  EXPECT_EQ(broker_.Stats().leased_bytes, 0u);
}

TEST_F(MemoryBrokerTest, WhatCanNeverFitIsRefusedAtOnceWithBothNumbers) {
  const auto asked = Ask("a", 101);
  ASSERT_TRUE(asked->answer.has_value());
  EXPECT_EQ(asked->answer->status().code(), Code::kFailedPrecondition);
  EXPECT_NE(asked->answer->status().message().find("101 B"), std::string::npos);
  EXPECT_NE(asked->answer->status().message().find("100 B"), std::string::npos);
}

TEST_F(MemoryBrokerTest, AnIdleOneMakesRoomAndTheNextGetsItsMemoryOnceItIsBack) {
  const LeaseId old_one = Hold("old", 60, Use::kIdle, 1);
  const LeaseId new_one = Hold("new", 40, Use::kIdle, 2);
  const auto asked = Ask("c", 50);
  EXPECT_TRUE(owner_.evicted(old_one));
  EXPECT_FALSE(owner_.evicted(new_one));
  EXPECT_FALSE(asked->answer.has_value()) << "the memory is not back yet";
  owner_.Drop(old_one);
  ASSERT_TRUE(asked->answer.has_value() && asked->answer->ok());
  EXPECT_LE(broker_.Stats().leased_bytes, 100u);
  EXPECT_EQ(broker_.Stats().evictions[static_cast<size_t>(EvictReason::kRoom)], 1u);
  EXPECT_EQ(broker_.Stats().waits, 1u);
}

TEST_F(MemoryBrokerTest, ABusyOneIsWaitedForWithAReasonAndAPrediction) {
  const LeaseId busy = Hold("busy", 80, Use::kBusy);
  owner_.Set(busy, Use::kBusy, 700);
  const auto asked = Ask("c", 50);
  EXPECT_FALSE(asked->answer.has_value());
  int64_t predicted = 0;
  EXPECT_EQ(broker_.WhyWaiting(asked->ticket, &predicted),
            "c needs 50 B; of the memory budget of 100 B 20 B are free, the rest is held by busy 80 B");
  EXPECT_EQ(predicted, 700);
  owner_.Set(busy, Use::kIdle);
  broker_.Pump();
  EXPECT_TRUE(owner_.evicted(busy));
  owner_.Drop(busy);
  EXPECT_TRUE(asked->answer.has_value());
}

TEST_F(MemoryBrokerTest, PinnedOnesInTheWayRefuseAtOnce) {
  Hold("pinned", 80, Use::kPinned);
  const auto asked = Ask("c", 50);
  ASSERT_TRUE(asked->answer.has_value());
  EXPECT_EQ(asked->answer->status().code(), Code::kUnavailable);
  EXPECT_NE(asked->answer->status().message().find("pinned 80 B (pinned)"), std::string::npos);
}

TEST_F(MemoryBrokerTest, SmallOnesPassTheFirstInLineUntilItHasWaitedTooLong) {
  Hold("busy", 80, Use::kBusy);
  const auto first = Ask("first", 50);
  const auto small = Ask("small", 10);
  EXPECT_TRUE(small->answer.has_value());
  clock_.AdvanceNs(kFairNs);
  const auto late = Ask("late", 10);
  EXPECT_FALSE(late->answer.has_value());
  EXPECT_FALSE(first->answer.has_value());
}

TEST_F(MemoryBrokerTest, OneThatIsAlwaysBusyIsDrainedForTheFirstInLine) {
  const LeaseId busy = Hold("busy", 80, Use::kBusy);
  const auto asked = Ask("c", 50);
  EXPECT_FALSE(owner_.draining(busy));
  clock_.AdvanceNs(kFairNs);
  broker_.Pump();
  EXPECT_TRUE(owner_.draining(busy));
  EXPECT_FALSE(owner_.evicted(busy)) << "its users finish";
  EXPECT_TRUE(broker_.Cancel(asked->ticket));
  EXPECT_FALSE(owner_.draining(busy)) << "nobody needs its memory any more";
  EXPECT_FALSE(asked->answer.has_value());
}

TEST_F(MemoryBrokerTest, TheFirstInLineCollectsIdleOnesThatNeverMeet) {
  const LeaseId a = Hold("a", 50, Use::kIdle);
  const LeaseId b = Hold("b", 50, Use::kBusy);
  const auto asked = Ask("c", 100);
  EXPECT_FALSE(owner_.evicted(a)) << "alone it does not help";
  clock_.AdvanceNs(kFairNs);
  broker_.Pump();
  EXPECT_TRUE(owner_.evicted(a));
  EXPECT_TRUE(owner_.draining(b));
  owner_.Drop(a);
  owner_.Drop(b);
  EXPECT_TRUE(asked->answer.has_value());
}

TEST_F(MemoryBrokerTest, CommitGivesBackWhatWasEstimatedTooHigh) {
  auto asked = Ask("a", 90);
  const auto next = Ask("b", 40);
  EXPECT_FALSE(next->answer.has_value());
  EXPECT_TRUE(broker_.Commit(**asked->answer, 30).ok());
  EXPECT_TRUE(next->answer.has_value());
  EXPECT_EQ(broker_.Stats().leased_bytes, 70u);
}

TEST_F(MemoryBrokerTest, OneThatTakesMoreThanEstimatedMakesIdleOnesLeave) {
  const LeaseId idle = Hold("idle", 60, Use::kIdle);
  const auto asked = Ask("a", 30);
  ASSERT_TRUE(asked->answer.has_value());
  std::thread reaper([&] {
    while (!owner_.evicted(idle)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    owner_.Drop(idle);
  });
  EXPECT_TRUE(broker_.Commit(**asked->answer, 70).ok());
  reaper.join();
  EXPECT_EQ(broker_.Stats().leased_bytes, 70u);
  EXPECT_EQ(broker_.Stats().corrections, 1u);
}

TEST_F(MemoryBrokerTest, OneThatTakesMoreThanThereIsIsToldEstimateFindingAndBudget) {
  Hold("busy", 60, Use::kBusy);
  const auto asked = Ask("a", 30);
  const Status crowded = broker_.Commit(**asked->answer, 70);
  EXPECT_EQ(crowded.code(), Code::kUnavailable);
  EXPECT_NE(crowded.message().find("a was estimated at 30 B and takes 70 B; the memory budget is 100 B"),
            std::string::npos)
      << crowded.message();
  EXPECT_EQ(broker_.Commit(**asked->answer, 170).code(), Code::kFailedPrecondition);
  EXPECT_EQ(broker_.Stats().leased_bytes, 90u);
}

TEST_F(MemoryBrokerTest, OneThatGrowsLaterPushesIdleOnesOut) {
  const LeaseId idle = Hold("idle", 50, Use::kIdle);
  const LeaseId grows = Hold("grows", 50, Use::kBusy);
  broker_.Correct(grows, 70);
  EXPECT_TRUE(owner_.evicted(idle));
  owner_.Drop(idle);
  EXPECT_EQ(broker_.Stats().leased_bytes, 70u);
  broker_.Correct(grows, 10);
  EXPECT_EQ(broker_.Stats().leased_bytes, 50u) << "never below what was committed";
}

TEST_F(MemoryBrokerTest, UnderPressureTheOldestIdleOneGoes) {
  const LeaseId old_one = Hold("old", 10, Use::kIdle, 1);
  Hold("new", 10, Use::kIdle, 2);
  Hold("busy", 10, Use::kBusy, 0);
  EXPECT_EQ(broker_.EvictOldest(EvictReason::kPressure)->first, "old");
  EXPECT_TRUE(owner_.evicted(old_one));
  EXPECT_EQ(broker_.EvictOldest(EvictReason::kPressure)->first, "new");
  EXPECT_FALSE(broker_.EvictOldest(EvictReason::kPressure).has_value());
}

TEST_F(MemoryBrokerTest, AFullLineRefuses) {
  MemoryBroker broker({.budget_bytes = 10, .max_waiting = 1}, clock_);
  std::vector<Result<Lease>> answers;
  const auto keep = [&](Result<Lease> lease) { answers.push_back(std::move(lease)); };
  broker.Reserve({.who = "a", .private_bytes = 10}, keep);
  broker.Reserve({.who = "b", .private_bytes = 10}, keep);
  broker.Reserve({.who = "c", .private_bytes = 10}, keep);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].status().code(), Code::kUnavailable);
  Lease first = std::move(answers[0]).value();
  answers.clear();
  first.Reset();
  ASSERT_EQ(answers.size(), 1u) << "b got what a gave back";
  Lease second = std::move(answers[0]).value();
}

TEST_F(MemoryBrokerTest, WhoStillWaitsAtTheEndIsTold) {
  auto broker = std::make_unique<MemoryBroker>(BrokerOptions{.budget_bytes = 10}, clock_);
  Lease taken;
  Status told;
  broker->Reserve({.who = "a", .private_bytes = 10}, [&](Result<Lease> l) { taken = std::move(l).value(); });
  broker->SetOwner(&owner_);
  const LeaseId busy = owner_.Hold(std::move(taken), Use::kBusy, 0);
  broker->Reserve({.who = "b", .private_bytes = 10}, [&](Result<Lease> l) { told = l.status(); });
  broker->SetOwner(nullptr);
  EXPECT_TRUE(told.ok());
  broker->Shutdown();
  EXPECT_EQ(told.code(), Code::kUnavailable);
  Status late;
  broker->Reserve({.who = "c", .private_bytes = 1}, [&](Result<Lease> l) { late = l.status(); });
  EXPECT_EQ(late.code(), Code::kUnavailable);
  owner_.Drop(busy);
}

}  // namespace
}  // namespace mlos::resources
