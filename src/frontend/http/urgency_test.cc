// SPDX-License-Identifier: Apache-2.0
// Priorities, deadlines, refusals and traces over HTTP.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "base/clock.h"
#include "frontend/http/testing/server_fixture.h"

namespace mlos::frontend {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMs = 1'000'000;

std::vector<double> NumbersAfter(const std::string& json, const std::string& key) {
  std::vector<double> out;
  for (size_t at = json.find(key); at != std::string::npos; at = json.find(key, at + 1)) {
    out.push_back(std::strtod(json.c_str() + at + key.size(), nullptr));
  }
  return out;
}

class UrgencyRouteTest : public HttpServerTest {
 protected:
  struct Seen {
    Priority priority = Priority::kNormal;
    int64_t left_ns = 0;  // 0 = no deadline
  };

  // A model that tells what it was asked with.
  void StartSeeing() {
    service_.AddModel("t/see@1", Vector(), [this](Request request, const Sink& sink) {
      {
        MutexLock lock(mu_);
        seen_.priority = request.priority;
        seen_.left_ns = request.deadline_ns == 0 ? 0 : request.deadline_ns - Clock::Real().MonotonicNs();
      }
      Response response;
      response.trace = std::move(request.trace);
      if (response.trace != nullptr) {
        response.trace->request_id = request.request_id;
        response.trace->Mark(Stage::kQueue, Clock::Real().MonotonicNs());
      }
      sink->OnDone(OkStatus(), std::move(response));
    });
    Start();
  }
  Seen seen() {
    MutexLock lock(mu_);
    return seen_;
  }
  RawResponse Ask(RawClient& client, const std::string& body, const std::string& fields = "") {
    EXPECT_TRUE(client.Send(Infer("see", body, fields)));
    return client.Read();
  }

  Seen seen_ MLOS_GUARDED_BY(mu_);
};

TEST_F(UrgencyRouteTest, PriorityComesByHeaderOrBodyByNameOrNumber) {
  StartSeeing();
  RawClient client = Connect();
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})").status, 200);
  EXPECT_EQ(seen().priority, Priority::kNormal);
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})", "X-Priority: batch\r\n").status, 200);
  EXPECT_EQ(seen().priority, Priority::kBatch);
  EXPECT_EQ(Ask(client, R"({"x":[1,2],"parameters":{"priority":"high"}})").status, 200);
  EXPECT_EQ(seen().priority, Priority::kHigh);
  EXPECT_EQ(Ask(client, R"({"x":[1,2],"parameters":{"priority":1}})").status, 200);
  EXPECT_EQ(seen().priority, Priority::kRealtime);
  EXPECT_EQ(Ask(client, R"({"x":[1,2],"parameters":{"priority":0}})").status, 200);
  EXPECT_EQ(seen().priority, Priority::kNormal);
}

TEST_F(UrgencyRouteTest, AnUnknownPriorityIs400AndNamesTheKnownOnes) {
  StartSeeing();
  RawClient client = Connect();
  for (const char* body :
       {R"({"x":[1,2],"parameters":{"priority":"urgent"}})", R"({"x":[1,2],"parameters":{"priority":5}})",
        R"({"x":[1,2],"parameters":{"priority":-1}})", R"({"x":[1,2],"parameters":{"priority":null}})"}) {
    const RawResponse answer = Ask(client, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr("realtime, high, normal, batch"));
  }
  EXPECT_THAT(Ask(client, R"({"x":[1,2],"parameters":{"priority":"urgent"}})").body,
              HasSubstr(R"('parameters.priority': \"urgent\" is unknown)"));
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})", "X-Priority: NOW\r\n").status, 400);
  EXPECT_EQ(Ask(client, R"({"x":[1,2],"parameters":{"priority":"high"}})", "X-Priority: batch\r\n").status,
            400);
}

TEST_F(UrgencyRouteTest, TheEarliestOfHeaderAndTimeoutIsTheDeadline) {
  StartSeeing();
  RawClient client = Connect();
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})").status, 200);
  EXPECT_EQ(seen().left_ns, 0);
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})", "X-Deadline-Ms: 60000\r\n").status, 200);
  EXPECT_GT(seen().left_ns, 30'000 * kMs);
  EXPECT_LE(seen().left_ns, 60'000 * kMs);
  EXPECT_EQ(
      Ask(client, R"({"x":[1,2],"parameters":{"timeout":20000000}})", "X-Deadline-Ms: 60000\r\n").status,
      200);
  EXPECT_LE(seen().left_ns, 20'000 * kMs) << "timeout is in microseconds";
  EXPECT_GT(seen().left_ns, 5'000 * kMs);
  EXPECT_EQ(Ask(client, R"({"x":[1,2],"parameters":{"timeout":0}})").status, 200);
  EXPECT_EQ(seen().left_ns, 0);
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})", "X-Deadline-Ms: -5\r\n").status, 200);
  EXPECT_LT(seen().left_ns, 0) << "past, for the service to refuse";
}

TEST_F(UrgencyRouteTest, DeadlinesThatAreNoNumbersAre400) {
  StartSeeing();
  RawClient client = Connect();
  EXPECT_EQ(Ask(client, R"({"x":[1,2]})", "X-Deadline-Ms: soon\r\n").status, 400);
  for (const char* timeout : {"-1", "1.5", "\"10\"", "99999999999999999999999"}) {
    const std::string body = R"({"x":[1,2],"parameters":{"timeout":)" + std::string(timeout) + "}}";
    const RawResponse answer = Ask(client, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_THAT(answer.body, HasSubstr("microseconds"));
  }
}

TEST_F(UrgencyRouteTest, RetryAfterTellsThePredictedWaitInWholeSeconds) {
  service_.AddModel("t/wait@1", Vector(), [](Request, const Sink& sink) {
    Response response;
    response.retry_after_ns = 6'200 * kMs;
    sink->OnDone(Unavailable("the predicted wait is 6200 ms"), std::move(response));
  });
  Start();
  RawClient client = Connect();
  ASSERT_TRUE(client.Send(Infer("wait", R"({"x":[1,2]})")));
  const RawResponse answer = client.Read();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.fields.at("retry-after"), "7");
}

TEST_F(UrgencyRouteTest, TheStagesOfARequestAddUpToItsWallTime) {
  StartSeeing();
  RawClient client = Connect();
  const int64_t before_ns = Clock::Real().MonotonicNs();
  const RawResponse answer = Ask(client, R"({"x":[1,2]})", "X-Request-Id: r.1\r\nX-Deadline-Ms: 60000\r\n");
  const int64_t after_ns = Clock::Real().MonotonicNs();
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.fields.at("x-request-id"), "r.1");
  ASSERT_TRUE(client.Send(Get("/requests/r.1")));
  const RawResponse trace = client.Read();
  ASSERT_EQ(trace.status, 200) << trace.body;
  const double total_us = NumbersAfter(trace.body, "\"total_us\":").at(0);
  const std::vector<double> stages = NumbersAfter(trace.body, "\"us\":");
  EXPECT_EQ(stages.size(), kStages);
  const double sum_us = std::accumulate(stages.begin(), stages.end(), 0.0);
  EXPECT_GT(total_us, 0);
  EXPECT_LE(std::abs(sum_us - total_us), 0.01 * total_us);
  EXPECT_LE(total_us * 1000, static_cast<double>(after_ns - before_ns)) << "more than the client waited";
  EXPECT_EQ(NumbersAfter(trace.body, "\"deadline_us\":").at(0), 60e6);
}

TEST_F(UrgencyRouteTest, ARequestThatIsNotRememberedIs404) {
  Start();
  RawClient client = Connect();
  ASSERT_TRUE(client.Send(Get("/requests/none")));
  EXPECT_EQ(client.Read().status, 404);
  ASSERT_TRUE(client.Send(Get("/requests/")));
  EXPECT_EQ(client.Read().status, 400);
}

}  // namespace
}  // namespace mlos::frontend
