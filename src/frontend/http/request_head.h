// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.x request, read strictly (RFC 9112): what two readers could understand differently is refused.
//
//   head         = request-line *( field CRLF ) CRLF        every line ends in CRLF; a lone CR or LF is an error
//   request-line = method SP target SP "HTTP/1." ("0" | "1") CRLF
//   field        = name ":" OWS value OWS                   no space before ":", no folded lines
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlos::frontend {

struct HeaderField {
  std::string_view name;
  std::string_view value;
};

// Views into the parsed text.
struct RequestHead {
  std::string_view method;
  std::string_view target;
  int minor_version = 1;
  std::vector<HeaderField> fields;

  // What the fields mean, checked.
  bool keep_alive = true;
  bool chunked = false;
  bool has_content_length = false;
  uint64_t content_length = 0;
  bool expect_continue = false;
  std::string_view content_type;      // lower and upper case as sent, parameters included
  std::string_view content_encoding;  // "" when none or identity
  std::string_view request_id;        // X-Request-Id
  std::string_view deadline_ms;       // X-Deadline-Ms, unchecked
  std::string_view priority;          // X-Priority, unchecked
  std::string_view model_keep_alive;  // X-Keep-Alive, unchecked
};

// status 0 = fine; else the answer to send before closing.
struct HeadError {
  int status = 0;
  std::string message;
};

// Where the head that starts at `text` ends (one past its empty line): 0 when it is not complete yet. `*scanned` is where the
// search goes on when more bytes came; start with 0. A bare LF or a NUL gives an error. Empty lines before the request line are
// the caller's to skip.
size_t FindHeadEnd(std::string_view text, size_t* scanned, HeadError* error);

// `text` is one whole head, FindHeadEnd's empty line included. `head` is reused: its vector keeps its memory.
HeadError ParseRequestHead(std::string_view text, size_t max_fields, RequestHead* head);

// Case-insensitive for ASCII letters.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace mlos::frontend
