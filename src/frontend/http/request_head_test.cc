// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/request_head.h"

#include <gtest/gtest.h>

#include "frontend/http/chunked.h"
#include "frontend/http/target.h"

namespace mlos::frontend {
namespace {

HeadError Parse(std::string_view text, RequestHead* head) {
  size_t scanned = 0;
  HeadError error;
  const size_t end = FindHeadEnd(text, &scanned, &error);
  if (error.status != 0) return error;
  if (end == 0) return {-1, "incomplete"};
  return ParseRequestHead(text.substr(0, end), 100, head);
}

int StatusOf(std::string_view text) {
  RequestHead head;
  return Parse(text, &head).status;
}

TEST(RequestHeadTest, ReadsWhatClientsSend) {
  RequestHead head;
  ASSERT_EQ(Parse("POST /models/a%2Fb/inference?x=1 HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length:  12 "
                  "\r\ncontent-type: application/json\r\n"
                  "Expect: 100-Continue\r\nX-Request-ID: abc\r\nConnection: TE, close\r\n\r\n",
                  &head)
                .status,
            0);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/models/a%2Fb/inference?x=1");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_TRUE(head.has_content_length);
  EXPECT_TRUE(head.expect_continue);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_EQ(head.content_type, "application/json");
  EXPECT_EQ(head.request_id, "abc");
}

TEST(RequestHeadTest, KeepAliveFollowsVersionAndConnection) {
  RequestHead head;
  EXPECT_EQ(Parse("GET / HTTP/1.0\r\n\r\n", &head).status, 0);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_EQ(Parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &head).status, 0);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(Parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &head).status, 0);
  EXPECT_TRUE(head.keep_alive);
}

TEST(RequestHeadTest, RefusesWhatTwoReadersCouldUnderstandDifferently) {
  const std::string ok = "POST / HTTP/1.1\r\nHost: a\r\n";
  for (const char* fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n", "Content-Length: +5\r\n", "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n", "Content-Length: \r\n", "Content-Length: 5 5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Content-Length : 5\r\n",
        " Content-Length: 5\r\n", "A: b\r\n folded\r\n", "A: b\r c\r\n", "NoColon\r\n", ": empty\r\n",
        "A\x01: b\r\n", "A: b\x01\r\n", "Host: b\r\n"}) {
    EXPECT_EQ(StatusOf(ok + fields + "\r\n"), 400) << fields;
  }
  EXPECT_EQ(StatusOf(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf(ok + "Expect: 200-maybe\r\n\r\n"), 417);
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  for (const char* head :
       {"GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "\n"}) {
    EXPECT_EQ(StatusOf(head), 400) << head;
  }
  EXPECT_EQ(StatusOf("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf(std::string("GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n", 35)), 400);
}

TEST(RequestHeadTest, TheEndIsFoundWhateverTheCuts) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    size_t scanned = 0;
    HeadError error;
    size_t end = FindHeadEnd(std::string_view(text).substr(0, cut), &scanned, &error);
    if (end == 0) end = FindHeadEnd(text, &scanned, &error);
    EXPECT_EQ(end, text.size() - 4) << cut;
    EXPECT_EQ(error.status, 0);
  }
}

TEST(ChunkedDecoderTest, ReadsBodiesWhateverTheCuts) {
  const std::string text = "5;ext=1\r\nhello\r\n0A\r\n, world!!!\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    ChunkedDecoder decoder;
    std::string body;
    ChunkedDecoder::State state = ChunkedDecoder::State::kMore;
    std::string_view input;
    size_t at = 0;
    for (const size_t end : {cut, text.size()}) {
      input = std::string_view(text).substr(at, end - at);
      std::string_view data;
      while (state != ChunkedDecoder::State::kDone &&
             (state = decoder.Next(&input, &data)) == ChunkedDecoder::State::kData)
        body += data;
      at = end - input.size();
    }
    EXPECT_EQ(state, ChunkedDecoder::State::kDone) << cut;
    EXPECT_EQ(body, "hello, world!!!");
    EXPECT_EQ(text.substr(at), "NEXT");
  }
}

TEST(ChunkedDecoderTest, RefusesMalformedBodies) {
  for (const std::string text :
       {"\r\n", "x\r\n", "5\nhello", "5\r\nhelloX\r\n", "5\r\nhello\n", "fffffffffffffffff\r\n", "-1\r\n",
        "0x5\r\n", "5\r\nhello\r\n\r\n", "0\r\nA: b\x01\r\n\r\n", "5;\x01\r\n"}) {
    ChunkedDecoder decoder;
    std::string_view input = text;
    std::string_view data;
    ChunkedDecoder::State state = ChunkedDecoder::State::kMore;
    while ((state = decoder.Next(&input, &data)) == ChunkedDecoder::State::kData) {
    }
    EXPECT_EQ(state, ChunkedDecoder::State::kBad) << text;
  }
}

TEST(TargetTest, ModelIdsMayBeEncodedOrRaw) {
  for (const char* target : {"/models/hf%2Fbert-base-uncased%40latest/inference",
                             "/models/hf/bert-base-uncased@latest/inference?include_outputs=true",
                             "http://localhost:8080/models/hf%2fbert-base-uncased@latest/inference"}) {
    const Target parsed = ParseTarget(target);
    EXPECT_EQ(parsed.route, Route::kInference) << target;
    EXPECT_EQ(parsed.model_id, "hf/bert-base-uncased@latest") << target;
  }
  EXPECT_EQ(ParseTarget("/models/a/b").route, Route::kModel);
  EXPECT_EQ(ParseTarget("/models/a/b/status").model_id, "a/b");
  EXPECT_EQ(ParseTarget("/models/register").route, Route::kRegister);
  EXPECT_EQ(ParseTarget("/models?x=y").query, "x=y");
  EXPECT_EQ(ParseTarget("/nope").route, Route::kUnknown);
  EXPECT_EQ(ParseTarget("/models/{id}").model_id, "{id}");
  for (const char* bad : {"/models/", "/models//inference", "/models/a%2/inference", "/models/a%zz",
                          "/models/a%00b", "/models/a%0ab", "/models/%"}) {
    EXPECT_FALSE(ParseTarget(bad).error.empty()) << bad;
  }
}

}  // namespace
}  // namespace mlos::frontend
