// SPDX-License-Identifier: Apache-2.0
#include "convert/onnx_proto.h"

#include <gtest/gtest.h>

namespace mlos::convert {
namespace {

using namespace std::string_literals;

TEST(ProtoWriterTest, WritesVarintsAsTheWireFormatSays) {
  ProtoWriter w;
  w.Int(1, 150);  // the example of the protobuf documentation
  EXPECT_EQ(w.bytes(), "\x08\x96\x01"s);
  ProtoWriter negative;
  negative.Int(1, -1);
  EXPECT_EQ(negative.bytes(), "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
  ProtoWriter high_field;
  high_field.Int(20, 0);
  EXPECT_EQ(high_field.bytes(), "\xa0\x01\x00"s);
}

TEST(ProtoWriterTest, WritesStringsFloatsAndNestedMessages) {
  ProtoWriter inner;
  inner.String(2, "testing");
  EXPECT_EQ(inner.bytes(), "\x12\x07testing"s);
  ProtoWriter outer;
  outer.Message(3, inner);
  EXPECT_EQ(outer.bytes(), "\x1a\x09\x12\x07testing"s);
  ProtoWriter number;
  number.Float(2, 1.0F);
  EXPECT_EQ(number.bytes(), "\x15\x00\x00\x80\x3f"s);
}

}  // namespace
}  // namespace mlos::convert
