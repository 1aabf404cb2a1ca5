// SPDX-License-Identifier: Apache-2.0
// One number at a time, the common spellings only. Each Parse returns the byte after the number, or nullptr when the number
// is rare, wrong or too close to call; then an exact parser decides. Private to number_run.cc.
//
// Floats: up to 18 digits are an exact integer v; v * 10^-n in double has an error of at most 2 units in the last place (one
// half each from converting v, from the table and from the product, which can grow by the mantissa ratio). Rounding that double
// to float is right unless it lies that close to a midpoint between two floats: its low 29 bits within 16 of 2^28.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#define MLOS_WIRE_AVX2 __attribute__((target("avx2,bmi")))
#endif

namespace mlos::wire {

// Sign, 8 digits, point, 18 digits, and whole loads that start there.
inline constexpr std::ptrdiff_t kFastReach = 64;

inline uint64_t Load8(const char* p) {
  uint64_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}

// How many of the 8 bytes, from the first, are ASCII digits.
inline unsigned DigitCount8(uint64_t x) {
  const uint64_t not_digit = ((x & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030) |
                             (((x + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) ^ 0x3030303030303030);
  return not_digit == 0 ? 8U : static_cast<unsigned>(std::countr_zero(not_digit)) >> 3;
}

// Value of 8 digits, each 0-9 in one byte, the first byte the most significant.
inline uint64_t Value8(uint64_t digits) {
  digits = digits * 10 + (digits >> 8);
  return ((digits & 0x000000FF000000FF) * 0x000F424000000064 +
          ((digits >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
         32;
}

// Value of the first n digits (1 <= n <= 8) of the ASCII text x.
inline uint64_t ValueOf(uint64_t x, unsigned n) { return Value8((x & 0x0F0F0F0F0F0F0F0F) << (64 - 8 * n)); }

inline constexpr std::array<uint64_t, 20> kPow10 = [] {
  std::array<uint64_t, 20> t{};
  uint64_t v = 1;
  for (uint64_t& x : t) {
    x = v;
    v *= 10;
  }
  return t;
}();
inline constexpr std::array<double, 19> kNegPow10 = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,
                                                     1e-7,  1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13,
                                                     1e-14, 1e-15, 1e-16, 1e-17, 1e-18};

inline bool RoundToFloat(uint64_t digits, unsigned fraction_digits, bool negative, float* out) {
  const double value = static_cast<double>(static_cast<int64_t>(digits)) * kNegPow10[fraction_digits];
  const uint64_t low = std::bit_cast<uint64_t>(value) & 0x1FFFFFFF;
  if (low - (0x10000000 - 16) <= 32) [[unlikely]]
    return false;
  const auto rounded = static_cast<float>(value);
  *out = std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) | static_cast<uint32_t>(negative) << 31);
  return true;
}

struct Burst {
  const char* p;  // after_value: the byte after the last value; else the next value
  size_t count;
  bool after_value;  // what follows the last value is not ",v" or ", v"
};

// The next value's first byte when ", " or "," follows at `after`; else nullptr. The blank is a branch, not arithmetic on p:
// predicted, it takes the load of the next number off the path that all numbers wait for.
[[gnu::always_inline]] inline const char* SkipSeparator(const char* after) {
  if (after[0] != ',') [[unlikely]]
    return nullptr;
  if (after[1] == ' ') [[likely]]
    return after + 2;
  return after + 1;
}

// What a burst answers that read `count` values, the last one up to `after`, and wants to go on at `p`.
inline Burst EndOfBurst(const char* p, const char* after, size_t count) {
  const bool value = *p == '-' || static_cast<unsigned char>(*p - '0') <= 9;
  return count == 0 || value ? Burst{p, count, false} : Burst{after, count, true};
}

// Reads values with Fast from p, p < fast_end, while they and their separators are of the common kind.
template <typename T, typename Fast>
Burst FastBurst(const char* p, const char* fast_end, T* out, size_t capacity) {
  const char* after = p;
  for (size_t n = 0; n < capacity; ++n) {
    const char* stop = p < fast_end ? Fast::Parse(p, out + n) : nullptr;
    if (stop == nullptr) return EndOfBurst(p, after, n);
    after = stop;
    p = SkipSeparator(after);
    if (p == nullptr) return {after, n + 1, true};
  }
  return EndOfBurst(p, after, capacity);
}

struct FastInt {
  template <typename T>
  [[gnu::always_inline]] static const char* Parse(const char* p, T* out) {
    const bool negative = *p == '-';
    p += negative;
    const uint64_t x = Load8(p);
    const unsigned n = DigitCount8(x);
    if (n == 0 || n == 8 || (n > 1 && (x & 0xFF) == '0')) return nullptr;
    const char after = p[n];
    if (after == '.' || (after | 32) == 'e') return nullptr;
    const uint64_t value = ValueOf(x, n);
    if constexpr (std::is_signed_v<T>) {
      const int64_t with_sign = negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
      if (with_sign < std::numeric_limits<T>::min() || with_sign > std::numeric_limits<T>::max())
        return nullptr;
      *out = static_cast<T>(with_sign);
    } else {
      if (negative || value > std::numeric_limits<T>::max()) return nullptr;
      *out = static_cast<T>(value);
    }
    return p + n;
  }
};

struct FastFloatPortable {
  [[gnu::always_inline]] static const char* Parse(const char* p, float* out) {
    const bool negative = *p == '-';
    p += negative;
    uint64_t x = Load8(p);
    const unsigned whole = DigitCount8(x);
    if (whole == 0 || whole == 8 || (whole > 1 && (x & 0xFF) == '0')) return nullptr;
    uint64_t digits = ValueOf(x, whole);
    p += whole;
    unsigned fraction = 0;
    if (*p == '.') {
      ++p;
      unsigned n = 0;
      do {
        x = Load8(p);
        n = DigitCount8(x);
        if (n == 0) break;
        fraction += n;
        if (whole + fraction > 18) return nullptr;
        digits = digits * kPow10[n] + ValueOf(x, n);
        p += n;
      } while (n == 8);
      if (fraction == 0) return nullptr;
    }
    if ((*p | 32) == 'e') return nullptr;
    return RoundToFloat(digits, fraction, negative, out) ? p : nullptr;
  }
};

#if defined(MLOS_WIRE_AVX2)

// Row n moves the first n bytes of a vector to its end and zeroes the rest.
alignas(16) inline constexpr std::array<int8_t, 32> kShiftRight = [] {
  std::array<int8_t, 32> t{};
  for (int i = 0; i < 16; ++i) {
    t[static_cast<size_t>(i)] = -128;
    t[static_cast<size_t>(16 + i)] = static_cast<int8_t>(i);
  }
  return t;
}();

struct FastFloatAvx2 {
  // Value of 16 digits, 0-9 in each byte.
  [[gnu::always_inline]] MLOS_WIRE_AVX2 static uint64_t Value16(__m128i digits) {
    const __m128i tens = _mm_set_epi8(1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10);
    const __m128i hundreds = _mm_set_epi16(1, 100, 1, 100, 1, 100, 1, 100);
    const __m128i ten_thousands = _mm_set_epi16(1, 10000, 1, 10000, 1, 10000, 1, 10000);
    const __m128i pairs = _mm_maddubs_epi16(digits, tens);
    const __m128i quads = _mm_madd_epi16(pairs, hundreds);
    const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(quads, quads), ten_thousands);
    const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
    return (both & 0xFFFFFFFF) * 100'000'000 + (both >> 32);
  }

  // What all numbers wait for is short: one load gives the places of sign, point and end.
  [[gnu::always_inline]] MLOS_WIRE_AVX2 static const char* Parse(const char* p, float* out) {
    const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i value = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    const __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value);
    const uint32_t other = ~static_cast<uint32_t>(_mm256_movemask_epi8(is_digit));
    const uint32_t negative = other & 1;
    const uint32_t stops = other & ~uint32_t{1};
    const unsigned point = _tzcnt_u32(stops);
    const unsigned end = _tzcnt_u32(_blsr_u32(stops));
    const unsigned whole = point - negative;
    // No branch on the sign itself: nobody can predict it.
    if (((whole - 1 > 6) | (static_cast<uint32_t>(*p == '-') ^ negative)) != 0) [[unlikely]]
      return nullptr;
    const char* const first_digit = p + negative;
    uint64_t digits = static_cast<uint64_t>(*first_digit - '0');
    if (whole > 1) {
      if (digits == 0) [[unlikely]]
        return nullptr;
      digits = ValueOf(Load8(first_digit), whole);
    }
    if (p[point] != '.') {
      if ((p[point] | 32) == 'e') [[unlikely]]
        return nullptr;
      return RoundToFloat(digits, 0, negative, out) ? p + point : nullptr;
    }
    // A run of digits that reaches the end of the vector counts as too long; a leading zero is no digit of the value, so one
    // more may follow.
    const unsigned n = end - point - 1;
    if (n - 1 >= 18 - whole + (digits == 0) || (p[end] | 32) == 'e') [[unlikely]]
      return nullptr;
    const char* const fraction = p + point + 1;
    const unsigned first = n < 16 ? n : 16;
    const __m128i fraction_text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(fraction));
    const __m128i order = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kShiftRight.data() + first));
    digits = digits * kPow10[first] +
             Value16(_mm_shuffle_epi8(_mm_and_si128(fraction_text, _mm_set1_epi8(0x0F)), order));
    // Digits 17 and 18, when they are there, without asking.
    uint16_t last = 0;
    std::memcpy(&last, fraction + 16, sizeof last);
    const uint32_t tail = (last & 0x0F0FU) << (16 - 8 * (n - first)) & 0xFFFFU;
    digits = digits * kPow10[n - first] + (tail & 0xFFU) * 10 + (tail >> 8);
    return RoundToFloat(digits, n, negative != 0, out) ? p + end : nullptr;
  }

  // FastBurst with vector instructions: a function cannot be inlined into one that has fewer.
  MLOS_WIRE_AVX2 static Burst ParseBurst(const char* p, const char* fast_end, float* out, size_t capacity) {
    const char* after = p;
    for (size_t n = 0; n < capacity; ++n) {
      const char* stop = p < fast_end ? Parse(p, out + n) : nullptr;
      if (stop == nullptr) return EndOfBurst(p, after, n);
      after = stop;
      p = SkipSeparator(after);
      if (p == nullptr) return {after, n + 1, true};
    }
    return EndOfBurst(p, after, capacity);
  }
};

#endif

}  // namespace mlos::wire
