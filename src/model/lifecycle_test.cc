// SPDX-License-Identifier: Apache-2.0
// Models come and go: budget, keep-alive, pins, swaps and versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "model/latest.h"
#include "model/testing/registry_fixture.h"

namespace mlos::model {
namespace {

using testing::HasSubstr;

class LifecycleTest : public RegistryFixture {};

TEST_F(LifecycleTest, ALoadMakesTheLeastRecentlyUsedIdleModelLeave) {
  Open(100);
  Add("t/a", 40);
  clock_.AdvanceNs(1);
  Add("t/b", 40);
  clock_.AdvanceNs(1);
  ASSERT_TRUE(registry_->AcquireOrLoad("t/a").ok());
  Add("t/c", 40);
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  EXPECT_EQ(StateOf("t/b"), State::kRegistered);
  EXPECT_EQ(StateOf("t/c"), State::kReady);
  EXPECT_EQ(registry_->Get("t/b")->unloads, 1u);
  EXPECT_NE(registry_->Get("t/b")->interface, nullptr) << "what it is like stays known";
  ASSERT_TRUE(registry_->AcquireOrLoad("t/b").ok()) << "and it comes back on demand";
  EXPECT_LE(broker_->Stats().leased_bytes, 100u);
}

TEST_F(LifecycleTest, ABusyModelStaysAndTheNextOneWaitsForIt) {
  Open(100);
  Add("t/a", 60);
  Add("t/b", 60);  // a left
  Handle busy = registry_->AcquireOrLoad("t/b").value();
  std::promise<Result<Handle>> promise;
  registry_->Acquire("t/a", {}, [&](Result<Handle> h, int64_t) { promise.set_value(std::move(h)); });
  while (StateOf("t/a") != State::kWaiting || registry_->Get("t/a")->waits_for.empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(
      registry_->Get("t/a")->waits_for,
      HasSubstr("t/a@latest needs 60 B; of the memory budget of 100 B 40 B are free, the rest is held by "
                "t/b@latest 60 B (1 request)"));
  EXPECT_EQ(registry_->waiting(), 1u);
  EXPECT_EQ(StateOf("t/b"), State::kReady);
  busy.reset();
  const Result<Handle> got = promise.get_future().get();
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(StateOf("t/b"), State::kRegistered);
  EXPECT_LE(state_.most_taken_bytes, 100u);
}

TEST_F(LifecycleTest, ADeadlineAndTheLoadTimeoutEndTheWaitWithAReason) {
  Open(100, {.load_timeout_ns = 10 * kSecond});
  Add("t/a", 60);
  Add("t/b", 60);
  const Handle busy = registry_->AcquireOrLoad("t/b").value();
  std::promise<Status> soon;
  std::promise<Status> late;
  registry_->Acquire("t/a", {.deadline_ns = clock_.MonotonicNs() + kSecond},
                     [&](const Result<Handle>& h, int64_t) { soon.set_value(h.status()); });
  registry_->Acquire("t/a", {}, [&](const Result<Handle>& h, int64_t) { late.set_value(h.status()); });
  while (registry_->Get("t/a")->waits_for.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  clock_.AdvanceNs(2 * kSecond);
  registry_->Tick();
  const Status first = soon.get_future().get();
  EXPECT_EQ(first.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(first.message(), HasSubstr("held by t/b@latest 60 B"));
  clock_.AdvanceNs(10 * kSecond);
  registry_->Tick();
  EXPECT_EQ(late.get_future().get().code(), Code::kUnavailable);
  while (StateOf("t/a") != State::kRegistered) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(broker_->Stats().waiting.empty()) << "nobody wants it any more";
}

TEST_F(LifecycleTest, AClientThatGoesAwayStopsWaiting) {
  Open(100);
  Add("t/a", 60);
  Add("t/b", 60);
  const Handle busy = registry_->AcquireOrLoad("t/b").value();
  const auto cancel = std::make_shared<CancelToken>();
  std::promise<Status> promise;
  registry_->Acquire("t/a", {.cancel = cancel},
                     [&](const Result<Handle>& h, int64_t) { promise.set_value(h.status()); });
  cancel->Cancel();
  registry_->Tick();
  EXPECT_EQ(promise.get_future().get().code(), Code::kCancelled);
}

TEST_F(LifecycleTest, AModelThatCanNeverFitIsRefusedAtOnceWithBothNumbers) {
  Open(100);
  const Status refused = registry_->Register(File("t/huge", "huge", 150)).status();
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.message(), testing::AllOf(HasSubstr("150 B"), HasSubstr("100 B")));
  EXPECT_TRUE(registry_->List().empty());
}

TEST_F(LifecycleTest, AModelThatTakesMoreThanItEstimatedIsUnloadedAgainWhenThereIsNoRoom) {
  Open(100);
  Add("t/a", 60);
  const Handle busy = registry_->AcquireOrLoad("t/a").value();
  const Status refused = registry_->Register(File("t/liar", "liar", 30, 70)).status();
  EXPECT_THAT(refused.message(),
              HasSubstr("was estimated at 30 B and takes 70 B; the memory budget is 100 B"));
  WaitForAlive(1);
  EXPECT_EQ(broker_->Stats().leased_bytes, 60u);
  EXPECT_EQ(registry_->AcquireReady("t/liar").status().code(), Code::kNotFound);
}

TEST_F(LifecycleTest, AModelThatTakesMoreThanItEstimatedMakesIdleOnesLeave) {
  Open(100);
  Add("t/a", 60);
  Add("t/liar", 30, 70);
  EXPECT_EQ(StateOf("t/a"), State::kRegistered);
  EXPECT_EQ(broker_->Stats().leased_bytes, 70u);
}

TEST_F(LifecycleTest, KeepAliveUnloadsWhatIsIdleForThatLong) {
  Open(100, {.keep_alive_ns = 10 * kSecond});
  Add("t/a", 10);
  clock_.AdvanceNs(9 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  Handle in_use = registry_->AcquireReady("t/a").value();
  clock_.AdvanceNs(20 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kReady) << "it is in use";
  in_use.reset();
  clock_.AdvanceNs(10 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kRegistered);
  WaitForAlive(0);
  EXPECT_EQ(broker_->Stats().evictions[static_cast<size_t>(resources::EvictReason::kKeepAlive)], 1u);
}

TEST_F(LifecycleTest, ARequestSaysHowLongItsModelStays) {
  Open(100, {.keep_alive_ns = 10 * kSecond});
  Add("t/a", 10);
  registry_->AcquireOrLoad("t/a", {.keep_alive_ns = -1}).value().reset();
  clock_.AdvanceNs(1000 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kReady) << "for ever";
  registry_->AcquireOrLoad("t/a").value().reset();
  clock_.AdvanceNs(1000 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kReady) << "until somebody says otherwise";
  registry_->AcquireOrLoad("t/a", {.keep_alive_ns = 0}).value().reset();
  EXPECT_EQ(StateOf("t/a"), State::kRegistered) << "0 unloads at once";
  registry_->AcquireOrLoad("t/a").value().reset();
  clock_.AdvanceNs(11 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kRegistered) << "loaded anew, its own keep-alive holds";
}

TEST_F(LifecycleTest, TheRegistrationsKeepAliveWinsOverTheServers) {
  Open(100, {.keep_alive_ns = 10 * kSecond});
  Registration registration = File("t/a", "a", 10);
  registration.keep_alive_ns = 100 * kSecond;
  ASSERT_TRUE(registry_->Register(registration).ok());
  clock_.AdvanceNs(50 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  clock_.AdvanceNs(51 * kSecond);
  registry_->Tick();
  EXPECT_EQ(StateOf("t/a"), State::kRegistered);
}

TEST_F(LifecycleTest, PinnedModelsStayWhateverHappens) {
  Open(100, {.keep_alive_ns = 10 * kSecond});
  Add("t/a", 60);
  ASSERT_TRUE(registry_->SetPinned("t/a", true).ok());
  const Status refused = registry_->Register(File("t/b", "b", 60)).status();
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("t/a@latest 60 B (pinned)"));
  clock_.AdvanceNs(1000 * kSecond);
  registry_->Tick();
  EXPECT_FALSE(broker_->EvictOldest(resources::EvictReason::kPressure).has_value());
  EXPECT_EQ(registry_->Unload("t/a").status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  ASSERT_TRUE(registry_->SetPinned("t/a", false).ok());
  EXPECT_TRUE(registry_->Register(File("t/b", "b", 60)).ok());
}

TEST_F(LifecycleTest, UnloadTakesAnIdleModelAtOnceAndABusyOneAfterItsLastUser) {
  Open(100);
  Add("t/a", 10);
  EXPECT_TRUE(registry_->Unload("t/a")->unloaded);
  EXPECT_EQ(state_.alive, 0);
  EXPECT_EQ(registry_->Unload("t/a").status().code(), Code::kFailedPrecondition);
  Handle busy = registry_->AcquireOrLoad("t/a").value();
  const auto later = registry_->Unload("t/a");
  EXPECT_FALSE(later->unloaded);
  EXPECT_EQ(later->users, 1u);
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  busy.reset();
  EXPECT_EQ(StateOf("t/a"), State::kRegistered);
}

TEST_F(LifecycleTest, AModelThatIsNeverIdleIsDrainedForOneThatWaits) {
  Open(100);
  Add("t/a", 60);
  Add("t/hot", 60);
  Handle hot = registry_->AcquireOrLoad("t/hot").value();
  std::promise<Result<Handle>> waits;
  registry_->Acquire("t/a", {}, [&](Result<Handle> h, int64_t) { waits.set_value(std::move(h)); });
  while (registry_->Get("t/a")->waits_for.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  clock_.AdvanceNs(fair_ns_);
  registry_->Tick();
  EXPECT_TRUE(registry_->Get("t/hot")->draining);
  std::promise<Result<Handle>> next;
  registry_->Acquire("t/hot", {}, [&](Result<Handle> h, int64_t) { next.set_value(std::move(h)); });
  EXPECT_EQ(registry_->Get("t/hot")->waiters, 1u) << "new users wait";
  EXPECT_EQ(state_.alive, 1) << "the present one finishes";
  hot.reset();
  Result<Handle> a = waits.get_future().get();
  ASSERT_TRUE(a.ok()) << a.status().message();
  *a = nullptr;
  // The hot one comes back after it.
  ASSERT_TRUE(next.get_future().get().ok());
  EXPECT_LE(state_.most_taken_bytes, 100u);
}

TEST_F(LifecycleTest, ADrainIsTakenBackWhenNobodyNeedsIt) {
  Open(100);
  Add("t/a", 60);
  Add("t/hot", 60);
  const Handle hot = registry_->AcquireOrLoad("t/hot").value();
  std::promise<Status> waits;
  registry_->Acquire("t/a", {.deadline_ns = clock_.MonotonicNs() + kSecond},
                     [&](const Result<Handle>& h, int64_t) { waits.set_value(h.status()); });
  while (registry_->Get("t/a")->waits_for.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  clock_.AdvanceNs(fair_ns_);
  registry_->Tick();
  std::promise<Result<Handle>> next;
  registry_->Acquire("t/hot", {}, [&](Result<Handle> h, int64_t) { next.set_value(std::move(h)); });
  clock_.AdvanceNs(2 * kSecond);
  registry_->Tick();
  EXPECT_EQ(waits.get_future().get().code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(next.get_future().get().ok()) << "by the model that never left";
  EXPECT_FALSE(registry_->Get("t/hot")->draining);
  EXPECT_EQ(registry_->Get("t/hot")->loads, 1u);
}

TEST_F(LifecycleTest, ASwapLoadsTheNewModelBesideTheOldOneAndTheOldOneLeavesWithItsLastUser) {
  Open(100);
  Add("t/a", 40);
  Handle old_one = registry_->AcquireReady("t/a").value();
  SwapReport report;
  const Handle new_one = registry_->Register(File("t/a", "new", 50), &report).value();
  EXPECT_TRUE(report.replaced);
  EXPECT_FALSE(report.in_place);
  EXPECT_EQ(state_.alive, 2);
  EXPECT_EQ(registry_->AcquireReady("t/a").value(), new_one);
  EXPECT_EQ(broker_->Stats().leased_bytes, 90u) << "both are paid for while both are there";
  old_one.reset();
  WaitForAlive(1);
}

TEST_F(LifecycleTest, ASwapWithoutMemoryForBothSaysSoAndRequestsWait) {
  Open(100);
  Add("t/a", 60);
  Handle old_one = registry_->AcquireReady("t/a").value();
  SwapReport report;
  std::future<Result<Handle>> swap =
      std::async(std::launch::async, [&] { return registry_->Register(File("t/a", "new", 70), &report); });
  while (!registry_->Get("t/a")->draining) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::promise<Result<Handle>> request;
  registry_->Acquire("t/a", {}, [&](Result<Handle> h, int64_t) { request.set_value(std::move(h)); });
  old_one.reset();
  const Result<Handle> swapped = swap.get();
  ASSERT_TRUE(swapped.ok()) << swapped.status().message();
  EXPECT_TRUE(report.in_place);
  EXPECT_THAT(report.note, HasSubstr("no memory for the old and the new model at once"));
  const Result<Handle> served = request.get_future().get();
  ASSERT_TRUE(served.ok());
  EXPECT_EQ(*served, *swapped);
  EXPECT_LE(state_.most_taken_bytes, 100u);
}

TEST_F(LifecycleTest, ASwapThatFailsToLoadChangesNothing) {
  Open(100);
  Add("t/a", 40);
  const Handle old_one = registry_->AcquireReady("t/a").value();
  state_.before_load = [] { return DataLoss("truncated"); };
  EXPECT_EQ(registry_->Register(File("t/a", "new", 50)).status().message(), "truncated");
  EXPECT_EQ(registry_->AcquireReady("t/a").value(), old_one);
  EXPECT_EQ(broker_->Stats().leased_bytes, 40u);
}

TEST_F(LifecycleTest, ASwapInPlaceThatFailsLeavesTheOldRegistrationWhichLoadsAgain) {
  Open(100);
  Add("t/a", 60);
  state_.before_load = [] { return DataLoss("truncated"); };
  const Status failed = registry_->Register(File("t/a", "new", 70)).status();
  EXPECT_THAT(failed.message(), HasSubstr("the old model stays registered and loads again"));
  state_.before_load = [] { return OkStatus(); };
  const Result<Handle> again = registry_->AcquireOrLoad("t/a");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(static_cast<plugin::FakeInstance&>(*(*again)->instance).path().stem(), "a_0");
}

TEST_F(LifecycleTest, ModelsOnOneFilePayForItOnce) {
  Open(100);
  state_.estimate = [](const plugin::LoadOptions&) {
    return plugin::Estimate{.private_bytes = 10, .mapped_bytes = 50};
  };
  state_.takes = [](const plugin::LoadOptions&) { return uint64_t{10}; };
  const Registration first = File("t/a", "same", 0);
  Registration second = first;
  second.id = "t/b";
  ASSERT_TRUE(registry_->Register(first).ok());
  ASSERT_TRUE(registry_->Register(second).ok());
  EXPECT_EQ(StateOf("t/a"), State::kReady);
  EXPECT_EQ(broker_->Stats().leased_bytes, 70u);
  EXPECT_EQ(broker_->Stats().shared_bytes, 50u);
}

TEST_F(LifecycleTest, VersionsStandSideBySideAndLatestIsTheNewestUntilOneIsChosen) {
  Open(1000);
  Add("t/a@v1", 10);
  clock_.AdvanceNs(kSecond);
  Add("t/a@v2", 10);
  EXPECT_EQ(registry_->AcquireReady("t/a@v1").value()->id, "t/a@v1");
  EXPECT_EQ(registry_->AcquireReady("t/a").value()->id, "t/a@v2");
  EXPECT_EQ(registry_->AcquireReady("t/a@latest").value()->id, "t/a@v2");
  ASSERT_TRUE(registry_->SetLatest("t/a@v1").ok());
  EXPECT_EQ(registry_->AcquireReady("t/a").value()->id, "t/a@v1");
  EXPECT_TRUE(registry_->Get("t/a@v1")->is_latest);
  EXPECT_EQ(registry_->SetLatest("t/a@v9").code(), Code::kNotFound);
  ASSERT_TRUE(registry_->Unregister("t/a@v1").ok());
  EXPECT_EQ(registry_->AcquireReady("t/a").value()->id, "t/a@v2") << "a choice goes with its version";
  Add("t/a@latest", 10);
  EXPECT_EQ(registry_->AcquireReady("t/a").value()->id, "t/a@latest") << "what is literally called latest";
  ASSERT_TRUE(registry_->SetLatest("t/a@v2").ok());
  EXPECT_EQ(registry_->AcquireReady("t/a@latest").value()->id, "t/a@v2");
  ASSERT_TRUE(registry_->SetLatest("t/a").ok());
  EXPECT_EQ(registry_->AcquireReady("t/a").value()->id, "t/a@latest");
}

TEST(LatestTest, OfVersionsOfOneInstantTheAnswerIsAlwaysTheSame) {
  const VersionRow rows[] = {{"t/a@v1", 5}, {"t/a@v2", 5}, {"t/ab@v9", 9}};
  EXPECT_EQ(LatestOf("t/a", rows, ""), "t/a@v2");
  EXPECT_EQ(LatestOf("t/a", rows, "t/a@gone"), "t/a@v2");
  EXPECT_EQ(LatestOf("t/none", rows, ""), "");
}

TEST_F(LifecycleTest, ClosingAnswersWhoWaits) {
  Open(100);
  Add("t/a", 60);
  Add("t/b", 60);
  const Handle busy = registry_->AcquireOrLoad("t/b").value();
  std::promise<Status> promise;
  registry_->Acquire("t/a", {}, [&](const Result<Handle>& h, int64_t) { promise.set_value(h.status()); });
  registry_->Close();
  EXPECT_EQ(promise.get_future().get().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace mlos::model
