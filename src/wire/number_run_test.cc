// SPDX-License-Identifier: Apache-2.0
#include "wire/number_run.h"

#include <fast_float/fast_float.h>
#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace mlos::wire {
namespace {

struct Parsed {
  std::vector<float> values;
  RunStop stop;
  size_t offset;
};

Parsed ParseFloats(RunParser parse, const std::string& text, size_t capacity = 1 << 20) {
  std::vector<float> out(std::min<size_t>(capacity, text.size() + 1));
  const RunResult run = parse(text.data(), text.data() + text.size(), out.data(), out.size());
  out.resize(run.count);
  return {out, run.stop, static_cast<size_t>(run.p - text.data())};
}

std::vector<RunParser> FloatParsers() {
  return {RunParserFor(DType::kFp32), PortableRunParserFor(DType::kFp32)};
}

// Every text of the list, read in one run by our parser, has the bits that fast_float gives.
void ExpectBitEqual(const std::vector<std::string>& texts, const std::string& separator) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : separator) + text;
  for (const RunParser parse : FloatParsers()) {
    const Parsed parsed = ParseFloats(parse, all + "]");
    ASSERT_EQ(parsed.values.size(), texts.size()) << "stopped at " << all.substr(parsed.offset, 40);
    for (size_t i = 0; i < texts.size(); ++i) {
      float want = 0;
      fast_float::from_chars(texts[i].data(), texts[i].data() + texts[i].size(), want);
      ASSERT_EQ(std::bit_cast<uint32_t>(parsed.values[i]), std::bit_cast<uint32_t>(want)) << texts[i];
    }
  }
}

TEST(NumberRunTest, RandomDoublesInShortestFormAreBitEqualToFastFloat) {
  std::mt19937_64 random(7);
  std::vector<std::string> texts;
  char text[64];
  for (int i = 0; i < 200'000; ++i) {
    const double scale = std::pow(10.0, static_cast<double>(random() % 12) - 6);
    const double value = std::normal_distribution<double>(0, scale)(random);
    texts.emplace_back(text, std::to_chars(text, text + sizeof text, value).ptr);
  }
  ExpectBitEqual(texts, ", ");
}

TEST(NumberRunTest, RandomDigitStringsAreBitEqualToFastFloat) {
  std::mt19937_64 random(8);
  std::vector<std::string> texts;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = random() % 2 == 0 ? "-" : "";
    const size_t whole = random() % 9;
    if (whole == 0) text += '0';
    for (size_t k = 0; k < whole; ++k)
      text += static_cast<char>('0' + (k == 0 ? 1 + random() % 9 : random() % 10));
    const size_t fraction = random() % 24;
    if (fraction > 0) text += '.';
    for (size_t k = 0; k < fraction; ++k) text += static_cast<char>('0' + random() % 10);
    if (random() % 16 == 0) text += "e" + std::to_string(static_cast<int>(random() % 60) - 30);
    texts.push_back(text);
  }
  ExpectBitEqual(texts, ",");
}

// The hardest texts for double rounding: exactly half-way between two floats, and the neighbours a digit away.
TEST(NumberRunTest, MidpointsBetweenFloatsAreBitEqualToFastFloat) {
  std::mt19937_64 random(9);
  std::vector<std::string> texts;
  char text[128];
  for (int i = 0; i < 50'000; ++i) {
    const float low = std::ldexp(1.0F + static_cast<float>(random() % (1 << 23)) / (1 << 23),
                                 static_cast<int>(random() % 20) - 10);
    const float high = std::nextafter(low, 1e30F);
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;
    for (const int precision : {12, 14, 15, 16, 17}) {
      texts.emplace_back(
          text, std::to_chars(text, text + sizeof text, middle, std::chars_format::fixed, precision).ptr);
    }
    for (const double near : {std::nextafter(middle, 0.0), std::nextafter(middle, 1e30)}) {
      texts.emplace_back(text, std::to_chars(text, text + sizeof text, near).ptr);
    }
  }
  ExpectBitEqual(texts, ", ");
}

TEST(NumberRunTest, ExtremeFloatsAreBitEqualToFastFloat) {
  ExpectBitEqual({"0",
                  "-0",
                  "0.0",
                  "-0.0",
                  "1e-400",
                  "-1e-400",
                  "1e-45",
                  "1.4e-45",
                  "1.1754943508222875e-38",
                  "3.4028234663852886e38",
                  "0.000000000000000000000000000000000000011754942106924411",
                  "123456789012345678901234567890",
                  "9007199254740993",
                  "16777217",
                  "16777219",
                  "0.1",
                  "1",
                  "99999999",
                  "9999999.9999999999",
                  "0.99999999999999999999",
                  "5E-1",
                  "1E+2",
                  "0.00392156862745098",
                  "0.0039215686274509803",
                  "0.00000000000000000000000000001"},
                 " ,\n\t ");
}

TEST(NumberRunTest, StopsAtEachKindOfEnd) {
  for (const RunParser parse : FloatParsers()) {
    const std::string pad(80, ' ');
    EXPECT_EQ(ParseFloats(parse, "1,2]" + pad).offset, 3U);
    EXPECT_EQ(ParseFloats(parse, "1, 2, ]" + pad).offset, 4U);
    EXPECT_EQ(ParseFloats(parse, "1, 2, [3" + pad).values.size(), 2U);
    EXPECT_EQ(ParseFloats(parse, "1.5").values, std::vector<float>{1.5F});
    EXPECT_EQ(ParseFloats(parse, "1, 2, 3" + pad, 2).stop, RunStop::kFull);
    EXPECT_EQ(ParseFloats(parse, "1, 2, 3" + pad, 2).offset, 6U);
    EXPECT_EQ(ParseFloats(parse, "1, 1e39, 3" + pad).stop, RunStop::kOutOfRange);
    EXPECT_EQ(ParseFloats(parse, "1, 1e39, 3" + pad).offset, 3U);
    for (const char* bad : {"01", "-", "1.", "-.5", "1e", "1e+", "00.5", "-01"}) {
      EXPECT_EQ(ParseFloats(parse, std::string(bad) + "," + pad).stop, RunStop::kNotValue) << bad;
      EXPECT_EQ(ParseFloats(parse, bad).stop, RunStop::kNotValue) << bad;
    }
  }
}

template <typename T>
RunStop StopOf(DType dtype, const std::string& text, T* value) {
  const std::string padded = text + "]" + std::string(80, ' ');
  T slow{};
  const RunStop stop = RunParserFor(dtype)(text.data(), text.data() + text.size(), &slow, 1).stop;
  const RunResult fast = RunParserFor(dtype)(padded.data(), padded.data() + padded.size(), value, 1);
  // With and without room for wide loads the answer is the same.
  EXPECT_EQ(stop == RunStop::kFull || stop == RunStop::kEnd, fast.count == 1) << text;
  if (fast.count == 1) {
    EXPECT_EQ(std::memcmp(&slow, value, sizeof slow), 0) << text;
  }
  return fast.count == 1 ? RunStop::kEnd : fast.stop;
}

template <typename T>
void CheckInteger(DType dtype) {
  T value{};
  const auto text = [](auto v) { return std::to_string(v); };
  const T min = std::numeric_limits<T>::min();
  const T max = std::numeric_limits<T>::max();
  EXPECT_EQ(StopOf(dtype, text(min), &value), RunStop::kEnd);
  EXPECT_EQ(value, min);
  EXPECT_EQ(StopOf(dtype, text(max), &value), RunStop::kEnd);
  EXPECT_EQ(value, max);
  EXPECT_EQ(StopOf(dtype, text(max) + "0", &value), RunStop::kOutOfRange);
  std::string above = text(max);
  ++above.back();  // no maximum ends in 9
  EXPECT_EQ(StopOf(dtype, above, &value), RunStop::kOutOfRange);
  if (std::is_signed_v<T>) {
    std::string below = text(min);
    ++below.back();
    EXPECT_EQ(StopOf(dtype, below, &value), RunStop::kOutOfRange);
  } else {
    EXPECT_EQ(StopOf(dtype, "-1", &value), RunStop::kOutOfRange);
  }
  for (const char* integral : {"7.0", "7e0", "70e-1", "0.7e1", "7.000000000000000000000000"}) {
    EXPECT_EQ(StopOf(dtype, integral, &value), RunStop::kEnd) << integral;
    EXPECT_EQ(value, T{7});
  }
  for (const char* fraction : {"1.5", "1e-1", "0.5", "123.0000000000000000000000001"}) {
    EXPECT_EQ(StopOf(dtype, fraction, &value), RunStop::kNotIntegral) << fraction;
  }
  EXPECT_EQ(StopOf(dtype, "1e400", &value), RunStop::kOutOfRange);
  EXPECT_EQ(StopOf(dtype, "-0", &value), RunStop::kEnd);
  EXPECT_EQ(value, T{0});
  EXPECT_EQ(StopOf(dtype, "007", &value), RunStop::kNotValue);
}

TEST(NumberRunTest, IntegersKeepTheirRangeAndRefuseFractions) {
  CheckInteger<int8_t>(DType::kInt8);
  CheckInteger<int16_t>(DType::kInt16);
  CheckInteger<int32_t>(DType::kInt32);
  CheckInteger<int64_t>(DType::kInt64);
  CheckInteger<uint8_t>(DType::kUint8);
  CheckInteger<uint16_t>(DType::kUint16);
  CheckInteger<uint32_t>(DType::kUint32);
  CheckInteger<uint64_t>(DType::kUint64);
}

TEST(NumberRunTest, RandomIntegersReadBack) {
  std::mt19937_64 random(10);
  std::string text;
  std::vector<int64_t> want;
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<int64_t>(random()) >> (random() % 64);
    want.push_back(value);
    text += (i > 0 ? ", " : "") + std::to_string(value);
  }
  std::vector<int64_t> got(want.size());
  const RunResult run =
      RunParserFor(DType::kInt64)(text.data(), text.data() + text.size(), got.data(), got.size());
  EXPECT_EQ(run.count, want.size());
  EXPECT_EQ(got, want);
}

TEST(NumberRunTest, NarrowFloatsRoundToNearestEvenAndRefuseOverflow) {
  uint16_t bits = 0;
  EXPECT_EQ(StopOf(DType::kFp16, "1.5", &bits), RunStop::kEnd);
  EXPECT_EQ(bits, 0x3E00);
  // Half-way between 1 and the next half: even. A hair above: up, although the float nearest to it is the midpoint.
  EXPECT_EQ(StopOf(DType::kFp16, "1.00048828125", &bits), RunStop::kEnd);
  EXPECT_EQ(bits, 0x3C00);
  EXPECT_EQ(StopOf(DType::kFp16, "1.00048828125001", &bits), RunStop::kEnd);
  EXPECT_EQ(bits, 0x3C01);
  EXPECT_EQ(StopOf(DType::kFp16, "65504", &bits), RunStop::kEnd);
  EXPECT_EQ(StopOf(DType::kFp16, "65519.9999", &bits), RunStop::kEnd);
  EXPECT_EQ(bits, 0x7BFF);
  EXPECT_EQ(StopOf(DType::kFp16, "65520", &bits), RunStop::kOutOfRange);
  EXPECT_EQ(StopOf(DType::kBf16, "1", &bits), RunStop::kEnd);
  EXPECT_EQ(bits, 0x3F80);
  EXPECT_EQ(StopOf(DType::kBf16, "1e39", &bits), RunStop::kOutOfRange);
}

TEST(NumberRunTest, BoolsAreWordsOrOneAndZero) {
  bool value = false;
  EXPECT_EQ(StopOf(DType::kBool, "true", &value), RunStop::kEnd);
  EXPECT_TRUE(value);
  EXPECT_EQ(StopOf(DType::kBool, "0", &value), RunStop::kEnd);
  EXPECT_FALSE(value);
  EXPECT_EQ(StopOf(DType::kBool, "1", &value), RunStop::kEnd);
  EXPECT_EQ(StopOf(DType::kBool, "2", &value), RunStop::kOutOfRange);
  EXPECT_EQ(StopOf(DType::kBool, "0.5", &value), RunStop::kNotIntegral);
  EXPECT_EQ(StopOf(DType::kBool, "tru", &value), RunStop::kNotValue);
  const std::string text = "true, false,1 , 0]";
  bool values[4];
  EXPECT_EQ(RunParserFor(DType::kBool)(text.data(), text.data() + text.size(), values, 4).count, 4U);
}

}  // namespace
}  // namespace mlos::wire
