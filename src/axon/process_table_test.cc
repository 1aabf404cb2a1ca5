// SPDX-License-Identifier: Apache-2.0
#include "axon/process_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mlos::axon {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kAnswer = R"({"status":"success",
 "memory":{"budget_bytes":3000000000,"budget_source":"core.memory_budget","leased_bytes":1200000000,
           "shared_bytes":400000000,"reserved_bytes":0,"free_bytes":1800000000},
 "models":[
  {"id":"hf/a@v2","state":"ready","latest":true,"pid":41,"private_bytes":300000000,"mapped_bytes":400000000,
   "queued":2,"waiting":1,"running":1,"p50_ms":1.5,"p90_ms":20.25,"p99_ms":1500.0,"keep_alive":"5m",
   "expires_in_ms":240000.0,"restarts":1},
  {"id":"hf/b@latest","state":"ready","latest":true,"pid":null,"private_bytes":null,"mapped_bytes":null,
   "lease_private_bytes":500000000,"lease_shared_bytes":0,"queued":0,"waiting":0,"running":0,"p50_ms":null,
   "p90_ms":null,"p99_ms":null,"keep_alive":"forever","expires_in_ms":null,"restarts":0},
  {"id":"hf/c@latest","state":"waiting","queued":0,"waiting":3,"running":0,"keep_alive":"5m","restarts":0,
   "waits_for":"hf/c needs 9 GB"},
  {"id":"hf/d@latest","state":"registered","queued":0,"waiting":0,"running":0,"keep_alive":"5m","restarts":0}]})";

TEST(ProcessTableTest, ShowsWhatIsKnownAndDashesForTheRest) {
  const auto list = client::ParseProcesses(kAnswer);
  ASSERT_TRUE(list.ok()) << list.status().message();
  const std::string text = ProcessTable(*list, false);
  EXPECT_THAT(text,
              HasSubstr("hf/a@v2 (latest)  ready    41    300.0 MB  400.0 MB  3      1     1.50    20.2    "
                        "1500    in 4m    1"))
      << text;
  EXPECT_THAT(text,
              HasSubstr("hf/b@latest       ready    core  500.0 MB  0 B       0      0     -       -       "
                        "-       forever  0"))
      << text;
  EXPECT_THAT(text,
              HasSubstr("memory: 1.2 GB of 3.0 GB in use, 400.0 MB of it mapped files; 1.8 GB free; budget: "
                        "core.memory_budget"))
      << text;
  EXPECT_THAT(text, HasSubstr("waiting: hf/c needs 9 GB"));
  EXPECT_THAT(text, Not(HasSubstr("hf/d")));
  EXPECT_THAT(ProcessTable(*list, true), HasSubstr("hf/d@latest       registered"));
}

TEST(ProcessTableTest, SaysWhenNothingIsLoaded) {
  EXPECT_THAT(ProcessTable({}, false), testing::StartsWith("no models are loaded\nmemory: 0 B of 0 B"));
}

TEST(ProcessTableTest, RefusesWhatIsNoAnswer) {
  for (const char* bad : {"", "[]", "{}", R"({"memory":1,"models":[]})", R"({"memory":{}})"}) {
    EXPECT_EQ(client::ParseProcesses(bad).status().code(), Code::kDataLoss) << bad;
  }
}

TEST(ProcessTableTest, TimesAreShort) {
  EXPECT_EQ(InTime(0), "now");
  EXPECT_EQ(InTime(30'000), "in 30s");
  EXPECT_EQ(InTime(240'000), "in 4m");
  EXPECT_EQ(InTime(24.0 * 3600 * 1000), "in 24h");
}

}  // namespace
}  // namespace mlos::axon
