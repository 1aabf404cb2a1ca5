// SPDX-License-Identifier: Apache-2.0
// Writes the head of an answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mlos::frontend {

struct ResponseHead {
  int status = 200;
  int minor_version = 1;  // of the request
  bool keep_alive = true;
  std::string_view content_type;  // "" = no body
  int64_t content_length = 0;     // -1: chunked (HTTP/1.1) or until the connection closes
  std::string_view request_id;
  int retry_after_s = 0;         // 0 = none
  std::string_view allow;        // "" = none
  std::string_view cors_origin;  // "" = no CORS headers
  std::string_view server;       // "mlos-core/1.2.3"
};

// Appends the status line, the fields and the empty line.
void AppendResponseHead(const ResponseHead& head, std::string* out);

}  // namespace mlos::frontend
