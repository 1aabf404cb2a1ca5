// SPDX-License-Identifier: GPL-2.0
// The portable core of the kernel module, in user space: each part against a naive model of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

extern "C" {
#include "accuracy.h"
#include "idtable.h"
#include "latency.h"
#include "plan.h"
#include "pool.h"
#include "queue.h"
}
#undef min
#undef max

namespace {

constexpr u64 kMs = 1'000'000;

// --- latency ---

TEST(Latency, IsEmptyAtFirst) {
  mlos_latency l{};
  EXPECT_EQ(mlos_latency_quantile(&l, 500), 0u);
  EXPECT_EQ(mlos_latency_above_pct(&l, kMs), 50u);
}

TEST(Latency, QuantilesAreWithinABucketOfTheTruth) {
  std::mt19937_64 random(7);
  mlos_latency l{};
  std::vector<u64> samples;
  std::lognormal_distribution<double> draw(std::log(5e6), 0.7);
  for (int i = 0; i < 2000; ++i) {
    samples.push_back(static_cast<u64>(draw(random)));
    mlos_latency_add(&l, samples.back());
  }
  std::sort(samples.begin(), samples.end());
  for (const u32 per_mille : {10u, 500u, 900u, 990u, 1000u}) {
    const size_t rank = std::max<size_t>(1, (samples.size() * per_mille + 999) / 1000);
    const double truth = static_cast<double>(samples[rank - 1]);
    const double told = static_cast<double>(mlos_latency_quantile(&l, per_mille));
    EXPECT_GE(told, truth) << per_mille;
    EXPECT_LE(told, truth * 1.126) << per_mille;
  }
}

TEST(Latency, MeanAndSpreadFollowTheSamples) {
  std::mt19937_64 random(3);
  mlos_latency l{};
  std::normal_distribution<double> draw(20e6, 2e6);
  for (int i = 0; i < 5000; ++i) mlos_latency_add(&l, static_cast<u64>(std::max(1.0, draw(random))));
  EXPECT_NEAR(static_cast<double>(l.mean_ns), 20e6, 1e6);
  EXPECT_NEAR(static_cast<double>(mlos_isqrt(l.variance)), 2e6, 0.7e6);
  EXPECT_LT(l.outliers, 5000u / 50);
}

TEST(Latency, AModelThatBecameSlowerIsBelieved) {
  mlos_latency l{};
  for (int i = 0; i < 10000; ++i) mlos_latency_add(&l, kMs);
  for (int i = 0; i < 3000; ++i) mlos_latency_add(&l, 10 * kMs);
  EXPECT_GE(mlos_latency_quantile(&l, 500), 10 * kMs);
}

TEST(Latency, ChanceToBeLateGrowsWithTheTimeSpent) {
  mlos_latency l{};
  for (int i = 0; i < 90; ++i) mlos_latency_add(&l, 1 * kMs);
  for (int i = 0; i < 10; ++i) mlos_latency_add(&l, 100 * kMs);
  EXPECT_NEAR(mlos_latency_above_pct(&l, 50 * kMs), 10, 1);
  EXPECT_EQ(mlos_latency_above_pct_given(&l, 50 * kMs, 20 * kMs), 100u);
  EXPECT_EQ(mlos_latency_above_pct(&l, 1), 100u);
  EXPECT_GE(mlos_latency_median_given(&l, 20 * kMs), 100 * kMs);
  EXPECT_EQ(mlos_latency_median_given(&l, 1000 * kMs), 1000 * kMs);
}

TEST(Latency, ExtremesDoNotOverflow) {
  mlos_latency l{};
  for (int i = 0; i < 5000; ++i) mlos_latency_add(&l, i % 2 ? 0 : ~0ULL);
  EXPECT_LE(mlos_latency_above_pct(&l, ~0ULL), 100u);
  EXPECT_GT(mlos_latency_quantile(&l, 1000), 0u);
}

TEST(Latency, SquareRootIsExact) {
  for (const u64 root : {0ULL, 1ULL, 2ULL, 1000ULL, 4294967295ULL}) {
    EXPECT_EQ(mlos_isqrt(root * root), root);
    if (root > 1) {
      EXPECT_EQ(mlos_isqrt(root * root - 1), root - 1);
    }
  }
}

// --- queue ---

struct Model {
  u32 klass;
  u64 deadline, sequence, enqueued, work;

  auto Key() const { return std::make_tuple(klass, deadline ? deadline : ~0ULL, sequence); }
};
using Models = std::map<const mlos_qnode*, Model>;

// Work and number.
using Ahead = std::pair<u64, u32>;
Ahead Told(const mlos_ahead& ahead) { return {ahead.work_ns, ahead.count}; }

Ahead AheadOf(const Models& models, const Model& of) {
  Ahead ahead{0, 0};
  for (const auto& [node, m] : models) {
    if (m.Key() >= of.Key()) continue;
    ahead.first += m.work;
    ++ahead.second;
  }
  return ahead;
}

// How many nodes; -1 when sums, order or balance are wrong anywhere.
int64_t SizeOf(const mlos_qnode* tree) {
  if (!tree) return 0;
  const int64_t before = SizeOf(tree->before), after = SizeOf(tree->after);
  const auto work = [](const mlos_qnode* n) { return n ? n->sum.work_ns : 0; };
  if (before < 0 || after < 0 || tree->sum.count != before + after + 1) return -1;
  if (tree->sum.work_ns != work(tree->before) + work(tree->after) + tree->work_ns) return -1;
  if (before + 1 > 3 * (after + 1) || after + 1 > 3 * (before + 1)) return -1;
  return before + after + 1;
}

TEST(Queue, AgreesWithANaiveModel) {
  std::mt19937_64 random(11);
  mlos_queue q;
  mlos_queue_init(&q, 64);
  std::vector<mlos_qnode> nodes(300);
  Models model;
  u64 now = 1000, sequence = 0;
  for (int step = 0; step < 40000; ++step) {
    now += random() % 50;
    mlos_qnode* node = &nodes[random() % nodes.size()];
    if (random() % 2 == 0) {
      const u32 klass = random() % 5;
      const u64 deadline = random() % 3 == 0 ? 0 : now + random() % 10000;
      const u64 work = random() % 50 == 0 ? ~0ULL : random() % 1000;
      const int ret = mlos_queue_push(&q, node, klass, deadline, work, now);
      const size_t same = std::count_if(model.begin(), model.end(), [&](auto& m) { return m.second.klass == klass; });
      if (klass >= 4 || model.count(node)) {
        ASSERT_EQ(ret, -EINVAL);
      } else if (same >= 64) {
        ASSERT_EQ(ret, -EAGAIN);
      } else {
        ASSERT_EQ(ret, 0);
        model[node] = {klass, deadline, sequence++, now, std::min<u64>(work, MLOS_QUEUE_MAX_WORK_NS)};
      }
    } else if (random() % 2 == 0 && model.count(node)) {
      mlos_queue_remove(&q, node);
      model.erase(node);
    } else {
      mlos_qnode* got = mlos_queue_peek(&q, now, 0);
      const auto best = std::min_element(model.begin(), model.end(),
                                         [](auto& a, auto& b) { return a.second.Key() < b.second.Key(); });
      ASSERT_EQ(got, best == model.end() ? nullptr : best->first);
      const u32 klass = random() % 5;
      const u64 deadline = random() % 3 == 0 ? 0 : now + random() % 10000;
      ASSERT_EQ(Told(mlos_queue_ahead(&q, klass, deadline)), AheadOf(model, {klass, deadline, ~0ULL, 0, 0}));
      if (model.count(node)) {
        ASSERT_EQ(Told(mlos_queue_ahead_of(&q, node)), AheadOf(model, model.at(node)));
      }
      if (got && random() % 2) {
        mlos_queue_remove(&q, got);
        model.erase(got);
      }
    }
    int64_t size = 0;
    for (const mlos_qnode* root : q.root) {
      ASSERT_GE(SizeOf(root), 0);
      size += SizeOf(root);
    }
    ASSERT_EQ(size, static_cast<int64_t>(model.size()));
  }
}

int DepthOf(const mlos_qnode* tree) { return tree ? 1 + std::max(DepthOf(tree->before), DepthOf(tree->after)) : 0; }

// Paths are kept in arrays of 40: whatever order nodes come and go in, none is longer.
TEST(Queue, StaysFlat) {
  std::vector<mlos_qnode> nodes(MLOS_QUEUE_MAX_CAPACITY);
  for (const int order : {0, 1, 2, 3}) {
    std::mt19937_64 random(17);
    mlos_queue q;
    mlos_queue_init(&q, ~0U);
    u64 i = 0;
    for (mlos_qnode& node : nodes) {
      const u64 deadline = order == 0 ? ++i : order == 1 ? nodes.size() - i++ : order == 2 ? 0 : random() % 5000;
      ASSERT_EQ(mlos_queue_push(&q, &node, 1, deadline, 1, 0), 0);
    }
    mlos_qnode more{};
    ASSERT_EQ(mlos_queue_push(&q, &more, 1, 0, 1, 0), -EAGAIN);
    ASSERT_EQ(SizeOf(q.root[1]), static_cast<int64_t>(nodes.size()));
    EXPECT_LT(DepthOf(q.root[1]), 40);
    // All but those on one side, which is what puts a tree out of balance.
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (n % 64) mlos_queue_remove(&q, &nodes[order == 3 ? nodes.size() - 1 - n : n]);
    }
    ASSERT_EQ(SizeOf(q.root[1]), static_cast<int64_t>(nodes.size() / 64));
    while (mlos_qnode* node = mlos_queue_first(&q, 1)) mlos_queue_remove(&q, node);
    ASSERT_EQ(q.root[1], nullptr);
  }
}

// Whatever keeps coming above it, a node is the next one after three aging intervals at the latest, unless older ones wait.
TEST(Queue, NothingStarves) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    mlos_queue q;
    mlos_queue_init(&q, 1024);
    mlos_qnode low{};
    ASSERT_EQ(mlos_queue_push(&q, &low, 3, 0, 0, 0), 0);
    std::vector<std::unique_ptr<mlos_qnode>> others;
    const u64 aging = 100;
    u64 now = 0;
    bool started = false;
    for (int step = 0; step < 100 && !started; ++step) {
      for (int i = 0; i < 3; ++i) {
        others.push_back(std::make_unique<mlos_qnode>());
        ASSERT_EQ(mlos_queue_push(&q, others.back().get(), random() % 3, random() % 2 ? now + random() % 500 + 1 : 0, 0, now), 0);
      }
      now += 10;
      mlos_qnode* next = mlos_queue_peek(&q, now, aging);
      ASSERT_NE(next, nullptr);
      started = next == &low;
      mlos_queue_remove(&q, next);
    }
    EXPECT_TRUE(started);
  }
}

TEST(Queue, TellsWhatStartsBefore) {
  mlos_queue q;
  mlos_queue_init(&q, 8);
  mlos_qnode n[4]{};
  mlos_queue_push(&q, &n[0], 1, 0, 1, 0);
  mlos_queue_push(&q, &n[1], 2, 50, 10, 0);
  mlos_queue_push(&q, &n[2], 2, 0, 100, 0);
  mlos_queue_push(&q, &n[3], 3, 1, 1000, 0);
  EXPECT_EQ(Told(mlos_queue_ahead(&q, 0, 0)), Ahead(0, 0));
  EXPECT_EQ(Told(mlos_queue_ahead(&q, 2, 40)), Ahead(1, 1));
  EXPECT_EQ(Told(mlos_queue_ahead(&q, 2, 50)), Ahead(11, 2));
  EXPECT_EQ(Told(mlos_queue_ahead(&q, 2, 0)), Ahead(111, 3));
  EXPECT_EQ(Told(mlos_queue_ahead(&q, 3, 0)), Ahead(1111, 4));
  EXPECT_EQ(Told(mlos_queue_ahead_of(&q, &n[1])), Ahead(1, 1));
  EXPECT_EQ(Told(mlos_queue_ahead_of(&q, &n[3])), Ahead(111, 3));
}

// --- pool ---

bool NeverFixed(const mlos_extent*) { return false; }
bool OddFixed(const mlos_extent* e) { return (e->length / MLOS_POOL_ALIGN) % 2; }

TEST(Pool, ExtentsNeverOverlapAndCompactionKeepsFixedOnes) {
  std::mt19937_64 random(13);
  mlos_pool pool;
  mlos_pool_init(&pool, 1 << 20);
  std::vector<mlos_extent> extents(60);
  for (int step = 0; step < 20000; ++step) {
    mlos_extent& e = extents[random() % extents.size()];
    if (e.length == 0) {
      const u64 bytes = 1 + random() % 60000;
      const u64 largest = mlos_pool_largest_free(&pool);
      const int ret = mlos_pool_take(&pool, &e, bytes);
      ASSERT_EQ(ret, (bytes + 4095) / 4096 * 4096 <= largest ? 0 : -ENOSPC);
    } else {
      mlos_pool_give(&pool, &e);
    }
    if (step % 100 == 0) {
      std::map<mlos_extent*, u64> fixed;
      for (auto& x : extents)
        if (x.length && OddFixed(&x)) fixed[&x] = x.offset;
      mlos_compaction done;
      mlos_pool_compact(&pool, step % 200 ? OddFixed : NeverFixed, &done);
      ASSERT_GE(done.largest_after, done.largest_before);
      if (step % 200) {
        for (auto& [x, offset] : fixed) ASSERT_EQ(x->offset, offset);
      } else {
        ASSERT_EQ(done.largest_after, pool.size - pool.used);
      }
    }
    std::vector<std::pair<u64, u64>> ranges;
    u64 used = 0;
    for (auto& x : extents) {
      if (!x.length) continue;
      ranges.emplace_back(x.offset, x.offset + x.length);
      used += x.length;
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); ++i) ASSERT_LE(ranges[i - 1].second, ranges[i].first);
    if (!ranges.empty()) {
      ASSERT_LE(ranges.back().second, pool.size);
    }
    ASSERT_EQ(used, pool.used);
  }
}

TEST(Pool, OddSizesAreRefused) {
  mlos_pool pool;
  mlos_pool_init(&pool, 10000);
  EXPECT_EQ(pool.size, 8192u);
  mlos_extent e{};
  EXPECT_EQ(mlos_pool_take(&pool, &e, 0), -EINVAL);
  EXPECT_EQ(mlos_pool_take(&pool, &e, ~0ULL), -EINVAL);
  EXPECT_EQ(mlos_pool_take(&pool, &e, 8193), -ENOSPC);
}

// --- ids ---

TEST(IdTable, FindsWhatIsInItAndNothingElse) {
  std::mt19937_64 random(17);
  mlos_idtable t;
  ASSERT_EQ(mlos_idtable_init(&t, 200), 0);
  std::map<u64, mlos_idnode*> model;
  std::vector<std::unique_ptr<mlos_idnode>> nodes;
  u64 next = 1;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2) {
      nodes.push_back(std::make_unique<mlos_idnode>());
      const int ret = mlos_idtable_add(&t, nodes.back().get(), next);
      ASSERT_EQ(ret, model.size() < 200 ? 0 : -ENOSPC);
      if (ret == 0) model[next] = nodes.back().get();
      ++next;
    } else if (!model.empty()) {
      auto it = model.lower_bound(random() % next);
      if (it == model.end()) it = model.begin();
      mlos_idtable_remove(&t, it->second);
      ASSERT_EQ(mlos_idtable_find(&t, it->first), nullptr);
      model.erase(it);
    }
    ASSERT_EQ(t.count, model.size());
    const u64 probe = random() % (next + 2);
    const auto it = model.find(probe);
    ASSERT_EQ(mlos_idtable_find(&t, probe), it == model.end() ? nullptr : it->second);
  }
  while (mlos_idnode* node = mlos_idtable_any(&t)) mlos_idtable_remove(&t, node);
  EXPECT_EQ(mlos_idtable_find(&t, 0), nullptr);
  mlos_idtable_destroy(&t);
}

// --- plans ---

TEST(Plan, LearnsWhenContentIsNeeded) {
  mlos_plan_item item{};
  item.tensor_id = 9;
  item.given_ns = item.learnt_ns = 10 * kMs;
  mlos_plan plan{};
  plan.items = &item;
  plan.count = 1;
  plan.learning = true;
  plan.rate_pct = 25;
  u64 now = 1000 * kMs;
  for (int run = 0; run < 60; ++run) {
    mlos_plan_begin(&plan);
    mlos_plan_ready(&plan, 0, now + mlos_plan_issue_at(&plan, 0) + 3 * kMs, 3 * kMs);
    mlos_plan_touched(&plan, 9, now + 50 * kMs);
    mlos_plan_touched(&plan, 9, now + 70 * kMs);  // only the first counts
    mlos_plan_end(&plan, now);
    now += 1000 * kMs;
  }
  EXPECT_NEAR(static_cast<double>(item.learnt_ns), 50e6, 1e6);
  EXPECT_NEAR(static_cast<double>(mlos_plan_issue_at(&plan, 0)), 47e6, 1.5e6);
  EXPECT_NEAR(static_cast<double>(mlos_plan_adjustment_ns(&plan)), 40e6, 1e6);
  EXPECT_GT(plan.successful, 40u);
  EXPECT_EQ(plan.late, 0u);
}

TEST(Plan, CountsLateEarlyAndUntouched) {
  mlos_plan_item items[3]{};
  for (u64 i = 0; i < 3; ++i) items[i].tensor_id = i + 1;
  mlos_plan plan{};
  plan.items = items;
  plan.count = 3;
  mlos_plan_begin(&plan);
  mlos_plan_touched(&plan, 1, 100);              // before it was there
  mlos_plan_ready(&plan, 1, 200, 10);            // long before it was needed
  mlos_plan_touched(&plan, 2, 200 + 200 * kMs);
  mlos_plan_ready(&plan, 2, 300, 10);            // never touched
  mlos_plan_end(&plan, 50);
  EXPECT_EQ(plan.late, 1u);
  EXPECT_EQ(plan.early, 2u);
  EXPECT_EQ(plan.successful, 0u);
}

// --- accuracy ---

TEST(Accuracy, CountsEachKindOfMistake) {
  mlos_accuracy a{};
  const auto add = [&](u32 miss_pct, bool late) {
    const mlos_prediction p{1000, miss_pct};
    mlos_accuracy_add(&a, &p, 1100, late);
  };
  add(10, false);
  add(90, true);
  add(10, true);
  add(60, false);
  const mlos_prediction none{0, 0};
  mlos_accuracy_add(&a, &none, 5, true);
  EXPECT_EQ(a.total, 4u);
  EXPECT_EQ(a.accurate, 2u);
  EXPECT_EQ(a.missed, 1u);
  EXPECT_EQ(a.false_alarms, 1u);
  EXPECT_EQ(mlos_accuracy_pct(&a), 50u);
  EXPECT_EQ(mlos_accuracy_calibration(&a), 100u - (50 - 42));
  EXPECT_EQ(a.mean_error_ns, 100u);
  EXPECT_EQ(a.variance, 0u);
}

}  // namespace
