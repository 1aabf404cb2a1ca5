// SPDX-License-Identifier: Apache-2.0
#include "resources/pressure_guard.h"

#include <gtest/gtest.h>

#include "os/testing/fake_memory_pressure.h"
#include "resources/testing/fake_lease_owner.h"

namespace mlos::resources {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(PressurePolicyTest, UnloadsOneThenWaitsForItToTakeEffect) {
  PressurePolicy policy(kSecond);
  const os::PressureSample stalled{.stalled = true};
  EXPECT_FALSE(policy.Step({}, 1));
  EXPECT_TRUE(policy.Step(stalled, 2));
  EXPECT_FALSE(policy.Step(stalled, 2 + kSecond / 2));
  EXPECT_FALSE(policy.Step({}, 2 + 2 * kSecond)) << "the pressure is over";
  EXPECT_TRUE(policy.Step({.high = 1}, 2 + 2 * kSecond));
  EXPECT_TRUE(policy.Step({.max = 1}, 2 + 3 * kSecond));
}

TEST(PressurePolicyTest, TriesAgainAtOnceWhenNothingWasIdle) {
  PressurePolicy policy(kSecond);
  EXPECT_TRUE(policy.Step({.stalled = true}, 1));
  policy.NothingUnloaded();
  EXPECT_TRUE(policy.Step({.stalled = true}, 2));
}

TEST(PressureGuardTest, UnderPressureTheOldestIdleLeaseGoesAndBusyOnesStay) {
  FakeClock clock;
  MemoryBroker broker({.budget_bytes = 100}, clock);
  FakeLeaseOwner owner;
  broker.SetOwner(&owner);
  const auto hold = [&](const std::string& who, Use use, int64_t last_used_ns) {
    Lease lease;
    broker.Reserve({.who = who, .private_bytes = 10}, [&](Result<Lease> l) { lease = std::move(l).value(); });
    return owner.Hold(std::move(lease), use, last_used_ns);
  };
  const LeaseId busy = hold("busy", Use::kBusy, 1);
  const LeaseId old_one = hold("old", Use::kIdle, 2);
  const LeaseId new_one = hold("new", Use::kIdle, 3);
  auto fake = std::make_unique<os::FakeMemoryPressure>();
  os::FakeMemoryPressure& pressure = *fake;
  std::atomic<int> reports{0};
  {
    PressureGuard guard(
        std::move(fake), broker,
        [&](const std::string& who, uint64_t bytes) {
          EXPECT_EQ(who, reports == 0 ? "old" : "new");
          EXPECT_EQ(bytes, 10u);
          ++reports;
        },
        clock);
    pressure.Press({.stalled = true});
    while (reports < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(owner.evicted(old_one));
    EXPECT_FALSE(owner.evicted(new_one)) << "one at a time";
    clock.AdvanceNs(2 * kSecond);
    pressure.Press({.high = 3});
    while (reports < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(owner.evicted(new_one));
  EXPECT_FALSE(owner.evicted(busy));
  EXPECT_EQ(broker.Stats().evictions[static_cast<size_t>(EvictReason::kPressure)], 2u);
  broker.SetOwner(nullptr);
}

}  // namespace
}  // namespace mlos::resources
