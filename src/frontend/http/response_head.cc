// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/response_head.h"

#include <array>
#include <charconv>
#include <ctime>

#include "frontend/common/error_map.h"

namespace mlos::frontend {
namespace {

void AppendInt(std::string* out, int64_t value) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out->append(text.data(), end);
}

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second and thread.
std::string_view HttpDate() {
  struct Cache {
    time_t second = -1;
    std::array<char, 40> text{};
    size_t size = 0;
  };
  thread_local Cache cache;
  const time_t now = std::time(nullptr);
  if (now != cache.second) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int n = std::snprintf(cache.text.data(), cache.text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900,
                                utc.tm_hour, utc.tm_min, utc.tm_sec);
    cache.size = n > 0 ? static_cast<size_t>(n) : 0;
    cache.second = now;
  }
  return {cache.text.data(), cache.size};
}

}  // namespace

void AppendResponseHead(const ResponseHead& head, std::string* out) {
  *out += "HTTP/1.1 ";
  AppendInt(out, head.status);
  *out += ' ';
  *out += HttpReason(head.status);
  *out += "\r\nServer: ";
  *out += head.server;
  *out += "\r\nDate: ";
  *out += HttpDate();
  if (!head.content_type.empty()) {
    *out += "\r\nContent-Type: ";
    *out += head.content_type;
  }
  if (head.content_length >= 0) {
    if (head.status != 204) {
      *out += "\r\nContent-Length: ";
      AppendInt(out, head.content_length);
    }
  } else {
    *out += "\r\nCache-Control: no-cache";
    if (head.minor_version > 0) *out += "\r\nTransfer-Encoding: chunked";
  }
  *out += "\r\nX-Request-Id: ";
  *out += head.request_id;
  if (!head.allow.empty()) {
    *out += "\r\nAllow: ";
    *out += head.allow;
  }
  if (head.retry_after_s > 0) {
    *out += "\r\nRetry-After: ";
    AppendInt(out, head.retry_after_s);
  }
  if (!head.cors_origin.empty()) {
    *out += "\r\nAccess-Control-Allow-Origin: ";
    *out += head.cors_origin;
    *out +=
        "\r\nAccess-Control-Allow-Methods: GET, POST, DELETE, OPTIONS"
        "\r\nAccess-Control-Allow-Headers: Content-Type, Authorization, X-Request-Id, X-Deadline-Ms, "
        "X-Priority, X-Keep-Alive"
        "\r\nAccess-Control-Expose-Headers: X-Request-Id, Retry-After";
    if (head.cors_origin != "*") *out += "\r\nVary: Origin";
  }
  if (!head.keep_alive) {
    *out += "\r\nConnection: close";
  } else if (head.minor_version == 0) {
    *out += "\r\nConnection: keep-alive";
  }
  *out += "\r\n\r\n";
}

}  // namespace mlos::frontend
