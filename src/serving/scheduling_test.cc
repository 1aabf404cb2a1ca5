// SPDX-License-Identifier: Apache-2.0
// What a client sees of the scheduler: refusals, cancellation, batches, sequences, traces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "serving/testing/server_fixture.h"

namespace mlos::serving {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMs = 1'000'000;

class SchedulingTest : public ServerFixture {
 protected:
  // Rows in, rows out; takes 5 ms and 1 ms a row. A negative value is bad input, for whoever runs with it.
  void RunRows() {
    state_.interface = Rows();
    state_.run = [this](Request request, std::unique_ptr<ResponseSink> sink) {
      const Tensor& x = request.inputs[0].tensor;
      largest_batch_ = std::max(largest_batch_, x.shape()[0]);
      clock_.AdvanceNs((5 + x.shape()[0]) * kMs);
      if (request.cancel != nullptr && on_run_) on_run_();
      Response response;
      for (const float value : x.As<float>()) {
        if (value < 0) return sink->OnDone(Unprocessable("negative"), {});
      }
      response.outputs.push_back({"y", x.Clone()});
      sink->OnDone(OkStatus(), std::move(response));
    };
  }
  void RunSome(int times) {
    for (int i = 0; i < times; ++i) ASSERT_TRUE(Infer(Row(1)).get().status.ok());
  }
  // Time goes on meanwhile: what is held back for a batch waits for that.
  Answer Wait(std::future<Answer>& answer) {
    while (answer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready)
      clock_.AdvanceNs(kMs / 10);
    return answer.get();
  }
  // A request that keeps the only slot until the returned function is called.
  std::function<void()> Block() {
    auto release = std::make_shared<std::promise<void>>();
    auto started = std::make_shared<std::promise<void>>();
    auto usual = std::make_shared<std::function<void(Request, std::unique_ptr<ResponseSink>)>>(state_.run);
    auto first = std::make_shared<std::atomic<bool>>(true);
    state_.run = [=](Request request, std::unique_ptr<ResponseSink> sink) {
      if (first->exchange(false)) {
        started->set_value();
        release->get_future().wait();
      }
      (*usual)(std::move(request), std::move(sink));
    };
    Request request = Row(0);
    request.priority = Priority::kHigh;
    blocked_ = Infer(std::move(request));
    started->get_future().wait();
    return [release] { release->set_value(); };
  }

  // Again and again `n` requests that wait for the slot, at most `rounds` times, until `n` of them have run together. Each must
  // get its own row.
  void WaveUpon(int n, int rounds) {
    largest_batch_ = 0;
    for (int round = 0; round < rounds && largest_batch_ < n; ++round) {
      const auto usual = state_.run;
      const auto release = Block();
      std::vector<std::future<Answer>> waiting;
      for (int i = 0; i < n; ++i) waiting.push_back(Infer(Row(static_cast<float>(i))));
      release();
      for (int i = 0; i < n; ++i) {
        const Answer answer = Wait(waiting[static_cast<size_t>(i)]);
        ASSERT_TRUE(answer.status.ok()) << answer.status.message();
        ASSERT_EQ(answer.response.outputs[0].tensor.shape(), (Shape{1, 2}));
        ASSERT_EQ(answer.response.outputs[0].tensor.As<float>()[0], static_cast<float>(i))
            << "another one's row";
      }
      Wait(blocked_);
      state_.run = usual;
    }
  }

  int64_t largest_batch_ = 0;
  std::function<void()> on_run_;
  std::future<Answer> blocked_;
};

TEST_F(SchedulingTest, ADeadlineShorterThanTheModelTakesIsRefusedAtOnce) {
  RunRows();
  Start({.threads = 1});
  RunSome(6);
  Request request = Row(1);
  request.deadline_ns = clock_.MonotonicNs() + 2 * kMs;
  const Answer answer = Infer(std::move(request)).get();
  EXPECT_EQ(answer.status.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(answer.status.message(), HasSubstr("predicted to take longer"));
  EXPECT_EQ(server_->GetModel("t/x")->activity.refused[static_cast<size_t>(Refusal::kTooShort)], 1u);
}

TEST_F(SchedulingTest, ADeadlineThatTheQueueBreaksIsRefusedWithThePredictedWait) {
  RunRows();
  Start({.threads = 1, .express_slots = 0, .max_batch = 1});
  RunSome(6);
  const auto release = Block();
  std::vector<std::future<Answer>> waiting;
  for (int i = 0; i < 10; ++i) {
    Request request = Row(1);
    request.priority = Priority::kHigh;
    waiting.push_back(Infer(std::move(request)));
  }
  Request request = Row(1);
  request.deadline_ns = clock_.MonotonicNs() + 30 * kMs;
  const Answer refused = Infer(std::move(request)).get();
  EXPECT_EQ(refused.status.code(), Code::kUnavailable);
  EXPECT_THAT(refused.status.message(), HasSubstr("the predicted wait"));
  EXPECT_GE(refused.response.retry_after_ns, 30 * kMs);
  EXPECT_EQ(server_->Stats().refused[static_cast<size_t>(Refusal::kTooLate)], 1u);
  release();
  for (auto& each : waiting) EXPECT_TRUE(each.get().status.ok());
}

TEST_F(SchedulingTest, ARequestWhoseClientGoesAwayWhileItWaitsIsDropped) {
  RunRows();
  Start({.threads = 1, .express_slots = 0});
  const auto release = Block();
  Request request = Row(1);
  request.cancel = std::make_shared<CancelToken>();
  const std::shared_ptr<CancelToken> cancel = request.cancel;
  std::future<Answer> waiting = Infer(std::move(request));
  EXPECT_EQ(server_->GetModel("t/x")->activity.queued, 1u);
  cancel->Cancel();
  EXPECT_EQ(waiting.get().status.code(), Code::kCancelled);
  EXPECT_EQ(server_->GetModel("t/x")->activity.queued, 0u);
  release();
  EXPECT_TRUE(blocked_.get().status.ok());
}

TEST_F(SchedulingTest, ASlotIsHeldUntilTheAnswerNotUntilRunReturns) {
  state_.interface = Rows();
  HoldCalls();
  Start({.threads = 1, .express_slots = 0, .max_batch = 1});
  std::future<Answer> first = Infer(Row(1));
  HeldCalls::Held held = held_.Take();
  std::future<Answer> second = Infer(Row(2));
  EXPECT_EQ(server_->Stats().queued, 1u);
  EXPECT_EQ(held_.size(), 0u);
  held.sink->OnDone(OkStatus(), {});
  EXPECT_TRUE(first.get().status.ok());
  held_.Take().sink->OnDone(OkStatus(), {});
  EXPECT_TRUE(second.get().status.ok());
}

TEST_F(SchedulingTest, ManyThatWaitRunTogetherOnceThatHasProvedToPay) {
  RunRows();
  Start({.threads = 1, .express_slots = 0});
  RunSome(6);
  WaveUpon(8, 60);
  EXPECT_EQ(largest_batch_, 8);
  const ModelActivity activity = server_->GetModel("t/x")->activity;
  EXPECT_LT(activity.executions, server_->GetModel("t/x")->requests_ok);
}

TEST_F(SchedulingTest, AModelSaysHowManyRowsRunTogether) {
  RunRows();
  Start({.threads = 1, .express_slots = 0}, {.max_batch = 3});
  RunSome(6);
  WaveUpon(8, 60);
  EXPECT_EQ(largest_batch_, 3);
  EXPECT_EQ(server_->GetModel("t/x")->max_batch, 3U);
}

TEST_F(SchedulingTest, BatchingOffRunsEveryRequestAlone) {
  RunRows();
  Start({.threads = 1, .express_slots = 0}, {.batching = "off"});
  RunSome(6);
  WaveUpon(8, 30);
  EXPECT_EQ(largest_batch_, 1);
  EXPECT_EQ(server_->GetModel("t/x")->batching, "off");
}

TEST_F(SchedulingTest, BatchingOnNeedsNoWordOfTheModelFile) {
  RunRows();
  state_.interface.batch_dimension = -1;
  Start({.threads = 1, .express_slots = 0});
  RunSome(6);
  WaveUpon(8, 20);
  EXPECT_EQ(largest_batch_, 1);
  Start({.threads = 1, .express_slots = 0}, {.batching = "on"});
  RunSome(6);
  WaveUpon(8, 60);
  EXPECT_EQ(largest_batch_, 8);
}

TEST_F(SchedulingTest, BatchingOnIsRefusedForAModelOfOneSize) {
  RunRows();
  Start({.threads = 1});
  state_.interface.inputs[0].shape = {1, 2};
  const auto status = server_->RegisterModel(
      {.model_id = "t/fixed",
       .path = std::string(MLOS_SOURCE_DIR) + "/tests/models/onnx/identity_float32.onnx",
       .batching = "on"});
  EXPECT_EQ(status.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(status.status().message(), HasSubstr("'x' is FP32 [1, 2]: its first dimension must be free"));
}

TEST_F(SchedulingTest, UnknownSwitchesAreRefusedByName) {
  Start({.threads = 1});
  const std::string path = std::string(MLOS_SOURCE_DIR) + "/tests/models/onnx/identity_float32.onnx";
  EXPECT_THAT(
      server_->RegisterModel({.model_id = "t/y", .path = path, .batching = "maybe"}).status().message(),
      HasSubstr("batching 'maybe' is unknown, wanted one of: auto, on, off"));
  EXPECT_THAT(server_->RegisterModel({.model_id = "t/y", .path = path, .isolation = "vm"}).status().message(),
              HasSubstr("isolation 'vm' is unknown, wanted one of: process, unsafe-process, none"));
  EXPECT_THAT(
      server_->RegisterModel({.model_id = "t/y", .path = path, .max_batch = 70000}).status().message(),
      HasSubstr("max_batch 70000: wanted at most 65536"));
}

TEST_F(SchedulingTest, BadInputInABatchIsBlamedOnItsSenderAlone) {
  RunRows();
  Start({.threads = 1, .express_slots = 0});
  RunSome(6);
  int batches_with_bad = 0;
  for (int round = 0; round < 60 && batches_with_bad < 3; ++round) {
    const auto usual = state_.run;
    largest_batch_ = 0;
    const auto release = Block();
    std::vector<std::future<Answer>> waiting;
    for (int i = 0; i < 6; ++i) waiting.push_back(Infer(Row(i == 3 ? -1.0F : 1.0F)));
    release();
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(Wait(waiting[i]).status.code(), i == 3 ? Code::kUnprocessable : Code::kOk);
    }
    Wait(blocked_);
    state_.run = usual;
    if (largest_batch_ == 6) ++batches_with_bad;
    // Learns from good ones.
    const auto release_good = Block();
    std::vector<std::future<Answer>> good;
    for (int i = 0; i < 6; ++i) good.push_back(Infer(Row(1)));
    release_good();
    for (auto& each : good) EXPECT_TRUE(Wait(each).status.ok());
    Wait(blocked_);
    state_.run = usual;
  }
  EXPECT_GE(batches_with_bad, 1) << "the case was not tried";
}

TEST_F(SchedulingTest, AClientThatLeavesABatchLosesItsOwnSliceOnly) {
  RunRows();
  Start({.threads = 1, .express_slots = 0});
  RunSome(6);
  bool tried = false;
  for (int round = 0; round < 60 && !tried; ++round) {
    const auto usual = state_.run;
    largest_batch_ = 0;
    const auto release = Block();
    std::vector<std::future<Answer>> waiting;
    auto leaver = std::make_shared<CancelToken>();
    for (int i = 0; i < 4; ++i) {
      Request request = Row(static_cast<float>(i));
      request.cancel = i == 2 ? leaver : std::make_shared<CancelToken>();
      waiting.push_back(Infer(std::move(request)));
    }
    on_run_ = [&] {
      if (largest_batch_ == 4) leaver->Cancel();
    };
    release();
    std::vector<Code> codes;
    for (auto& each : waiting) codes.push_back(Wait(each).status.code());
    on_run_ = nullptr;
    Wait(blocked_);
    state_.run = usual;
    if (largest_batch_ < 4) continue;
    tried = true;
    EXPECT_EQ(codes, (std::vector<Code>{Code::kOk, Code::kOk, Code::kCancelled, Code::kOk}));
  }
  EXPECT_TRUE(tried);
}

TEST_F(SchedulingTest, SequencesOfALanguageModelAreBoundedAndWaitByPriority) {
  state_.interface.generates = true;
  HoldCalls();
  Start({.threads = 1, .max_queue = 2, .max_sequences = 1});
  const auto generate = [this](const std::string& prompt, Priority priority) {
    Request request;
    request.generation.emplace();
    request.generation->prompt = prompt;
    request.priority = priority;
    return Infer(std::move(request));
  };
  auto first = generate("first", Priority::kNormal);
  HeldCalls::Held held = held_.Take();
  auto batch = generate("batch", Priority::kBatch);
  auto high = generate("high", Priority::kHigh);
  const Answer refused = generate("one too many", Priority::kBatch).get();
  EXPECT_EQ(refused.status.code(), Code::kUnavailable);
  EXPECT_THAT(refused.status.message(), HasSubstr("the queue is full (2 requests wait"));
  held.sink->OnDone(OkStatus(), {});
  HeldCalls::Held second = held_.Take();
  EXPECT_EQ(second.request.generation->prompt, "high");
  second.sink->OnDone(OkStatus(), {});
  held_.Take().sink->OnDone(OkStatus(), {});
  for (auto* each : {&first, &batch, &high}) EXPECT_TRUE(each->get().status.ok());
}

TEST_F(SchedulingTest, TheStagesOfARequestAddUpToItsWallTime) {
  RunRows();
  Start({.threads = 1, .express_slots = 0});
  RunSome(3);
  const auto release = Block();
  Request request = Row(1);
  request.priority = Priority::kHigh;
  request.request_id = "r-1";
  request.trace = std::make_unique<Trace>();
  const int64_t begun_ns = clock_.MonotonicNs();
  request.trace->Begin(begun_ns);
  clock_.AdvanceNs(kMs);
  request.trace->Mark(Stage::kDecode, clock_.MonotonicNs());
  std::future<Answer> waiting = Infer(std::move(request));
  clock_.AdvanceNs(20 * kMs);
  release();
  Answer answer = waiting.get();
  ASSERT_TRUE(answer.status.ok());
  const int64_t wall_ns = clock_.MonotonicNs() - begun_ns;
  ASSERT_NE(answer.response.trace, nullptr);
  const Trace& trace = *answer.response.trace;
  EXPECT_EQ(std::accumulate(trace.ns.begin(), trace.ns.end(), int64_t{0}), wall_ns);
  EXPECT_EQ(trace.of(Stage::kDecode), kMs);
  EXPECT_GE(trace.of(Stage::kQueue), 20 * kMs);
  EXPECT_EQ(trace.priority, "high");
  EXPECT_EQ(trace.batch_requests, 1u);
  EXPECT_EQ(trace.slots_busy, 1u);
  server_->RecordTrace(std::move(answer.response.trace));
  ASSERT_TRUE(server_->FindTrace("r-1").ok());
  EXPECT_EQ(server_->FindTrace("r-1")->total_ns(), wall_ns);
  EXPECT_EQ(server_->FindTrace("r-2").status().code(), Code::kNotFound);
}

TEST_F(SchedulingTest, ARefusedRequestBringsItsTraceBack) {
  RunRows();
  Start({.threads = 1});
  Request request = Row(1);
  request.trace = std::make_unique<Trace>();
  request.trace->Begin(clock_.MonotonicNs());
  request.deadline_ns = clock_.MonotonicNs();
  const Answer answer = Infer(std::move(request)).get();
  ASSERT_NE(answer.response.trace, nullptr);
  EXPECT_EQ(answer.response.trace->code, Code::kDeadlineExceeded);
  EXPECT_EQ(answer.response.trace->batch_requests, 0u);
}

TEST_F(SchedulingTest, QuantilesAndPredictionErrorAreTold) {
  RunRows();
  Start({.threads = 1});
  RunSome(10);
  const ModelActivity activity = server_->GetModel("t/x")->activity;
  EXPECT_EQ(activity.p50_ns, 6 * kMs);
  EXPECT_EQ(activity.p99_ns, 6 * kMs);
  EXPECT_TRUE(activity.predicts);
  EXPECT_EQ(activity.prediction_error, 0);
  EXPECT_EQ(activity.executions, 10u);
  EXPECT_EQ(activity.running, 0u);
}

TEST_F(SchedulingTest, WhatWasLearntOfAModelOutlivesItsRegistrationOnlyAsLongAsItIsRegistered) {
  RunRows();
  Start({.threads = 1});
  RunSome(10);
  ASSERT_TRUE(server_->UnregisterModel("t/x").ok());
  EXPECT_EQ(server_->Stats().requests_ok, 10u);
  EXPECT_FALSE(server_->GetModel("t/x").ok());
}

TEST(TraceRingTest, ForgetsTheOldest) {
  TraceRing ring(2);
  for (const char* id : {"a", "b", "c"}) {
    auto trace = std::make_unique<Trace>();
    trace->request_id = id;
    ring.Add(std::move(trace));
  }
  EXPECT_FALSE(ring.Find("a").ok());
  EXPECT_TRUE(ring.Find("b").ok());
  EXPECT_TRUE(ring.Find("c").ok());
}

}  // namespace
}  // namespace mlos::serving
