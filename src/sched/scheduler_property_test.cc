// SPDX-License-Identifier: Apache-2.0
// Random arrivals, sizes, classes, deadlines, cancellations; what must hold whatever comes.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "sched/scheduler.h"

namespace mlos::sched {
namespace {

constexpr int64_t kMs = 1'000'000;

struct Asked {
  TaskInfo info;
  int64_t arrived_ns = 0;
  int64_t run_ns = 0;
};

class World {
 public:
  // one_group: all requests are alike, so that batches are waited for.
  World(const SchedulerOptions& options, uint64_t seed, bool one_group)
      : options_(options), scheduler_(options), random_(seed), one_group_(one_group) {
    for (size_t i = 0; i < std::size(kRunMs); ++i) {
      profiles_.push_back(std::make_unique<ExecutionProfile>());
      for (uint32_t rows : {1U, 2U, 4U, 8U}) {
        for (uint32_t threads : {1U, 2U, 4U}) {
          for (int n = 0; n < 5; ++n) profiles_[i]->Observe({1, rows}, threads, RunNs(i, rows, threads));
        }
      }
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      const uint64_t dice = random_() % 100;
      if (dice < 55) {
        Arrive();
      } else if (dice < 60) {
        Cancel();
      } else {
        now_ += static_cast<int64_t>(random_() % 12) * kMs;
      }
      FinishDue();
      Decide();
    }
    while (!waiting_.empty() || !running_.empty()) {
      now_ += kMs;
      FinishDue();
      Decide();
      ASSERT_LT(now_, int64_t{3'600'000} * kMs) << "no progress: " << waiting_.size() << " wait";
    }
    EXPECT_EQ(scheduler_.queued(), 0u);
    EXPECT_EQ(scheduler_.busy_slots(), 0);
    EXPECT_EQ(ended_.size(), next_id_ - 1 - refused_);
  }

  size_t batches() const { return batches_; }
  size_t held() const { return held_; }

 private:
  static constexpr int kRunMs[] = {2, 10, 40};

  struct Running {
    uint64_t execution;
    int64_t end_ns;
    int slots;
    size_t model;
    size_t members;
  };

  static int64_t RunNs(size_t model, uint32_t rows, uint32_t threads) {
    // Half of a row is fixed: batches pay, threads pay less than they cost.
    return kRunMs[model] * kMs / 2 * (1 + rows) / (threads == 4 ? 3 : threads);
  }

  void Arrive() {
    if (one_group_) return Arrive(2, true);
    const size_t model = random_() % profiles_.size();
    Arrive(model, random_() % 2 == 0);
  }

  void Arrive(size_t model, bool in_group) {
    Asked asked{.arrived_ns = now_, .run_ns = RunNs(model, 1, 1)};
    asked.info.task_class = static_cast<TaskClass>(random_() % kTaskClasses);
    if (random_() % 2 == 0)
      asked.info.deadline_ns = now_ + static_cast<int64_t>(random_() % 400) * kMs - 5 * kMs;
    asked.info.profile = profiles_[model].get();
    if (in_group) asked.info.group = model + 1;
    const uint64_t id = next_id_++;
    const Admission admission = scheduler_.Add(id, asked.info, now_);
    if (admission.refusal != Refusal::kNone) {
      ++refused_;
      if (admission.refusal == Refusal::kPast) {
        EXPECT_LE(asked.info.deadline_ns, now_);
      }
      if (asked.info.deadline_ns == 0) {
        EXPECT_EQ(admission.refusal, Refusal::kQueueFull);
      }
      return;
    }
    waiting_.emplace(id, asked);
    if (admission.displaced != 0) {
      const auto displaced = waiting_.find(admission.displaced);
      ASSERT_NE(displaced, waiting_.end());
      EXPECT_GT(displaced->second.info.task_class, asked.info.task_class);
      End(displaced->first);
    }
    EXPECT_LE(waiting_.size(), options_.max_queue);
  }

  void Cancel() {
    if (waiting_.empty()) return;
    const auto it = std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(random_() % waiting_.size()));
    EXPECT_TRUE(scheduler_.Remove(it->first));
    End(it->first);
  }

  void End(uint64_t id) {
    EXPECT_TRUE(ended_.insert(id).second) << id << " ended twice";
    EXPECT_EQ(waiting_.erase(id), 1u) << id << " did not wait";
  }

  void FinishDue() {
    std::vector<size_t> back;
    std::erase_if(running_, [&](const Running& run) {
      if (run.end_ns > now_) return false;
      scheduler_.Finish(run.execution, now_);
      if (run.members > 1 && random_() % 2 == 0) back.push_back(run.model);
      return true;
    });
    // A client that got its answer asks again at once; the others of the batch may come later.
    for (const size_t model : back) Arrive(model, true);
  }

  void Decide() {
    Decision d;
    for (scheduler_.Next(now_, &d); d.kind != Decision::Kind::kNothing; scheduler_.Next(now_, &d)) {
      ASSERT_FALSE(d.tasks.empty());
      if (d.kind == Decision::Kind::kDrop) {
        for (const uint64_t id : d.tasks) CheckDrop(id);
      } else {
        CheckStart(d);
      }
    }
    CheckIdle();
  }

  // A slot is left idle for a batch to fill, and for nothing else.
  void CheckIdle() {
    if (waiting_.empty() || BusySlots() == options_.slots) return;
    const int64_t held_ns = scheduler_.HeldUntilNs(now_);
    ASSERT_GT(held_ns, now_) << "idle for no reason";
    ++held_;
    EXPECT_LE(held_ns - now_, RunNs(2, 64, 1) / 16);
    const uint64_t group = waiting_.begin()->second.info.group;
    for (const auto& [id, asked] : waiting_) {
      EXPECT_EQ(asked.info.group, group) << "others do not wait for it";
      const int64_t deadline_ns = asked.info.deadline_ns;
      EXPECT_TRUE(deadline_ns == 0 || held_ns + asked.run_ns / 2 <= deadline_ns) << "late by it";
    }
  }

  void CheckDrop(uint64_t id) {
    const auto it = waiting_.find(id);
    ASSERT_NE(it, waiting_.end());
    const Asked& asked = it->second;
    EXPECT_GT(asked.info.deadline_ns, 0) << "only what has a deadline is dropped";
    const int64_t fastest_ns = asked.run_ns / 3;
    EXPECT_GT(now_ + asked.run_ns, asked.info.deadline_ns) << "dropped too early, by " << fastest_ns;
    End(id);
  }

  void CheckStart(const Decision& d) {
    const uint64_t first = d.tasks.front();
    const auto it = waiting_.find(first);
    ASSERT_NE(it, waiting_.end());
    const Asked asked = it->second;
    const bool express = scheduler_.busy_slots() == BusySlots();
    if (!express) CheckOrder(first, asked);
    if (express) {
      EXPECT_EQ(d.threads, 1);
    }
    for (const uint64_t id : d.tasks) {
      const auto member = waiting_.find(id);
      ASSERT_NE(member, waiting_.end());
      if (d.tasks.size() > 1) {
        EXPECT_NE(member->second.info.group, 0u);
        EXPECT_EQ(member->second.info.group, asked.info.group);
      }
      End(id);
    }
    if (d.tasks.size() > 1) ++batches_;
    const size_t model = ModelOf(asked);
    running_.push_back(
        {d.execution,
         now_ + RunNs(model, static_cast<uint32_t>(d.tasks.size()), static_cast<uint32_t>(d.threads)),
         express ? 0 : d.threads, model, d.tasks.size()});
    EXPECT_LE(BusySlots(), options_.slots);
    EXPECT_EQ(BusySlots(), scheduler_.busy_slots());
    const auto beyond = std::ranges::count(running_, 0, &Running::slots);
    EXPECT_LE(beyond, options_.express_slots);
  }

  // Without deadlines in the way: nobody of a higher class waits, nor of the same class with an earlier deadline, unless the
  // one that starts has outlived its patience.
  void CheckOrder(uint64_t first, const Asked& asked) {
    const auto patience = [&](const Asked& a) {
      return a.arrived_ns + options_.patience_ns[static_cast<size_t>(a.info.task_class)];
    };
    if (patience(asked) <= now_) return;
    for (const auto& [id, other] : waiting_) {
      if (id == first) continue;
      EXPECT_GE(other.info.task_class, asked.info.task_class);
      if (other.info.task_class != asked.info.task_class || options_.most_on_time) continue;
      const int64_t due = asked.info.deadline_ns > 0 ? asked.info.deadline_ns : patience(asked);
      const int64_t other_due = other.info.deadline_ns > 0 ? other.info.deadline_ns : patience(other);
      EXPECT_GE(other_due, due);
    }
  }

  size_t ModelOf(const Asked& asked) const {
    for (size_t i = 0; i < profiles_.size(); ++i) {
      if (profiles_[i].get() == asked.info.profile) return i;
    }
    return 0;
  }
  int BusySlots() const {
    int slots = 0;
    for (const Running& run : running_) slots += run.slots;
    return slots;
  }

  const SchedulerOptions options_;
  Scheduler scheduler_;
  std::mt19937_64 random_;
  const bool one_group_;
  std::vector<std::unique_ptr<ExecutionProfile>> profiles_;
  std::map<uint64_t, Asked> waiting_;
  std::vector<Running> running_;
  std::set<uint64_t> ended_;
  int64_t now_ = 1;
  uint64_t next_id_ = 1;
  uint64_t refused_ = 0;
  size_t batches_ = 0;
  size_t held_ = 0;
};

TEST(SchedulerPropertyTest, WhateverComesEveryTaskEndsOnceAndSlotsHold) {
  size_t batches = 0;
  size_t held = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SchedulerOptions options{.slots = 1 + static_cast<int>(seed % 4)};
    options.express_slots = static_cast<int>(seed % 2);
    options.max_queue = seed % 5 == 0 ? 8 : 1000;
    options.most_on_time = seed % 3 != 0;
    options.admission = static_cast<AdmissionRule>(seed % 3);
    World world(options, seed, seed % 4 == 1);
    world.Run(1500);
    batches += world.batches();
    held += world.held();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(batches, 100u) << "the property was hardly tried with batches";
  EXPECT_GT(held, 10u) << "batches were hardly waited for";
}

// A class below that floods for ever: a task of every class starts within its patience and what the share costs.
TEST(SchedulerPropertyTest, NothingStarves) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    ExecutionProfile profile;
    for (int i = 0; i < 5; ++i) profile.Observe({}, 1, 10 * kMs);
    Scheduler scheduler({.slots = 1, .express_slots = 0, .max_queue = 1 << 20});
    int64_t now = 1;
    uint64_t id = 1;
    std::map<uint64_t, int64_t> batch_tasks;
    int64_t longest_ns = 0;
    Decision d;
    while (now < 60'000 * kMs) {
      // Twice of what can be served, of the classes above; now and then one of class BATCH.
      for (int i = 0; i < 2; ++i) {
        const auto task_class = static_cast<TaskClass>(random() % 3);
        const int64_t deadline =
            random() % 2 == 0 ? now + static_cast<int64_t>(20 + random() % 200) * kMs : 0;
        scheduler.Add(id++, {.task_class = task_class, .deadline_ns = deadline, .profile = &profile}, now);
      }
      if (random() % 40 == 0 && now < 40'000 * kMs) {
        scheduler.Add(id, {.task_class = TaskClass::kBatch, .profile = &profile}, now);
        batch_tasks.emplace(id++, now);
      }
      for (scheduler.Next(now, &d); d.kind == Decision::Kind::kDrop; scheduler.Next(now, &d)) {
      }
      if (d.kind != Decision::Kind::kStart) continue;
      const auto started = batch_tasks.find(d.tasks.front());
      if (started != batch_tasks.end()) {
        longest_ns = std::max(longest_ns, now - started->second);
        batch_tasks.erase(started);
      }
      now += 10 * kMs;
      scheduler.Finish(d.execution, now);
    }
    EXPECT_GT(longest_ns, 0) << "seed " << seed;
    // Every 10th start goes to the oldest that is overdue. Overdue tasks of the classes above come first only when older.
    EXPECT_TRUE(batch_tasks.empty() || now - batch_tasks.begin()->second < 59'000 * kMs) << "seed " << seed;
  }
}

}  // namespace
}  // namespace mlos::sched
