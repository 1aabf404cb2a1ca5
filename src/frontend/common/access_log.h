// SPDX-License-Identifier: Apache-2.0
// One record per answered request. Never holds a body, a query string or a header other than the request id.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace mlos::frontend {

// Views are valid during the call.
struct AccessRecord {
  std::string_view method;  // as sent; "" when the request line was unreadable
  std::string_view path;    // as sent, without the query; "" when unreadable
  int status = 0;
  uint64_t bytes_in = 0;    // body
  uint64_t bytes_out = 0;   // body
  int64_t duration_ns = 0;  // head complete -> answer handed to the socket
  std::string_view request_id;
  std::string_view peer;  // "127.0.0.1:51234", "unix"
};

// Called on I/O threads, several at a time; must be quick and not block.
using AccessLog = std::function<void(const AccessRecord&)>;

}  // namespace mlos::frontend
