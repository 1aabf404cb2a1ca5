// SPDX-License-Identifier: Apache-2.0
// Request heads, chunked bodies and targets. The same bytes cut anywhere must read the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "frontend/http/chunked.h"
#include "frontend/http/request_head.h"
#include "frontend/http/target.h"

namespace {

using mlos::frontend::ChunkedDecoder;

void Require(bool condition) {
  if (!condition) std::abort();
}

void ReadHead(std::string_view text, size_t cut) {
  size_t scanned = 0;
  mlos::frontend::HeadError error;
  size_t end = mlos::frontend::FindHeadEnd(text.substr(0, cut), &scanned, &error);
  if (end == 0 && error.status == 0) end = mlos::frontend::FindHeadEnd(text, &scanned, &error);
  size_t whole_scanned = 0;
  mlos::frontend::HeadError whole_error;
  const size_t whole = mlos::frontend::FindHeadEnd(text, &whole_scanned, &whole_error);
  Require(end == whole && error.status == whole_error.status);
  if (end == 0) return;
  mlos::frontend::RequestHead head;
  if (mlos::frontend::ParseRequestHead(text.substr(0, end), 20, &head).status != 0) return;
  Require(!(head.chunked && head.has_content_length) && !head.method.empty() && !head.target.empty());
  const mlos::frontend::Target target = mlos::frontend::ParseTarget(head.target);
  Require(target.model_id.find('\0') == std::string::npos);
}

struct Chunked {
  ChunkedDecoder::State state = ChunkedDecoder::State::kMore;
  std::string body;
  size_t used = 0;
};

Chunked ReadChunked(std::string_view text, size_t cut) {
  Chunked out;
  ChunkedDecoder decoder;
  for (const size_t end : {cut, text.size()}) {
    std::string_view input = text.substr(out.used, end - out.used);
    std::string_view data;
    while ((out.state = decoder.Next(&input, &data)) == ChunkedDecoder::State::kData) out.body += data;
    out.used = end - input.size();
    if (out.state != ChunkedDecoder::State::kMore) break;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t cut = size > 0 ? (data[0] * size_t{31} + size) % (size + 1) : 0;
  ReadHead(text, cut);
  const Chunked a = ReadChunked(text, cut);
  const Chunked b = ReadChunked(text, size);
  Require(a.state == b.state && a.body == b.body && a.used == b.used);
  mlos::frontend::PercentDecode(text);
  return 0;
}
