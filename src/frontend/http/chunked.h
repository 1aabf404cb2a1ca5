// SPDX-License-Identifier: Apache-2.0
// A chunked request body (RFC 9112, 7.1), read strictly.
//
//   body    = *chunk last-chunk *( trailer-field CRLF ) CRLF
//   chunk   = 1*HEXDIG [ chunk-ext ] CRLF bytes CRLF           extensions and trailers are read and dropped
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mlos::frontend {

class ChunkedDecoder {
 public:
  enum class State { kMore, kData, kDone, kBad };

  // Reads from the front of *input and removes what it has read. kData: `*data` is a piece of the body (a view into the
  // input); call again. kMore: the input is used up. kDone: the body is complete, *input starts after it. kBad: malformed.
  State Next(std::string_view* input, std::string_view* data);

 private:
  enum class Step {
    kSize,
    kExtension,
    kSizeLf,
    kBytes,
    kBytesCr,
    kBytesLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf
  };
  // A chunk of 2^56 bytes or more is refused; so is a line longer than this.
  static constexpr int kMaxSizeDigits = 14;
  static constexpr int kMaxLineBytes = 4096;
  static constexpr int kMaxTrailerBytes = 16384;

  State Byte(char c);

  Step step_ = Step::kSize;
  uint64_t left_ = 0;
  int size_digits_ = 0;
  int line_bytes_ = 0;
  int trailer_bytes_ = 0;
};

}  // namespace mlos::frontend
