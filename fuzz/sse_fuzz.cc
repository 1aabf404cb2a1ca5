// SPDX-License-Identifier: Apache-2.0
// Server-sent events: the same events come out however the bytes are cut (the first byte says where).
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "client/sse.h"

namespace {

std::vector<std::string> Events(std::string_view first, std::string_view second) {
  std::vector<std::string> out;
  mlos::client::SseParser parser([&](const std::string& data) {
    out.push_back(data);
    return true;
  });
  if (!parser.Feed(first).ok() || !parser.Feed(second).ok()) std::abort();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = text.empty() ? 0 : data[0] % text.size();
  if (Events(text, "") != Events(text.substr(0, cut), text.substr(cut))) std::abort();
  return 0;
}
