// SPDX-License-Identifier: Apache-2.0
#include "sched/executor.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "sched/latency_predictor.h"

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
  Executor executor({.threads = 1});
  Blocker blocker(executor);
  std::vector<std::string> order;
  const Event last;
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max() - 10;
  executor.Submit(Record("batch", TaskClass::kBatch, 0, &order, last));
  executor.Submit(Record("normal-1", TaskClass::kNormal, 0, &order));
  executor.Submit(Record("normal-2", TaskClass::kNormal, 0, &order));
  executor.Submit(Record("normal-late", TaskClass::kNormal, kFar, &order));
  executor.Submit(Record("normal-soon", TaskClass::kNormal, kFar - 5, &order));
  executor.Submit(Record("realtime", TaskClass::kRealtime, 0, &order));
  blocker.Release();
  last.Wait();
  EXPECT_EQ(order, (std::vector<std::string>{"realtime", "normal-soon", "normal-late", "normal-1", "normal-2",
                                             "batch"}));
}

TEST(ExecutorTest, RefusesWhenTheQueueIsFull) {
  Executor executor({.threads = 1, .max_queue = 1});
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

TEST(ExecutorTest, DropsWhatExpiredInTheQueue) {
  FakeClock clock;
  Executor executor({.threads = 1}, clock);
  Blocker blocker(executor);
  std::vector<std::string> order;
  const Event last;
  executor.Submit(Record("expired", TaskClass::kNormal, clock.MonotonicNs() + 10, &order));
  executor.Submit(Record("fine", TaskClass::kBatch, 0, &order, last));
  clock.AdvanceNs(11);
  blocker.Release();
  last.Wait();
  EXPECT_EQ(order, (std::vector<std::string>{"expired deadline_exceeded", "fine"}));
}

TEST(ExecutorTest, DropsWhatIsQueuedWhenItStops) {
  std::vector<std::string> order;
  auto executor = std::make_unique<Executor>(ExecutorOptions{.threads = 1});
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
  Executor executor({.threads = 1, .inline_below_ns = 1000});
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

  while (executor.running() > 0) std::this_thread::yield();
  Blocker blocker(executor);
  const Event queued_done;
  executor.Submit(task(999, queued_done));
  EXPECT_EQ(executor.queued(), 1u) << "the only slot is taken";
  blocker.Release();
  queued_done.Wait();
}

TEST(LatencyPredictorTest, FollowsASlowDownAtOnceAndASpeedUpSlowly) {
  LatencyPredictor predictor;
  EXPECT_EQ(predictor.predicted_ns(), 0);
  predictor.Observe(1000);
  EXPECT_EQ(predictor.predicted_ns(), 1000);
  predictor.Observe(2000);
  EXPECT_EQ(predictor.predicted_ns(), 1300);
  predictor.Observe(300);
  EXPECT_EQ(predictor.predicted_ns(), 1250);
}

}  // namespace
}  // namespace mlos::sched
