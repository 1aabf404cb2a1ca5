// SPDX-License-Identifier: Apache-2.0
#include "client/sse.h"

namespace mlos::client {

Status SseParser::EndLine() {
  if (line_.empty()) {
    if (!has_data_) return OkStatus();
    const std::string data = std::move(data_);
    data_.clear();
    has_data_ = false;
    return on_data_(data) ? OkStatus() : Cancelled("the reader of the events has enough");
  }
  const size_t colon = line_.find(':');
  if (line_.substr(0, colon) == "data") {
    std::string_view value = line_;
    value.remove_prefix(colon == std::string::npos ? line_.size() : colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  line_.clear();
  return OkStatus();
}

Status SseParser::Feed(std::string_view bytes) {
  for (const char c : bytes) {
    const bool after_cr = std::exchange(after_cr_, c == '\r');
    if (c == '\n' && after_cr) continue;
    if (c == '\n' || c == '\r') {
      MLOS_RETURN_IF_ERROR(EndLine());
      continue;
    }
    line_ += c;
    if (line_.size() + data_.size() > kMaxEventBytes)
      return TooLarge("an event of the stream is over 64 MiB");
  }
  return OkStatus();
}

}  // namespace mlos::client
