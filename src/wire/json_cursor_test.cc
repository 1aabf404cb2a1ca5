// SPDX-License-Identifier: Apache-2.0
#include "wire/json_cursor.h"

#include <gtest/gtest.h>

#include "wire/base64.h"

namespace mlos::wire {
namespace {

Status Skip(std::string_view text) {
  JsonCursor cursor(text);
  if (Status status = cursor.SkipValue(); !status.ok()) return status;
  return cursor.ExpectEnd();
}

TEST(JsonCursorTest, TakesWellFormedValues) {
  for (const char* text : {"1", " [1, 2.5e3, -0, \"a\\u00e9\\ud83d\\ude00\", true, false, null, {}, []] ",
                           R"({"a": {"b": [[], [{}]]}, "c": ""})"}) {
    EXPECT_TRUE(Skip(text).ok()) << text << ": " << Skip(text).message();
  }
}

TEST(JsonCursorTest, RefusesMalformedValuesWithTheByteOffset) {
  for (const char* text : {"",
                           "[1,]",
                           "[1 2]",
                           "{\"a\" 1}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "[1",
                           "\"abc",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "01",
                           "1.",
                           "+1",
                           "nul",
                           "tru",
                           "[1]]",
                           "\"a\nb\"",
                           "\"\xff\""}) {
    const Status status = Skip(text);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_NE(status.message().find("byte "), std::string::npos) << status.message();
  }
  EXPECT_NE(Skip("[1, x]").message().find("byte 4"), std::string::npos) << Skip("[1, x]").message();
}

TEST(JsonCursorTest, AMillionBracketsAreRefusedNotCrashedOn) {
  EXPECT_EQ(Skip(std::string(1'000'000, '[')).code(), Code::kInvalidArgument);
  EXPECT_EQ(Skip(std::string(1'000'000, '{')).code(), Code::kInvalidArgument);
}

TEST(JsonCursorTest, DecodesEscapes) {
  JsonCursor cursor(R"("\"\\\/\b\f\n\r\té\u20ac\ud83d\ude00\u0000")");
  std::string out;
  ASSERT_TRUE(cursor.ReadString(&out).ok());
  EXPECT_EQ(out, std::string("\"\\/\b\f\n\r\t\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0", 18));
}

TEST(JsonCursorTest, RefusesAKeyThatStandsTwice) {
  JsonCursor cursor(R"({"a": 1, "b": 2, "\u0061": 3})");
  const Status status = cursor.ForEachMember([&](const std::string&) { return cursor.SkipValue(); });
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("'a' stands twice"), std::string::npos) << status.message();
}

TEST(Base64Test, RoundTripsAndRefusesWrongText) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)).value(), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(EncodeBase64("Man"), "TWFu");
  EXPECT_EQ(EncodeBase64("Ma"), "TWE=");
  EXPECT_EQ(EncodeBase64("M"), "TQ==");
  for (const char* bad : {"T", "TWF", "TW=u", "TWF*", "=WFu", "TQ=u", "TR==", "TWF=", "===="})
    EXPECT_FALSE(DecodeBase64(bad).ok()) << bad;
}

}  // namespace
}  // namespace mlos::wire
