// SPDX-License-Identifier: Apache-2.0
// Connections over time: slow and vanishing clients, streams, many connections, shutdown.
#include <gmock/gmock.h>

#include <algorithm>

#include "frontend/http/testing/server_fixture.h"

namespace mlos::frontend {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

const char kVector[] = R"({"x": [1, 2.5]})";

HttpConfig Impatient() {
  HttpConfig config;
  config.limits.head_timeout = milliseconds(250);
  config.limits.body_timeout = milliseconds(250);
  config.limits.idle_timeout = milliseconds(250);
  config.limits.write_timeout = milliseconds(250);
  config.limits.linger_timeout = milliseconds(250);
  return config;
}

TEST_F(HttpServerTest, SlowHeadsAndBodiesGet408AndIdleConnectionsEnd) {
  Start(Impatient());
  RawClient head = Connect();
  head.Send("GET /health HTTP/1.1\r\nHo");
  EXPECT_EQ(head.Read().status, 408);
  EXPECT_TRUE(head.AtEnd());
  for (const char* length :
       {"Content-Length: 100", "Content-Length: 1000000", "Transfer-Encoding: chunked"}) {
    RawClient body = Connect();
    body.Send("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\n" + std::string(length) + "\r\n\r\n1");
    EXPECT_EQ(body.Read().status, 408) << length;
    EXPECT_TRUE(body.AtEnd());
  }
  RawClient idle = Connect();
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_EQ(Connect().Ask(Infer("echo", kVector)).status, 200);
}

TEST_F(HttpServerTest, AClientThatGoesAwayCancelsItsRequest) {
  Signal started;
  Signal cancelled;
  service_.AddModel("t/slow@1", Vector(), [&](Request request, Sink sink) {
    started.Set();
    MutexLock lock(mu_);
    threads_.emplace_back([&, cancel = request.cancel, sink] {
      for (int i = 0; i < 20'000 && !cancel->cancelled(); ++i) std::this_thread::sleep_for(milliseconds(1));
      if (cancel->cancelled()) cancelled.Set();
      sink->OnDone(Cancelled("the client went away"), {});
    });
  });
  Start();
  RawClient client = Connect();
  client.Send(Infer("slow", kVector));
  ASSERT_TRUE(started.Wait());
  client.Close();
  EXPECT_TRUE(cancelled.Wait());
  EXPECT_EQ(Connect().Ask(Infer("echo", kVector)).status, 200);
}

TEST_F(HttpServerTest, StreamsTextAsServerSentEvents) {
  service_.AddModel("t/llm@1", Text(), [this](Request request, Sink sink) {
    const bool stream = request.generation->stream;
    const std::string prompt = request.generation->prompt;
    const auto run = [sink, stream, prompt] {
      Response response;
      for (const std::string piece : {"one ", "two ", prompt.c_str()}) {
        response.text += piece;
        EXPECT_TRUE(!stream || sink->OnText(piece));
      }
      response.completion_tokens = 3;
      response.finish = FinishReason::kStop;
      if (prompt == "fail") return sink->OnDone(Internal("broke in the middle"), {});
      sink->OnDone(OkStatus(), std::move(response));
    };
    if (prompt == "inline") return run();
    MutexLock lock(mu_);
    threads_.emplace_back(run);
  });
  service_.AddModel("t/refuses@1", Text(),
                    [](Request, const Sink& sink) { sink->OnDone(Unprocessable("prompt too long"), {}); });
  Start();
  RawClient client = Connect();
  for (const std::string prompt : {"later", "inline", "later"}) {
    const RawResponse response =
        client.Ask(Infer("llm", "{\"prompt\": \"" + prompt + "\", \"stream\": true}"));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.fields.at("content-type"), "text/event-stream; charset=utf-8");
    EXPECT_TRUE(response.body.starts_with("data: {\"text\":\"one \"}\n\ndata: {\"text\":\"two \"}\n\n"))
        << response.body;
    EXPECT_THAT(response.body, HasSubstr("data: {\"done\":true,\"status\":\"success\""));
    EXPECT_THAT(response.body, HasSubstr("\"text\":\"one two " + prompt + "\""));
    EXPECT_TRUE(response.body.ends_with("\n\ndata: [DONE]\n\n"));
  }
  EXPECT_THAT(client.Ask(Infer("llm", R"({"prompt": "x"})")).body,
              HasSubstr(R"("text":"one two x","tokens_generated":3,"finish_reason":"stop")"));
  const RawResponse broken = client.Ask(Infer("llm", R"({"prompt": "fail", "stream": true})"));
  EXPECT_EQ(broken.status, 200);
  EXPECT_THAT(broken.body,
              HasSubstr("data: {\"error\":{\"code\":\"internal\",\"message\":\"broke in the middle\""));
  EXPECT_THAT(broken.body, Not(HasSubstr("[DONE]")));
  // Nothing was streamed yet: a plain error.
  EXPECT_EQ(client.Ask(Infer("refuses", R"({"prompt": "x", "stream": true})")).status, 422);
  const std::string body = R"({"prompt": "later", "stream": true})";
  const RawResponse old =
      client.Ask("POST /models/t/llm@1/inference HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
                 "\r\n\r\n" + body);
  EXPECT_EQ(old.fields.count("transfer-encoding"), 0U);
  EXPECT_TRUE(old.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(HttpServerTest, AStreamThatNobodyReadsIsCancelled) {
  Signal stopped;
  service_.AddModel("t/flood@1", Text(), [&](Request request, Sink sink) {
    MutexLock lock(mu_);
    threads_.emplace_back([&, cancel = request.cancel, sink] {
      const std::string piece(4096, 'x');
      for (int i = 0; i < 100'000; ++i) {
        if (sink->OnText(piece)) continue;
        stopped.Set();
        break;
      }
      sink->OnDone(Cancelled("stopped"), {});
    });
  });
  Start();
  RawClient client = Connect();
  client.Send(Infer("flood", R"({"prompt": "x", "stream": true})"));
  EXPECT_TRUE(stopped.Wait());
  EXPECT_EQ(Connect().Ask(Infer("echo", kVector)).status, 200);
}

TEST_F(HttpServerTest, ALargeAnswerThatNobodyReadsEndsTheConnection) {
  HttpConfig config;
  config.limits.write_timeout = milliseconds(500);
  service_.AddModel("t/huge@1", Vector(), [](Request, const Sink& sink) {
    Response response;
    response.outputs.push_back({"y", Tensor::Allocate(DType::kUint8, {8 << 20}).value()});
    std::ranges::fill(response.outputs[0].tensor.data(), std::byte{100});
    sink->OnDone(OkStatus(), std::move(response));
  });
  Start(config);
  RawClient reader = Connect();
  EXPECT_GT(reader.Ask(Infer("huge", kVector)).body.size(), size_t{32} << 20);
  reader.Close();
  RawClient idle = Connect();
  idle.Send(Infer("huge", kVector));
  ASSERT_TRUE(idle.ReadUntil("\r\n\r\n"));
  // Reading goes on after the server gave up: the answer is cut short.
  RawClient observer = Connect();
  RawResponse metrics;
  for (int i = 0; i < 2000 && metrics.body.find("mlos_http_connections 1\n") == std::string::npos; ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    metrics = observer.Ask(Get("/metrics"));
  }
  EXPECT_THAT(metrics.body, HasSubstr("mlos_http_connections 1\n"));
  EXPECT_EQ(idle.Read().status, 0);
}

TEST_F(HttpServerTest, AThousandConnectionsAreServed) {
  Start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->endpoints().front()));
    ASSERT_TRUE(clients.back()->connected()) << i;
  }
  for (int round = 0; round < 2; ++round) {
    for (auto& client : clients) ASSERT_TRUE(client->Send(Infer("echo", kVector)));
    for (auto& client : clients) ASSERT_EQ(client->Read().status, 200);
  }
}

TEST_F(HttpServerTest, TooManyConnectionsGet503) {
  HttpConfig config;
  config.limits.max_connections = 2;
  Start(config);
  RawClient first = Connect();
  RawClient second = Connect();
  ASSERT_EQ(first.Ask(Get("/health")).status, 200);
  ASSERT_EQ(second.Ask(Get("/health")).status, 200);
  RawClient third = Connect();
  const RawResponse refused = third.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.fields.at("retry-after"), "1");
  EXPECT_TRUE(third.AtEnd());
  third.Close();
  first.Close();
  RawResponse again;
  for (int i = 0; i < 200 && again.status != 200; ++i) again = Connect().Ask(Get("/health"));
  EXPECT_EQ(again.status, 200);
}

TEST_F(HttpServerTest, DrainFinishesRequestsInWorkAndClosesIdleConnections) {
  Signal started;
  Signal may_finish;
  service_.AddModel("t/slow@1", Vector(), [&](Request request, Sink sink) {
    auto shared = std::make_shared<Request>(std::move(request));
    started.Set();
    MutexLock lock(mu_);
    threads_.emplace_back([&, shared, sink] {
      may_finish.Wait();
      Echo(std::move(*shared), sink);
    });
  });
  Start();
  RawClient idle = Connect();
  ASSERT_EQ(idle.Ask(Get("/health")).status, 200);
  RawClient working = Connect();
  working.Send(Infer("slow", kVector));
  ASSERT_TRUE(started.Wait());
  std::thread drain([&] { server_->Drain(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.AtEnd());
  may_finish.Set();
  const RawResponse response = working.Read();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.fields.at("connection"), "close");
  EXPECT_TRUE(working.AtEnd());
  drain.join();
  EXPECT_FALSE(Connect().connected());
}

TEST_F(HttpServerTest, DrainCancelsWhatDoesNotEndInTime) {
  Signal started;
  Signal cancelled;
  service_.AddModel("t/stuck@1", Vector(), [&](Request request, Sink sink) {
    started.Set();
    MutexLock lock(mu_);
    threads_.emplace_back([&, cancel = request.cancel, sink] {
      for (int i = 0; i < 20'000 && !cancel->cancelled(); ++i) std::this_thread::sleep_for(milliseconds(1));
      if (cancel->cancelled()) cancelled.Set();
      sink->OnDone(Cancelled("late"), {});
    });
  });
  Start();
  RawClient client = Connect();
  client.Send(Infer("stuck", kVector));
  ASSERT_TRUE(started.Wait());
  server_->Drain(milliseconds(20));
  EXPECT_TRUE(cancelled.Wait());
  EXPECT_TRUE(client.AtEnd());
}

}  // namespace
}  // namespace mlos::frontend
