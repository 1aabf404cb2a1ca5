// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/chunked.h"

#include <algorithm>

namespace mlos::frontend {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsLineByte(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 127); }

}  // namespace

// One byte that is not body data.
ChunkedDecoder::State ChunkedDecoder::Byte(char c) {
  switch (step_) {
    case Step::kSize:
      if (const int digit = HexValue(c); digit >= 0) {
        if (++size_digits_ > kMaxSizeDigits) return State::kBad;
        left_ = left_ << 4 | static_cast<uint64_t>(digit);
        return State::kMore;
      }
      if (size_digits_ == 0) return State::kBad;
      if (c == '\r') {
        step_ = Step::kSizeLf;
      } else if (c == ';' || c == ' ' || c == '\t') {
        step_ = Step::kExtension;
        line_bytes_ = 0;
      } else {
        return State::kBad;
      }
      return State::kMore;
    case Step::kExtension:
      if (c == '\r') {
        step_ = Step::kSizeLf;
        return State::kMore;
      }
      return IsLineByte(c) && ++line_bytes_ <= kMaxLineBytes ? State::kMore : State::kBad;
    case Step::kSizeLf:
      if (c != '\n') return State::kBad;
      step_ = left_ > 0 ? Step::kBytes : Step::kTrailerStart;
      size_digits_ = 0;
      return State::kMore;
    case Step::kBytesCr:
      step_ = Step::kBytesLf;
      return c == '\r' ? State::kMore : State::kBad;
    case Step::kBytesLf:
      step_ = Step::kSize;
      return c == '\n' ? State::kMore : State::kBad;
    case Step::kTrailerStart:
      if (c == '\r') {
        step_ = Step::kEndLf;
        return State::kMore;
      }
      step_ = Step::kTrailer;
      [[fallthrough]];
    case Step::kTrailer:
      if (c == '\r') {
        step_ = Step::kTrailerLf;
        return State::kMore;
      }
      return IsLineByte(c) && ++trailer_bytes_ <= kMaxTrailerBytes ? State::kMore : State::kBad;
    case Step::kTrailerLf:
      step_ = Step::kTrailerStart;
      return c == '\n' ? State::kMore : State::kBad;
    case Step::kEndLf:
      return c == '\n' ? State::kDone : State::kBad;
    case Step::kBytes:
      break;
  }
  return State::kBad;
}

ChunkedDecoder::State ChunkedDecoder::Next(std::string_view* input, std::string_view* data) {
  while (!input->empty()) {
    if (step_ == Step::kBytes) {
      *data = input->substr(0, static_cast<size_t>(std::min<uint64_t>(left_, input->size())));
      input->remove_prefix(data->size());
      left_ -= data->size();
      if (left_ == 0) step_ = Step::kBytesCr;
      return State::kData;
    }
    const State state = Byte(input->front());
    input->remove_prefix(1);
    if (state != State::kMore) return state;
  }
  return State::kMore;
}

}  // namespace mlos::frontend
