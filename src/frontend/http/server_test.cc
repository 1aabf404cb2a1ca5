// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/server.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "frontend/http/testing/server_fixture.h"

namespace mlos::frontend {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;

const char kVector[] = R"({"x": [1, 2.5]})";

TEST_F(HttpServerTest, AnswersOnBothLoopbackAddressesWithOnePort) {
  Start();
  for (const Endpoint& endpoint : server_->endpoints()) {
    EXPECT_EQ(endpoint.port, server_->endpoints().front().port);
    RawClient client(endpoint);
    EXPECT_EQ(client.Ask(Get("/health")).status, 200) << endpoint.host;
  }
}

TEST_F(HttpServerTest, InfersInlineAndLaterOverOneConnection) {
  Start();
  RawClient client = Connect();
  for (const char* model : {"echo", "later", "echo", "later"}) {
    const RawResponse response = client.Ask(Infer(model, kVector));
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.body,
                HasSubstr(R"("outputs":{"y":{"datatype":"FP32","shape":[1,2],"data":[1,2.5]}})"));
    EXPECT_THAT(response.body, HasSubstr("\"model_id\":\"t/" + std::string(model) + "@1\""));
    EXPECT_EQ(response.fields.at("server"), "mlos-core/9.9");
    EXPECT_EQ(response.fields.at("content-type"), "application/json");
  }
}

TEST_F(HttpServerTest, RawIdsQueryAndBinaryBodies) {
  Start();
  RawClient client = Connect();
  const RawResponse without = client.Ask(Post("/models/t/echo@1/inference?include_outputs=false", kVector));
  EXPECT_EQ(without.status, 200);
  EXPECT_THAT(without.body, Not(HasSubstr("\"outputs\"")));
  EXPECT_THAT(without.body, HasSubstr("\"output_size\":8,"));
  EXPECT_EQ(client.Ask(Post("/models/t/echo@1/inference?include_outputs=maybe", kVector)).status, 400);
  EXPECT_EQ(client.Ask(Post("/models/t/echo@1/inference?precision=2", kVector)).status, 400);
  const float values[] = {3, 4};
  const RawResponse binary =
      client.Ask(Infer("echo", std::string(reinterpret_cast<const char*>(values), sizeof values),
                       "Content-Type: application/octet-stream\r\n"));
  EXPECT_EQ(binary.status, 200);
  EXPECT_THAT(binary.body, HasSubstr("[3,4]"));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  RawClient client = Connect();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += Infer(i % 3 == 0 ? "later" : "echo", "{\"x\": [" + std::to_string(i) + ", 0]}",
                 "X-Request-Id: r" + std::to_string(i) + "\r\n");
  }
  ASSERT_TRUE(client.Send(all));
  for (int i = 0; i < 50; ++i) {
    const RawResponse response = client.Read();
    ASSERT_EQ(response.status, 200);
    EXPECT_EQ(response.fields.at("x-request-id"), "r" + std::to_string(i));
    EXPECT_THAT(response.body, HasSubstr("\"data\":[" + std::to_string(i) + ",0]"));
  }
}

TEST_F(HttpServerTest, ThousandsOfPipelinedRequestsWithOneByteReadsInBetween) {
  Start();
  RawClient client = Connect();
  const std::string one = Get("/health/live");
  std::string all;
  for (int i = 0; i < 3000; ++i) all += one;
  std::thread sender([&] { client.Send(all); });
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(client.Read().status, 200) << i;
  sender.join();
  for (const char byte : one) ASSERT_TRUE(client.Send(std::string_view(&byte, 1)));
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(HttpServerTest, ChunkedBodiesAndLargeBodiesArrive) {
  Start();
  RawClient client = Connect();
  const std::string head =
      "POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(client.Ask(head + "4\r\n{\"x\"\r\nb;a=b\r\n: [1, 2.5]}\r\n0\r\nT: t\r\n\r\n").body,
              HasSubstr("[1,2.5]"));
  std::string body = "{\"x\": [1";
  for (int i = 1; i < 200'000; ++i) body += "," + std::to_string(i);
  body += "]}";
  const RawResponse large = client.Ask(Infer("echo", body));
  EXPECT_EQ(large.status, 200);
  EXPECT_THAT(large.body, HasSubstr("\"shape\":[100000,2]"));
  std::string chunked = head;
  for (size_t at = 0; at < body.size(); at += 10'000) {
    const std::string piece = body.substr(at, 10'000);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    chunked += size + piece + "\r\n";
  }
  const RawResponse again = client.Ask(chunked + "0\r\n\r\n");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body.substr(again.body.find("\"outputs\"")),
            large.body.substr(large.body.find("\"outputs\"")));
  EXPECT_EQ(client.Ask(head + "zz\r\n").status, 400);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpServerTest, ExpectContinueIsAnsweredAtOnce) {
  Start();
  RawClient client = Connect();
  const std::string head =
      "POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: "
      "15\r\n\r\n";
  EXPECT_EQ(client.Ask(head).status, 100);
  EXPECT_EQ(client.Ask(kVector).status, 200);
  // No 100 when the body came along, none before a refusal.
  EXPECT_EQ(client.Ask(head + kVector).status, 200);
  EXPECT_EQ(Connect()
                .Ask("POST /nope HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n")
                .status,
            404);
  EXPECT_EQ(Connect()
                .Ask("PUT /health HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 15\r\n\r\n")
                .status,
            405);
  EXPECT_EQ(Connect()
                .Ask("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nExpect: "
                     "100-continue\r\nContent-Length: 99999999999\r\n\r\n")
                .status,
            413);
  RawClient other = Connect();
  EXPECT_EQ(other
                .Ask("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nExpect: tea\r\nContent-Length: "
                     "2\r\n\r\n")
                .status,
            417);
  EXPECT_TRUE(other.AtEnd());
}

TEST_F(HttpServerTest, ABodyOf100MegabytesIsRefusedAndTheAnswerIsReadable) {
  Start();
  RawClient client = Connect();
  client.Send("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nContent-Length: 104857600\r\n\r\n");
  const std::string piece(1 << 20, ' ');
  for (int i = 0; i < 100; ++i) {
    if (!client.Send(piece)) break;
  }
  const RawResponse response = client.Read();
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, HasSubstr("\"code\":\"too_large\""));
  EXPECT_THAT(response.body, HasSubstr("67108864"));
  EXPECT_EQ(response.fields.at("connection"), "close");
}

TEST_F(HttpServerTest, AChunkedBodyOverTheLimitIsRefused) {
  HttpConfig config;
  config.limits.max_body_bytes = 100'000;
  Start(config);
  RawClient client = Connect();
  std::string body =
      "POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) body += "2000\r\n" + std::string(0x2000, ' ') + "\r\n";
  client.Send(body);
  EXPECT_EQ(client.Read().status, 413);
}

TEST_F(HttpServerTest, BodiesTogetherOverTheLimitAreRefused) {
  HttpConfig config;
  config.limits.max_total_body_bytes = 100'000;
  Start(config);
  RawClient first = Connect();
  first.Send(
      "POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: "
      "60000\r\n\r\n");
  ASSERT_EQ(first.Read().status, 100);
  RawClient second = Connect();
  EXPECT_EQ(second.Ask("POST /models/t/echo@1/inference HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n")
                .status,
            503);
  EXPECT_EQ(first.Ask(std::string(60000, ' ')).status, 400);
  EXPECT_EQ(Connect().Ask(Infer("echo", std::string(60000, ' '))).status, 400);
}

TEST_F(HttpServerTest, EachFailureHasItsOwnStatus) {
  Start();
  RawClient client = Connect();
  const auto check = [&](const std::string& request, int status, const std::string& code) {
    const RawResponse response = client.Ask(request);
    EXPECT_EQ(response.status, status) << request;
    EXPECT_THAT(response.body, HasSubstr("{\"status\":\"error\",\"code\":\"" + code + "\",\"message\":"))
        << request;
    EXPECT_THAT(response.body, HasSubstr("\"request_id\":\"" + response.fields.at("x-request-id") + "\""));
    return response;
  };
  check(Get("/nope"), 404, "not_found");
  check(Infer("nope", kVector), 404, "not_found");
  EXPECT_EQ(check(Get("/models/register"), 405, "method_not_allowed").fields.at("allow"), "POST, OPTIONS");
  check("PUT /models/t/echo@1 HTTP/1.1\r\nHost: t\r\n\r\n", 405, "method_not_allowed");
  check(Infer("echo", kVector, "Content-Type: text/xml\r\n"), 415, "unsupported_media_type");
  check(Infer("echo", "{\"x\": [1, 2"), 400, "invalid_argument");
  check(Infer("echo", ""), 400, "invalid_argument");
  check(Get("/models/a%zz"), 400, "invalid_argument");
  EXPECT_THAT(check(Infer("echo", R"({"x": [1, "a"]})"), 422, "unprocessable").body,
              HasSubstr("input 'x', element [1]: wanted FP32, got a string"));
  check(Infer("bad", kVector), 422, "unprocessable");
  EXPECT_EQ(check(Infer("busy", kVector), 429, "resource_exhausted").fields.at("retry-after"), "1");
  EXPECT_EQ(check(Infer("full", kVector), 503, "unavailable").fields.at("retry-after"), "1");
  check(Infer("late", kVector), 504, "deadline_exceeded");
  EXPECT_THAT(check(Infer("broken", kVector), 500, "internal").body,
              HasSubstr("\"model_id\":\"t/broken@1\""));
  // A coded body closes the connection: how long it is in plain text is not known.
  check(Infer("echo", kVector, "Content-Encoding: gzip\r\n"), 415, "unsupported_media_type");
}

TEST_F(HttpServerTest, SmuggledAndMalformedRequestsAreRefusedAndTheConnectionEnds) {
  HttpConfig config;
  config.limits.max_head_bytes = 4096;
  Start(config);
  for (const auto& [request, status] : std::vector<std::pair<std::string, int>>{
           {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400},
           {"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: five\r\n\r\nhello", 400},
           {"GET / HTTP/1.1\nHost: t\n\n", 400},
           {"\x16\x03\x01\x02\n", 400},
           {"GET / HTTP/3.0\r\nHost: t\r\n\r\n", 505},
           {"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: br\r\n\r\n", 501},
           {"GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: t\r\n\r\n", 414},
           {"GET / HTTP/1.1\r\nHost: t\r\nA: " + std::string(5000, 'a') + "\r\n\r\n", 431}}) {
    RawClient client = Connect();
    client.Send(request);
    EXPECT_EQ(client.Read().status, status) << request.substr(0, 80);
    EXPECT_TRUE(client.AtEnd()) << request.substr(0, 80);
  }
  std::string many = "GET / HTTP/1.1\r\nHost: t\r\n";
  for (int i = 0; i < 150; ++i) many += "A: b\r\n";
  EXPECT_EQ(Connect().Ask(many + "\r\n").status, 431);
}

TEST_F(HttpServerTest, HeadOptionsAndCors) {
  Start();
  RawClient client = Connect();
  client.Send("HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n");
  const RawResponse head = client.Read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_GT(std::stoi(head.fields.at("content-length")), 50);
  const RawResponse options =
      client.Ask("OPTIONS /models HTTP/1.1\r\nHost: t\r\nOrigin: http://evil\r\n\r\n");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.fields.at("allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_THAT(options.fields, Not(Contains(Key("access-control-allow-origin"))));
  EXPECT_EQ(client.Ask("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n").status, 204);

  HttpConfig open;
  open.port = 0;
  open.cors_origin = "*";
  const auto server = HttpServer::Start(open, service_).value();
  RawClient cors(server->endpoints().front());
  EXPECT_EQ(cors.Ask("OPTIONS /models HTTP/1.1\r\nHost: t\r\n\r\n").fields.at("access-control-allow-origin"),
            "*");
}

TEST_F(HttpServerTest, RequestIdsAreTakenWhenSane) {
  Start();
  RawClient client = Connect();
  EXPECT_EQ(client.Ask(Get("/health", "X-Request-Id: trace-1\r\n")).fields.at("x-request-id"), "trace-1");
  const std::string made = client.Ask(Get("/health", "X-Request-Id: a\"b c\r\n")).fields.at("x-request-id");
  EXPECT_EQ(made.size(), 16U);
  EXPECT_NE(client.Ask(Get("/health")).fields.at("x-request-id"), made);
}

TEST_F(HttpServerTest, Http10ClosesUnlessAsked) {
  Start();
  RawClient client = Connect();
  const RawResponse kept = client.Ask("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.fields.at("connection"), "keep-alive");
  EXPECT_EQ(client.Ask("GET /health HTTP/1.0\r\n\r\n").fields.at("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpServerTest, TheAccessLogNeverHoldsABodyOrAQuery) {
  Mutex mu;
  std::string log;
  HttpConfig config;
  config.access_log = [&](const AccessRecord& record) {
    MutexLock lock(mu);
    log += std::string(record.method) + " " + std::string(record.path) + " " + std::to_string(record.status) +
           " " + std::to_string(record.bytes_in) + " " + std::string(record.request_id) + " " +
           std::string(record.peer) + "\n";
    EXPECT_GE(record.duration_ns, 0);
  };
  Start(config);
  Connect().Ask(Post("/models/t/echo@1/inference?include_outputs=true", R"({"x": [1, 77777]})",
                     "X-Request-Id: rr\r\n"));
  Connect().Ask("nonsense\r\n\r\n");
  server_->Drain(std::chrono::seconds(5));
  MutexLock lock(mu);
  EXPECT_THAT(log, HasSubstr("POST /models/t/echo@1/inference 200 17 rr 127.0.0.1:"));
  EXPECT_THAT(log, HasSubstr(" 400 0 "));
  EXPECT_THAT(log, Not(HasSubstr("77777")));
  EXPECT_THAT(log, Not(HasSubstr("include_outputs")));
}

TEST_F(HttpServerTest, AUnixSocketServesToo) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("mlos-http-test-" + std::to_string(::getpid()));
  HttpConfig config;
  config.unix_path = path;
  Start(config);
  EXPECT_EQ(server_->endpoints().back().host, path);
  EXPECT_EQ(RawClient(server_->endpoints().back()).Ask(Get("/health")).status, 200);
  HttpConfig second;
  second.port = 0;
  second.unix_path = path;
  EXPECT_EQ(HttpServer::Start(second, service_).status().code(), Code::kFailedPrecondition);
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(HttpServerTest, APortInUseIsAClearError) {
  Start();
  HttpConfig config;
  config.port = server_->endpoints().front().port;
  const Status status = HttpServer::Start(config, service_).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              HasSubstr("127.0.0.1:" + std::to_string(config.port) + ": the address is in use"));
  config.hosts = {"localhost"};
  EXPECT_EQ(HttpServer::Start(config, service_).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mlos::frontend
