// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mlos {
namespace {

TEST(JsonWriterTest, PlacesCommasBetweenElementsOnly) {
  JsonWriter w;
  w.BeginObject()
      .Key("a")
      .Int(-1)
      .Key("b")
      .BeginArray()
      .Bool(true)
      .Null()
      .BeginObject()
      .EndObject()
      .EndArray();
  w.Key("c").String("x").EndObject();
  EXPECT_EQ(w.str(), R"({"a":-1,"b":[true,null,{}],"c":"x"})");
}

TEST(JsonWriterTest, EscapesControlCharactersAndQuotes) {
  EXPECT_EQ(JsonQuote(std::string("a\"\\\n\x01\0z", 7)), R"("a\"\\\n\u0001\u0000z")");
}

TEST(JsonWriterTest, ReplacesInvalidUtf8) {
  EXPECT_EQ(JsonQuote("\xC3\xA9"), "\"\xC3\xA9\"");
  EXPECT_EQ(JsonQuote("\xC3"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(JsonQuote("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"")
      << "a surrogate is not UTF-8";
}

TEST(JsonWriterTest, NumbersReadBackExactlyAndNonFiniteBecomesNull) {
  JsonWriter w;
  w.BeginArray().Float(0.1F).Double(0.1).Double(1e300).Float(std::nanf("")).Double(HUGE_VAL).EndArray();
  EXPECT_EQ(w.str(), "[0.1,0.1,1e+300,null,null]");
}

}  // namespace
}  // namespace mlos
