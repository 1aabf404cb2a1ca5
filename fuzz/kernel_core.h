// SPDX-License-Identifier: Apache-2.0
// Shared by the fuzz targets of the kernel module's portable core: each reads its input as a list of steps, does them to the real
// thing and to a naive model, and compares all of both after every step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

namespace mlos::fuzz {

class Steps {
 public:
  Steps(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool Done() const { return at_ == end_; }
  // 0 once all is read.
  uint8_t Byte() { return Done() ? 0 : *at_++; }
  uint32_t Below(uint32_t limit) { return Byte() % limit; }
  uint64_t Word() {
    uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word = word << 8 | Byte();
    return word;
  }
  // Numbers of every size, small ones often.
  uint64_t Number() {
    const uint32_t bits = Below(65);
    return bits == 0 ? 0 : Word() >> (64 - bits);
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace mlos::fuzz

#define MUST(condition)                                                    \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (0)
