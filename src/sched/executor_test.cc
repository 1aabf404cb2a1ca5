// SPDX-License-Identifier: Apache-2.0
#include "sched/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/event_turn.h"

namespace mlos::sched {
namespace {

// Set once by one thread, awaited by another; whoever is last frees it.
class Event {
 public:
  void Set() const { state_->set_value(); }
  void Wait() const { future_.wait(); }

 private:
  std::shared_ptr<std::promise<void>> state_ = std::make_shared<std::promise<void>>();
  std::shared_future<void> future_ = state_->get_future().share();
};

ExecutorOptions OneSlot() {
  ExecutorOptions options;
  options.scheduler.slots = 1;
  options.scheduler.express_slots = 0;
  return options;
}

// Occupies the only thread of an executor until released.
class Blocker {
 public:
  explicit Blocker(Executor& executor) {
    const Event started;
    executor.Submit({.run =
                         [started, released = released_] {
                           started.Set();
                           released.Wait();
                         },
                     .drop = [](const Status&) { ADD_FAILURE() << "the blocker was dropped"; }});
    started.Wait();
  }
  void Release() const { released_.Set(); }

 private:
  Event released_;
};

Task Record(std::string name, TaskClass task_class, int64_t deadline_ns, std::vector<std::string>* order,
            std::optional<Event> last = std::nullopt) {
  return {.task_class = task_class,
          .deadline_ns = deadline_ns,
          .run =
              [name, order, last] {
                order->push_back(name);
                if (last) last->Set();
              },
          .drop = [name, order](
                      const Status& s) { order->push_back(name + " " + std::string(CodeName(s.code()))); }};
}

TEST(ExecutorTest, StartsByClassThenDeadlineThenArrival) {
  Executor executor(OneSlot());
  Blocker blocker(executor);
  std::vector<std::string> order;
  const Event last;
  const int64_t in_an_hour = Clock::Real().MonotonicNs() + 3'600'000'000'000;
  const int64_t in_a_second = Clock::Real().MonotonicNs() + 1'000'000'000;
  executor.Submit(Record("batch", TaskClass::kBatch, 0, &order, last));
  executor.Submit(Record("normal-1", TaskClass::kNormal, 0, &order));
  executor.Submit(Record("normal-2", TaskClass::kNormal, 0, &order));
  executor.Submit(Record("normal-late", TaskClass::kNormal, in_an_hour, &order));
  executor.Submit(Record("normal-soon", TaskClass::kNormal, in_a_second, &order));
  executor.Submit(Record("realtime", TaskClass::kRealtime, 0, &order));
  blocker.Release();
  last.Wait();
  EXPECT_EQ(order, (std::vector<std::string>{"realtime", "normal-soon", "normal-1", "normal-2", "normal-late",
                                             "batch"}));
}

TEST(ExecutorTest, RefusesWhenTheQueueIsFull) {
  ExecutorOptions options = OneSlot();
  options.scheduler.max_queue = 1;
  Executor executor(options);
  Blocker blocker(executor);
  std::vector<std::string> order;
  const Event last;
  executor.Submit(Record("first", TaskClass::kNormal, 0, &order, last));
  std::vector<std::string> refused;
  executor.Submit(Record("second", TaskClass::kNormal, 0, &refused));
  EXPECT_EQ(refused, (std::vector<std::string>{"second unavailable"}));
  blocker.Release();
  last.Wait();
  EXPECT_EQ(order, (std::vector<std::string>{"first"}));
}

TEST(ExecutorTest, DropsWhatExpiredInTheQueueWhileTheSlotIsStillTaken) {
  FakeClock clock;
  Executor executor(OneSlot(), clock);
  Blocker blocker(executor);
  const Event dropped;
  Status why;
  executor.Submit({.deadline_ns = clock.MonotonicNs() + 10,
                   .run = [] { ADD_FAILURE() << "ran too late"; },
                   .drop =
                       [&](Status status) {
                         why = std::move(status);
                         dropped.Set();
                       }});
  clock.AdvanceNs(11);
  dropped.Wait();
  EXPECT_EQ(why.code(), Code::kDeadlineExceeded);
  blocker.Release();
}

// A job that answers from another thread, later, as one that runs in a worker process does.
class LaterJob final : public Job {
 public:
  LaterJob(std::vector<Execution>* held, const Event& started) : held_(held), started_(started) {}
  void Run(std::unique_ptr<Job> /*self*/, std::vector<std::unique_ptr<Job>> /*others*/,
           Execution execution) override {
    held_->push_back(std::move(execution));
    started_.Set();
  }
  void Drop(Dropped why) override { ADD_FAILURE() << why.status.message(); }

 private:
  std::vector<Execution>* const held_;
  const Event started_;
};

TEST(ExecutorTest, AnExecutionHoldsItsSlotUntilItEndsNotUntilRunReturns) {
  Executor executor(OneSlot());
  std::vector<Execution> held;
  const Event first;
  executor.Submit(executor.NewId(), {}, Inline::kAlways, std::make_unique<LaterJob>(&held, first));
  first.Wait();
  EXPECT_EQ(executor.running(), 1u);
  const Event second;
  executor.Submit(executor.NewId(), {}, Inline::kAlways, std::make_unique<LaterJob>(&held, second));
  EXPECT_EQ(executor.queued(), 1u);
  EXPECT_TRUE(held[0].End());
  second.Wait();
  EXPECT_EQ(executor.queued(), 0u);
  held.clear();
  EXPECT_EQ(executor.running(), 0u);
}

TEST(ExecutorTest, ACancelledJobIsDroppedWhileItWaits) {
  Executor executor(OneSlot());
  Blocker blocker(executor);
  const Event dropped;
  class Waits final : public Job {
   public:
    explicit Waits(const Event& gone) : dropped_(gone) {}
    void Run(std::unique_ptr<Job> /*self*/, std::vector<std::unique_ptr<Job>> /*others*/,
             Execution /*execution*/) override {
      ADD_FAILURE() << "ran";
    }
    void Drop(Dropped why) override {
      EXPECT_EQ(why.refusal, Refusal::kCancelled);
      dropped_.Set();
    }

   private:
    const Event dropped_;
  };
  const uint64_t id = executor.NewId();
  executor.Submit(id, {}, Inline::kIfShort, std::make_unique<Waits>(dropped));
  executor.Cancel(id);
  dropped.Wait();
  executor.Cancel(id);
  EXPECT_EQ(executor.queued(), 0u);
  blocker.Release();
}

TEST(ExecutorTest, DropsWhatIsQueuedWhenItStops) {
  std::vector<std::string> order;
  auto executor = std::make_unique<Executor>(OneSlot());
  const Blocker blocker(*executor);
  const Event dropped;
  executor->Submit({.run = [&order] { order.emplace_back("run"); },
                    .drop =
                        [&order, dropped](const Status& s) {
                          order.push_back("queued " + std::string(CodeName(s.code())));
                          dropped.Set();
                        }});
  std::thread release([&] {
    dropped.Wait();
    blocker.Release();
  });
  executor.reset();
  release.join();
  EXPECT_EQ(order, (std::vector<std::string>{"queued unavailable"}));
}

TEST(ExecutorTest, RunsShortTasksOnTheCallerOnlyWhenASlotIsFree) {
  ExecutorOptions options = OneSlot();
  options.inline_below_ns = 1000;
  Executor executor(options);
  std::thread::id ran_on;
  const auto task = [&ran_on](int64_t predicted_ns, const Event& done) {
    return Task{.predicted_ns = predicted_ns,
                .run =
                    [&ran_on, done] {
                      ran_on = std::this_thread::get_id();
                      done.Set();
                    },
                .drop = [](const Status&) {}};
  };
  const Event short_done;
  executor.Submit(task(999, short_done));
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  const Event long_done;
  executor.Submit(task(1000, long_done));
  long_done.Wait();
  EXPECT_NE(ran_on, std::this_thread::get_id());

  while (executor.running() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Blocker blocker(executor);
  const Event queued_done;
  executor.Submit(task(999, queued_done));
  EXPECT_EQ(executor.queued(), 1u) << "the only slot is taken";
  blocker.Release();
  queued_done.Wait();
}

// --- put off to the end of a turn -------------------------------------------------------------------------------------

ExecutorOptions ShortBelow(int64_t ns, int slots = 1) {
  ExecutorOptions options = OneSlot();
  options.scheduler.slots = slots;
  options.inline_below_ns = ns;
  return options;
}

// An executor's threads look for work once before they sleep, and would take what is put off.
void AwaitSleep() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

// Records who ran together, and where.
class GroupJob final : public Job {
 public:
  struct Runs {
    std::vector<size_t> members;
    std::vector<std::thread::id> threads;
  };
  explicit GroupJob(Runs* runs) : runs_(runs) {}
  void Run(std::unique_ptr<Job> /*self*/, std::vector<std::unique_ptr<Job>> others,
           Execution execution) override {
    runs_->members.push_back(others.size() + 1);
    runs_->threads.push_back(std::this_thread::get_id());
    execution.End();
  }
  void Drop(Dropped why) override { ADD_FAILURE() << why.status.message(); }

 private:
  Runs* const runs_;
};

TEST(ExecutorTurnTest, ShortTasksOfATurnStartAtItsEndOnItsThreadByTheirOrder) {
  Executor executor(ShortBelow(1000));
  AwaitSleep();
  std::vector<std::string> order;
  EventTurn turn;
  const auto submit = [&](const char* name, TaskClass task_class) {
    Task task = Record(name, task_class, 0, &order);
    task.predicted_ns = 999;
    task.run = [&order, name, mine = std::this_thread::get_id()] {
      EXPECT_EQ(std::this_thread::get_id(), mine);
      order.emplace_back(name);
    };
    executor.Submit(std::move(task));
  };
  submit("normal", TaskClass::kNormal);
  submit("batch", TaskClass::kBatch);
  submit("high", TaskClass::kHigh);
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(executor.queued(), 3u);
  turn.End();
  EXPECT_EQ(order, (std::vector<std::string>{"high", "normal", "batch"}));
  EXPECT_EQ(executor.running(), 0u);
}

TEST(ExecutorTurnTest, RequestsOfATurnShareAnExecutionOnceThatIsKnownToPay) {
  Executor executor(ShortBelow(500'000, 2));
  AwaitSleep();
  ExecutionProfile profile;
  for (uint32_t rows = 1; rows <= 8; ++rows) {
    for (int i = 0; i < 40; ++i) profile.Observe({16, rows}, 1, 10'000 + rows);
  }
  GroupJob::Runs runs;
  EventTurn turn;
  const TaskInfo info{
      .task_class = TaskClass::kNormal, .size = {16, 1}, .group = 7, .max_rows = 8, .profile = &profile};
  for (int i = 0; i < 8; ++i)
    executor.Submit(executor.NewId(), info, Inline::kIfShort, std::make_unique<GroupJob>(&runs));
  EXPECT_TRUE(runs.members.empty());
  turn.End();
  size_t all = 0;
  for (const size_t members : runs.members) all += members;
  EXPECT_EQ(all, 8u);
  EXPECT_LT(runs.members.size(), 8u) << "each ran alone";
}

TEST(ExecutorTurnTest, WhatCannotStartAtTheEndIsLeftToTheExecutorsThreads) {
  Executor executor(ShortBelow(1000));
  Blocker blocker(executor);
  std::thread::id ran_on;
  const Event done;
  {
    EventTurn turn;
    executor.Submit({.predicted_ns = 999,
                     .run =
                         [&] {
                           ran_on = std::this_thread::get_id();
                           done.Set();
                         },
                     .drop = [](const Status& s) { ADD_FAILURE() << s.message(); }});
  }
  EXPECT_EQ(executor.queued(), 1u);
  blocker.Release();
  done.Wait();
  EXPECT_NE(ran_on, std::this_thread::get_id());
}

TEST(ExecutorTurnTest, LongTasksAreNotPutOff) {
  Executor executor(ShortBelow(1000));
  const Event done;
  EventTurn turn;
  executor.Submit({.predicted_ns = 1000, .run = [done] { done.Set(); }, .drop = [](const Status&) {}});
  done.Wait();
  EXPECT_FALSE(turn.pending());
}

TEST(ExecutorTurnTest, OneThatIsCancelledBeforeTheEndDoesNotRun) {
  Executor executor(ShortBelow(1000));
  AwaitSleep();
  const Event dropped;
  class Waits final : public Job {
   public:
    explicit Waits(const Event& gone) : dropped_(gone) {}
    void Run(std::unique_ptr<Job> /*self*/, std::vector<std::unique_ptr<Job>> /*others*/,
             Execution /*execution*/) override {
      ADD_FAILURE() << "ran";
    }
    void Drop(Dropped why) override {
      EXPECT_EQ(why.refusal, Refusal::kCancelled);
      dropped_.Set();
    }

   private:
    const Event dropped_;
  };
  EventTurn turn;
  const uint64_t id = executor.NewId();
  executor.Submit(id, {.predicted_ns = 10}, Inline::kIfShort, std::make_unique<Waits>(dropped));
  executor.Cancel(id);
  turn.End();
  dropped.Wait();
  EXPECT_EQ(executor.queued(), 0u);
}

// Several event loops, and threads without one, at the same time: everything runs once.
TEST(ExecutorTurnTest, EverythingRunsOnceFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kTurns = 300;
  std::atomic<int> ran{0};
  std::atomic<int> submitted{0};
  {
    ExecutorOptions options = ShortBelow(1000, 2);
    options.scheduler.max_queue = size_t{kThreads} * kTurns * 5;
    Executor executor(options);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kTurns; ++i) {
          EventTurn turn;
          for (int n = 0; n < i % 5; ++n) {
            ++submitted;
            executor.Submit({.predicted_ns = n % 3 == 2 ? 5000 : 500 + t,
                             .run = [&ran] { ++ran; },
                             .drop = [](const Status& s) { ADD_FAILURE() << s.message(); }});
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (executor.queued() + executor.running() > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(ran.load(), submitted.load());
}

}  // namespace
}  // namespace mlos::sched
