// SPDX-License-Identifier: Apache-2.0
// Runs of JSON numbers ("1.5, -2, 3e4") straight into typed memory: the fast path of request decoding.
// Floats are correctly rounded (bit-equal to fast_float); FP16 and BF16 are rounded to nearest even from the double.
// Speed: wire_benchmark.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace mlos::wire {

enum class RunStop {
  kEnd,   // `p` stands after the last value: at white space, a comma that no value follows, or anything else
  kFull,  // `capacity` values were written; `p` stands at the next value
  kNotValue,     // `p` stands at something that is not a value of this dtype
  kNotIntegral,  // `p` stands at a number with a fraction, for an integer dtype
  kOutOfRange,   // `p` stands at a number that the dtype cannot hold
};

struct RunResult {
  const char* p;
  size_t count;
  RunStop stop;
};

// Reads values from `p`, the first byte of a value, up to `end`. Integer dtypes also take numbers written with a fraction or
// exponent when their value is integral ("1.0", "2e3"). BOOL takes true, false, 1 and 0. Not for kBytes.
using RunParser = RunResult (*)(const char* p, const char* end, void* out, size_t capacity);

// Null for kBytes and kInvalid.
RunParser RunParserFor(DType dtype);
// The same without vector instructions; for tests and for machines that lack them.
RunParser PortableRunParserFor(DType dtype);

}  // namespace mlos::wire
