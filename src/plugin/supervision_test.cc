// SPDX-License-Identifier: Apache-2.0
// The rules of restarting and of the quarantine, without a process.
#include <gtest/gtest.h>

#include "plugin/quarantine.h"
#include "plugin/restart_policy.h"

namespace mlos::plugin {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

Request WithPrompt(const std::string& prompt) {
  Request request;
  request.generation.emplace();
  request.generation->prompt = prompt;
  return request;
}

TEST(RestartPolicyTest, TheFirstRestartComesAtOnce) {
  RestartPolicy policy(5);
  EXPECT_EQ(policy.OnDeath(kSecond, true), 0);
}

TEST(RestartPolicyTest, WaitsTwiceAsLongEachTimeButNeverMoreThanHalfAMinute) {
  RestartPolicy policy(100);
  int64_t now = kSecond;
  EXPECT_EQ(policy.OnDeath(now, false), 0);
  EXPECT_EQ(policy.OnDeath(now, false), kSecond / 10);
  EXPECT_EQ(policy.OnDeath(now, false), kSecond / 5);
  int64_t wait = 0;
  for (int i = 0; i < 50; ++i) wait = *policy.OnDeath(now, false);
  EXPECT_EQ(wait, 30 * kSecond);
}

TEST(RestartPolicyTest, ForgetsDeathsOfLongAgo) {
  RestartPolicy policy(100);
  for (int i = 0; i < 10; ++i) policy.OnDeath(kSecond, true);
  EXPECT_EQ(policy.OnDeath(200 * kSecond, true), 0);
}

TEST(RestartPolicyTest, GivesUpAfterSoManyDeathsWithoutAnAnswer) {
  RestartPolicy policy(3);
  EXPECT_TRUE(policy.OnDeath(1, false));
  EXPECT_TRUE(policy.OnDeath(2, false));
  EXPECT_TRUE(policy.OnDeath(3, true));
  EXPECT_TRUE(policy.OnDeath(4, false));
  EXPECT_TRUE(policy.OnDeath(5, false));
  EXPECT_FALSE(policy.OnDeath(6, false));
}

TEST(QuarantineTest, RefusesTheSecondTime) {
  Quarantine quarantine;
  const RequestDigest digest = DigestOf(WithPrompt("a"));
  EXPECT_FALSE(quarantine.active());
  quarantine.Blame(digest, "died");
  EXPECT_TRUE(quarantine.active());
  EXPECT_FALSE(quarantine.Refusal(digest));
  quarantine.Blame(digest, "died again");
  EXPECT_EQ(quarantine.Refusal(digest), "died again");
  EXPECT_FALSE(quarantine.Refusal(DigestOf(WithPrompt("b"))));
}

TEST(QuarantineTest, AnAnswerClears) {
  Quarantine quarantine;
  const RequestDigest digest = DigestOf(WithPrompt("a"));
  quarantine.Blame(digest, "died");
  quarantine.Clear(digest);
  EXPECT_FALSE(quarantine.active());
}

TEST(QuarantineTest, ForgetsTheOldestWhenItIsFull) {
  Quarantine quarantine;
  for (size_t i = 0; i <= Quarantine::kMost; ++i) {
    for (uint32_t n = 0; n < Quarantine::kLives; ++n)
      quarantine.Blame(DigestOf(WithPrompt(std::to_string(i))), "died");
  }
  EXPECT_EQ(quarantine.size(), Quarantine::kMost);
  EXPECT_FALSE(quarantine.Refusal(DigestOf(WithPrompt("0"))));
  EXPECT_TRUE(quarantine.Refusal(DigestOf(WithPrompt("1"))));
}

TEST(RequestDigestTest, SeesEveryPart) {
  const auto with = [](const std::string& name, Shape shape, std::vector<float> values) {
    Request request;
    request.inputs.push_back(
        {name, Tensor::FromValues<float>(DType::kFp32, std::move(shape), values).value()});
    return DigestOf(request);
  };
  const RequestDigest base = with("x", {2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(base, with("x", {2, 2}, {1, 2, 3, 4}));
  EXPECT_NE(base, with("y", {2, 2}, {1, 2, 3, 4}));
  EXPECT_NE(base, with("x", {4, 1}, {1, 2, 3, 4}));
  EXPECT_NE(base, with("x", {2, 2}, {1, 2, 3, 5}));
  EXPECT_NE(DigestOf(WithPrompt("a")), DigestOf(WithPrompt("a ")));
}

}  // namespace
}  // namespace mlos::plugin
