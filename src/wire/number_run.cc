// SPDX-License-Identifier: Apache-2.0
#include "wire/number_run.h"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <string_view>
#include <system_error>

#include "wire/json_cursor.h"
#include "wire/number_fast.h"

namespace mlos::wire {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool StartsNumber(char c) { return IsDigit(c) || c == '-'; }

struct Half {
  uint16_t bits;
};
struct Bf16 {
  uint16_t bits;
};

struct One {
  const char* p;
  RunStop stop;  // kEnd: a value was read
};

// A float from which rounding to a narrower type equals rounding the double once: inexact values get an odd last bit.
float ToFloatRoundedToOdd(double value) {
  const auto nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || !std::isfinite(nearest)) return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --bits;
  return std::bit_cast<float>(bits | 1U);
}

template <typename T>
bool Narrow(double value, T* out) {
  const float odd = ToFloatRoundedToOdd(value);
  if constexpr (std::same_as<T, Half>) {
    out->bits = FloatToHalf(odd);
    return std::isfinite(HalfToFloat(out->bits));
  } else {
    out->bits = FloatToBf16(odd);
    return std::isfinite(Bf16ToFloat(out->bits));
  }
}

// [p, stop) is a number by the JSON grammar.
template <typename T>
RunStop Convert(const char* p, const char* stop, T* out)
  requires std::floating_point<T>
{
  const auto answer = fast_float::from_chars(p, stop, *out);
  // An underflow is reported too; zero is then the nearest value.
  if (answer.ec == std::errc::invalid_argument) return RunStop::kNotValue;
  return std::isfinite(*out) ? RunStop::kEnd : RunStop::kOutOfRange;
}

template <typename T>
RunStop Convert(const char* p, const char* stop, T* out)
  requires(std::same_as<T, Half> || std::same_as<T, Bf16>)
{
  double value = 0;
  if (const RunStop parsed = Convert(p, stop, &value); parsed != RunStop::kEnd) return parsed;
  return Narrow(value, out) ? RunStop::kEnd : RunStop::kOutOfRange;
}

struct Decimal {
  bool negative = false;
  uint64_t digits = 0;  // value = digits * 10^exponent
  int64_t exponent = 0;
  bool overflow = false;  // more than 64 bits of digits, or an exponent beyond any use
};

// Zeros at the end of the digits become exponent, so that an integral value has exponent >= 0.
Decimal ParseDecimal(const char* p, const char* stop) {
  Decimal d;
  if (*p == '-') {
    d.negative = true;
    ++p;
  }
  int64_t zeros = 0;  // digits '0' not yet taken over
  bool fraction = false;
  for (; p < stop && (*p | 32) != 'e'; ++p) {
    if (*p == '.') {
      fraction = true;
      continue;
    }
    if (fraction) --d.exponent;
    if (*p == '0') {
      ++zeros;
      continue;
    }
    for (; zeros > 0 && d.digits != 0 && !d.overflow; --zeros) {
      d.overflow = __builtin_mul_overflow(d.digits, uint64_t{10}, &d.digits);
    }
    zeros = 0;
    d.overflow = d.overflow || __builtin_mul_overflow(d.digits, uint64_t{10}, &d.digits) ||
                 __builtin_add_overflow(d.digits, static_cast<uint64_t>(*p - '0'), &d.digits);
  }
  d.exponent += zeros;
  if (p < stop) {
    ++p;
    const bool minus = *p == '-';
    if (*p == '-' || *p == '+') ++p;
    int64_t value = 0;
    for (; p < stop; ++p) value = value > 100'000'000 ? value : value * 10 + (*p - '0');
    d.exponent += minus ? -value : value;
  }
  return d;
}

template <std::integral T>
RunStop Convert(const char* p, const char* stop, T* out) {
  Decimal d = ParseDecimal(p, stop);
  if (d.digits == 0 && !d.overflow) {
    *out = 0;
    return RunStop::kEnd;
  }
  if (d.exponent < 0) return RunStop::kNotIntegral;
  if (d.overflow || d.exponent > 19) return RunStop::kOutOfRange;
  for (; d.exponent > 0; --d.exponent) {
    if (__builtin_mul_overflow(d.digits, uint64_t{10}, &d.digits)) return RunStop::kOutOfRange;
  }
  const uint64_t limit =
      d.negative ? uint64_t{0} - static_cast<uint64_t>(static_cast<int64_t>(std::numeric_limits<T>::min()))
                 : static_cast<uint64_t>(std::numeric_limits<T>::max());
  if (d.digits > limit) return RunStop::kOutOfRange;
  *out = static_cast<T>(d.negative ? uint64_t{0} - d.digits : d.digits);
  return RunStop::kEnd;
}

template <typename T>
One ParseExact(const char* p, const char* end, T* out) {
  const char* stop = ScanNumber(p, end);
  if (stop == nullptr) return {p, RunStop::kNotValue};
  const RunStop converted = Convert(p, stop, out);
  return {converted == RunStop::kEnd ? stop : p, converted};
}

template <>
One ParseExact<bool>(const char* p, const char* end, bool* out) {
  const std::string_view rest(p, static_cast<size_t>(end - p));
  for (const std::string_view word : {std::string_view("true"), std::string_view("false")}) {
    if (rest.starts_with(word)) {
      *out = word.size() == 4;
      return {p + word.size(), RunStop::kEnd};
    }
  }
  uint64_t value = 0;
  const One one = ParseExact(p, end, &value);
  if (one.stop != RunStop::kEnd) return {p, one.stop};
  if (value > 1) return {p, RunStop::kOutOfRange};
  *out = value == 1;
  return one;
}

// After a value at p: the next value's first byte when a comma and a value follow, else nullptr.
const char* NextValue(const char* p, const char* end, bool words) {
  while (p < end && IsSpace(*p)) ++p;
  if (p == end || *p != ',') return nullptr;
  ++p;
  while (p < end && IsSpace(*p)) ++p;
  if (p == end || !(StartsNumber(*p) || (words && (*p == 't' || *p == 'f')))) return nullptr;
  return p;
}

// Alternates: as many values as the fast parser takes, then one by the exact parser.
template <typename T>
RunResult Run(const char* p, const char* end, void* out_bytes, size_t capacity,
              Burst (*fast)(const char*, const char*, T*, size_t)) {
  T* const out = static_cast<T*>(out_bytes);
  const char* const fast_end = end - std::min<std::ptrdiff_t>(end - p, kFastReach);
  size_t n = 0;
  while (true) {
    if (n == capacity) return {p, n, RunStop::kFull};
    bool after_value = false;
    if (fast != nullptr && p < fast_end) {
      const Burst burst = fast(p, fast_end, out + n, capacity - n);
      p = burst.p;
      n += burst.count;
      after_value = burst.after_value;
      if (!after_value && n == capacity) return {p, n, RunStop::kFull};
    }
    if (!after_value) {
      const One one = ParseExact(p, end, out + n);
      if (one.stop != RunStop::kEnd) return {p, n, one.stop};
      p = one.p;
      ++n;
    }
    const char* next = NextValue(p, end, std::same_as<T, bool>);
    if (next == nullptr) return {p, n, RunStop::kEnd};
    p = next;
  }
}

template <typename T>
RunResult RunExact(const char* p, const char* end, void* out, size_t capacity) {
  return Run<T>(p, end, out, capacity, nullptr);
}
template <typename T>
RunResult RunInt(const char* p, const char* end, void* out, size_t capacity) {
  return Run<T>(p, end, out, capacity, FastBurst<T, FastInt>);
}
RunResult RunFloatPortable(const char* p, const char* end, void* out, size_t capacity) {
  return Run<float>(p, end, out, capacity, FastBurst<float, FastFloatPortable>);
}
#if defined(MLOS_WIRE_AVX2)
RunResult RunFloatAvx2(const char* p, const char* end, void* out, size_t capacity) {
  return Run<float>(p, end, out, capacity, FastFloatAvx2::ParseBurst);
}
#endif

}  // namespace

RunParser PortableRunParserFor(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return RunExact<bool>;
    case DType::kUint8:
      return RunInt<uint8_t>;
    case DType::kUint16:
      return RunInt<uint16_t>;
    case DType::kUint32:
      return RunInt<uint32_t>;
    case DType::kUint64:
      return RunInt<uint64_t>;
    case DType::kInt8:
      return RunInt<int8_t>;
    case DType::kInt16:
      return RunInt<int16_t>;
    case DType::kInt32:
      return RunInt<int32_t>;
    case DType::kInt64:
      return RunInt<int64_t>;
    case DType::kFp16:
      return RunExact<Half>;
    case DType::kBf16:
      return RunExact<Bf16>;
    case DType::kFp32:
      return RunFloatPortable;
    case DType::kFp64:
      return RunExact<double>;
    case DType::kBytes:
    case DType::kInvalid:
      break;
  }
  return nullptr;
}

RunParser RunParserFor(DType dtype) {
#if defined(MLOS_WIRE_AVX2)
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
  if (dtype == DType::kFp32 && avx2) return RunFloatAvx2;
#endif
  return PortableRunParserFor(dtype);
}

}  // namespace mlos::wire
