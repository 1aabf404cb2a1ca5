// SPDX-License-Identifier: Apache-2.0
#include "plugin/deadline_timer.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "base/clock.h"

namespace mlos::plugin {
namespace {

int64_t Now() { return Clock::Real().MonotonicNs(); }

TEST(DeadlineTimerTest, FiresWhatIsDueAtOnce) {
  DeadlineTimer timer;
  std::promise<void> fired;
  timer.Add(1, [&] { fired.set_value(); });
  fired.get_future().wait();
}

TEST(DeadlineTimerTest, FiresInTheOrderOfTimeNotBeforeIt) {
  DeadlineTimer timer;
  const int64_t start = Now();
  std::vector<int> order;
  std::promise<void> last;
  timer.Add(start + 20'000'000, [&] {
    order.push_back(2);
    last.set_value();
  });
  timer.Add(start + 10'000'000, [&] { order.push_back(1); });
  last.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(Now(), start + 20'000'000);
}

TEST(DeadlineTimerTest, WakesForAnEarlierOneThanItSleepsFor) {
  DeadlineTimer timer;
  timer.Add(Now() + 3'600'000'000'000, [] {});
  std::promise<void> fired;
  timer.Add(Now() + 1'000'000, [&] { fired.set_value(); });
  fired.get_future().wait();
}

TEST(DeadlineTimerTest, ForgetsWhatIsRemoved) {
  DeadlineTimer timer;
  bool removed_fired = false;
  const auto key = timer.Add(Now() + 50'000'000, [&] { removed_fired = true; });
  timer.Remove(key);
  std::promise<void> fired;
  timer.Add(Now() + 60'000'000, [&] { fired.set_value(); });
  fired.get_future().wait();
  EXPECT_FALSE(removed_fired);
}

TEST(DeadlineTimerTest, EndsWithThingsStillToCome) {
  DeadlineTimer timer;
  timer.Add(Now() + 3'600'000'000'000, [] { FAIL(); });
}

}  // namespace
}  // namespace mlos::plugin
