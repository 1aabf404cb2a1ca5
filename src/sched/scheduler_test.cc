// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <gtest/gtest.h>

namespace mlos::sched {
namespace {

constexpr int64_t kMs = 1'000'000;

class SchedulerTest : public testing::Test {
 protected:
  static void Learn(ExecutionProfile* profile, int64_t ns, uint32_t rows = 1) {
    for (int i = 0; i < 8; ++i) profile->Observe({1, rows}, 1, ns);
  }
  void SetUp() override {
    Learn(&short_, 2 * kMs);
    Learn(&long_, 75 * kMs);
  }
  Admission Add(Scheduler& s, uint64_t id, ExecutionProfile* profile, int64_t deadline_in_ns = 0,
                TaskClass task_class = TaskClass::kNormal, uint64_t group = 0) {
    return s.Add(id,
                 {.task_class = task_class,
                  .deadline_ns = deadline_in_ns == 0 ? 0 : now_ + deadline_in_ns,
                  .group = group,
                  .profile = profile},
                 now_);
  }
  Decision Next(Scheduler& s) {
    Decision decision;
    s.Next(now_, &decision);
    return decision;
  }
  // The tasks in the order in which they start on one slot, each taking no time.
  std::vector<uint64_t> StartOrder(Scheduler& s) {
    std::vector<uint64_t> order;
    for (Decision d = Next(s); d.kind == Decision::Kind::kStart; d = Next(s)) {
      order.insert(order.end(), d.tasks.begin(), d.tasks.end());
      s.Finish(d.execution, now_);
    }
    return order;
  }

  int64_t now_ = 1'000 * kMs;
  ExecutionProfile short_;
  ExecutionProfile long_;
};

TEST_F(SchedulerTest, StartsByClassThenDeadlineThenArrival) {
  Scheduler s({.slots = 1, .express_slots = 0});
  Add(s, 1, &short_, 0, TaskClass::kBatch);
  Add(s, 2, &short_);
  Add(s, 3, &short_);
  Add(s, 4, &short_, 900 * kMs);
  Add(s, 5, &short_, 500 * kMs);
  Add(s, 6, &short_, 0, TaskClass::kRealtime);
  Add(s, 7, &short_, 0, TaskClass::kHigh);
  EXPECT_EQ(StartOrder(s), (std::vector<uint64_t>{6, 7, 5, 4, 2, 3, 1}));
}

TEST_F(SchedulerTest, FirstComeFirstServedWhenToldSo) {
  Scheduler s(SchedulerOptions::Fifo(1, 10));
  Add(s, 1, &long_);
  Add(s, 2, &short_, 3 * kMs, TaskClass::kRealtime);
  EXPECT_EQ(StartOrder(s), (std::vector<uint64_t>{1, 2}));
}

TEST_F(SchedulerTest, RefusesADeadlineThatIsPastOrTooShort) {
  Scheduler s({.slots = 1});
  EXPECT_EQ(Add(s, 1, &long_, -1).refusal, Refusal::kPast);
  EXPECT_EQ(Add(s, 2, &long_, 50 * kMs).refusal, Refusal::kTooShort);
  EXPECT_EQ(Add(s, 3, &long_, 100 * kMs).refusal, Refusal::kNone);
}

TEST_F(SchedulerTest, AnIdleMachineRefusesNothingForItsSlowestRuns) {
  ExecutionProfile jittery;
  for (int i = 0; i < 32; ++i) jittery.Observe({}, 1, i % 4 == 0 ? 200 * kMs : 10 * kMs);
  Scheduler s({.slots = 1});
  EXPECT_EQ(Add(s, 1, &jittery, 60 * kMs).refusal, Refusal::kNone);
}

TEST_F(SchedulerTest, APredictionThatRefusesEverythingIsPutToTheTest) {
  ExecutionProfile wrong;
  Learn(&wrong, 500 * kMs);
  Scheduler s({.slots = 1});
  int started = 0;
  for (uint64_t id = 1; id <= 400; ++id) {
    Add(s, id, &wrong, 60 * kMs);
    for (Decision d = Next(s); d.kind == Decision::Kind::kStart; d = Next(s)) {
      ++started;
      now_ += 10 * kMs;
      if (s.Finish(d.execution, now_)) wrong.Observe({}, 1, 10 * kMs);
    }
  }
  EXPECT_GT(started, 200) << "it never learnt that the model has become fast";
}

TEST_F(SchedulerTest, RefusesADeadlineThatTheQueueBreaksAndSaysTheWait) {
  Scheduler s({.slots = 1, .express_slots = 0});
  for (uint64_t id = 1; id <= 4; ++id) Add(s, id, &long_, 0, TaskClass::kHigh);
  ASSERT_EQ(Next(s).kind, Decision::Kind::kStart);
  const Admission late = Add(s, 5, &short_, 100 * kMs, TaskClass::kHigh);
  EXPECT_EQ(late.refusal, Refusal::kNone) << "its deadline comes before those that wait without one";
  const Admission behind = Add(s, 6, &short_, 50 * kMs);
  EXPECT_EQ(behind.refusal, Refusal::kNoTime);
  EXPECT_GE(behind.wait_ns, 75 * kMs);
}

TEST_F(SchedulerTest, DropsAWaitingTaskOnceItsLatestStartHasPassed) {
  Scheduler s({.slots = 1, .express_slots = 0});
  Add(s, 1, &long_);
  ASSERT_EQ(Next(s).kind, Decision::Kind::kStart);
  Add(s, 2, &short_, 80 * kMs);
  EXPECT_EQ(s.NextDropNs(), now_ + 78 * kMs + 1);
  now_ += 78 * kMs;
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing);
  now_ += 1;
  const Decision drop = Next(s);
  EXPECT_EQ(drop.kind, Decision::Kind::kDrop);
  EXPECT_EQ(drop.refusal, Refusal::kExpired);
  EXPECT_EQ(drop.tasks, (std::vector<uint64_t>{2}));
  EXPECT_EQ(s.queued(), 0u);
}

TEST_F(SchedulerTest, AFullQueueRefusesButMakesRoomForAHigherClass) {
  Scheduler s({.slots = 1, .express_slots = 0, .max_queue = 2});
  Add(s, 1, &long_);
  Add(s, 2, &long_, 0, TaskClass::kBatch);
  EXPECT_EQ(Add(s, 3, &long_, 0, TaskClass::kBatch).refusal, Refusal::kQueueFull);
  const Admission high = Add(s, 4, &long_, 0, TaskClass::kHigh);
  EXPECT_EQ(high.refusal, Refusal::kNone);
  EXPECT_EQ(high.displaced, 2u);
  EXPECT_EQ(s.queued(), 2u);
}

TEST_F(SchedulerTest, RealtimeGoesBesideALongRun) {
  Scheduler s({.slots = 1});
  Add(s, 1, &long_);
  ASSERT_EQ(Next(s).kind, Decision::Kind::kStart);
  Add(s, 2, &short_);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing) << "no deadline, no hurry";
  Add(s, 3, &short_, 0, TaskClass::kRealtime);
  const Decision express = Next(s);
  EXPECT_EQ(express.tasks, (std::vector<uint64_t>{3}));
  EXPECT_FALSE(s.Finish(express.execution, now_)) << "its time says nothing";
}

TEST_F(SchedulerTest, AShortTaskThatWouldBeLateGoesBesideALongRunUnlessThatMakesItLate) {
  Scheduler s({.slots = 1});
  Add(s, 1, &long_, 300 * kMs);
  ASSERT_EQ(Next(s).kind, Decision::Kind::kStart);
  Add(s, 2, &short_, 25 * kMs);
  EXPECT_EQ(Next(s).tasks, (std::vector<uint64_t>{2}));

  Scheduler tight({.slots = 1});
  Add(tight, 1, &long_, 76 * kMs);
  ASSERT_EQ(Next(tight).kind, Decision::Kind::kStart);
  EXPECT_EQ(Add(tight, 2, &short_, 25 * kMs).refusal, Refusal::kNoTime);
}

TEST_F(SchedulerTest, AnExecutionHoldsAsManySlotsAsItHasThreads) {
  ExecutionProfile threads;
  for (int i = 0; i < 8; ++i) {
    threads.Observe({}, 1, 80 * kMs);
    threads.Observe({}, 2, 41 * kMs);
    threads.Observe({}, 4, 22 * kMs);
  }
  Scheduler s({.slots = 4, .express_slots = 0});
  Add(s, 1, &threads);
  const Decision alone = Next(s);
  EXPECT_EQ(alone.threads, 4);
  EXPECT_EQ(s.busy_slots(), 4);
  Add(s, 2, &threads);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing);
  s.Finish(alone.execution, now_);
  EXPECT_EQ(s.busy_slots(), 0);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kStart);
}

TEST_F(SchedulerTest, WhatWaitsOfOneGroupRunsTogetherWhenThatPays) {
  ExecutionProfile batches;
  Learn(&batches, 35 * kMs);
  Learn(&batches, 50 * kMs, 4);
  Scheduler s({.slots = 1, .express_slots = 0});
  Add(s, 1, &batches, 0, TaskClass::kNormal, 7);
  Add(s, 2, &batches, 0, TaskClass::kNormal, 8);
  for (uint64_t id = 3; id <= 5; ++id) Add(s, id, &batches, 0, TaskClass::kNormal, 7);
  const Decision first = Next(s);
  EXPECT_EQ(first.tasks, (std::vector<uint64_t>{1, 3, 4, 5}));
  s.Finish(first.execution, now_);
  EXPECT_EQ(Next(s).tasks, (std::vector<uint64_t>{2}));
}

class SchedulerGatherTest : public SchedulerTest {
 protected:
  void SetUp() override {
    SchedulerTest::SetUp();
    for (const uint32_t rows : {1U, 2U, 3U, 4U}) Learn(&batches_, (16 + 8 * rows) * kMs, rows);
  }
  void Come(Scheduler& s, int requests, int64_t deadline_in_ns = 0) {
    for (int i = 0; i < requests; ++i) Add(s, ++last_id_, &batches_, deadline_in_ns, TaskClass::kNormal, 7);
  }
  // A batch of four has just ended.
  void EndBatchOfFour(Scheduler& s) {
    Come(s, 4);
    const Decision d = Next(s);
    ASSERT_EQ(d.tasks.size(), 4u);
    now_ += 48 * kMs;
    s.Finish(d.execution, now_);
  }

  ExecutionProfile batches_;
  uint64_t last_id_ = 0;
};

TEST_F(SchedulerGatherTest, TheFirstToComeBackAfterABatchWaitsForTheOthers) {
  Scheduler s({.slots = 1, .express_slots = 0});
  EndBatchOfFour(s);
  Come(s, 1);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing);
  EXPECT_FALSE(s.CanStart(now_));
  EXPECT_GT(s.HeldUntilNs(now_), now_);
  Come(s, 3);
  EXPECT_TRUE(s.CanStart(now_));
  EXPECT_EQ(Next(s).tasks.size(), 4u);
}

TEST_F(SchedulerGatherTest, WhoeverIsThereStartsWhenTheMomentIsOver) {
  Scheduler s({.slots = 1, .express_slots = 0});
  EndBatchOfFour(s);
  Come(s, 2);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing);
  now_ = s.HeldUntilNs(now_);
  EXPECT_EQ(Next(s).tasks.size(), 2u);
}

TEST_F(SchedulerGatherTest, WorkOfOthersIsNotHeldBack) {
  Scheduler s({.slots = 1, .express_slots = 0});
  EndBatchOfFour(s);
  Come(s, 1);
  Add(s, 100, &short_);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kStart);
}

TEST_F(SchedulerGatherTest, AHigherClassIsNotHeldBack) {
  Scheduler s({.slots = 1, .express_slots = 0});
  EndBatchOfFour(s);
  Add(s, 100, &batches_, 0, TaskClass::kHigh, 7);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kStart);
}

TEST_F(SchedulerGatherTest, NobodyIsHeldBackWhoWouldBeLateByIt) {
  Scheduler s({.slots = 1, .express_slots = 0});
  EndBatchOfFour(s);
  Come(s, 1, 25 * kMs);
  EXPECT_EQ(Next(s).kind, Decision::Kind::kStart);
}

TEST_F(SchedulerGatherTest, WhatWaitsIsSharedWithTheSlotsAsTheyAreFilledAlready) {
  Scheduler s({.slots = 2, .express_slots = 0, .plan_threads = false});
  Come(s, 1);
  Next(s);
  Come(s, 1);
  const Decision second = Next(s);
  Come(s, 6);
  s.Finish(second.execution, now_);
  EXPECT_EQ(Next(s).tasks.size(), 4u) << "one runs, six wait: half of seven";
}

TEST_F(SchedulerTest, ARemovedTaskNeverRuns) {
  Scheduler s({.slots = 1});
  Add(s, 1, &short_);
  EXPECT_TRUE(s.Remove(1));
  EXPECT_FALSE(s.Remove(1));
  EXPECT_EQ(Next(s).kind, Decision::Kind::kNothing);
}

TEST_F(SchedulerTest, BatchGetsItsShareWhileAHigherClassFloods) {
  Scheduler s({.slots = 1, .express_slots = 0, .max_queue = 100'000});
  Add(s, 1, &short_, 0, TaskClass::kBatch);
  uint64_t id = 2;
  for (int i = 0; i < 4000; ++i) {
    Add(s, id++, &short_, 0, TaskClass::kHigh);
    Add(s, id++, &short_, 0, TaskClass::kHigh);
    const Decision d = Next(s);
    now_ += 2 * kMs;
    s.Finish(d.execution, now_);
    if (d.tasks.front() == 1) {
      EXPECT_GE(now_, 6'000 * kMs) << "not before its patience is over";
      return;
    }
  }
  FAIL() << "the batch task starved";
}

}  // namespace
}  // namespace mlos::sched
