// SPDX-License-Identifier: Apache-2.0
#include "frontend/http/request_head.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

namespace mlos::frontend {
namespace {

constexpr std::array<bool, 256> kTokenBytes = [] {
  std::array<bool, 256> t{};
  for (int c = 'a'; c <= 'z'; ++c) t[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[static_cast<size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) t[static_cast<size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    t[static_cast<unsigned char>(c)] = true;
  return t;
}();

bool IsToken(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return kTokenBytes[static_cast<unsigned char>(c)]; });
}

bool IsTargetByte(char c) { return c > ' ' && c < 127; }
bool IsValueByte(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 127); }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; }

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

HeadError Bad(std::string message) { return {400, std::move(message)}; }

HeadError ParseRequestLine(std::string_view line, RequestHead* head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return Bad("the request line is not METHOD TARGET HTTP/1.1");
  head->method = line.substr(0, first);
  head->target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!IsToken(head->method)) return Bad("the method is not a token");
  if (head->target.empty() || !std::ranges::all_of(head->target, IsTargetByte)) {
    return Bad(
        "the request target holds a blank, a control character or a byte above 127; percent-encode it");
  }
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
    return Bad("the request line does not end in HTTP/1.1");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return {505, "this server speaks HTTP/1.1 and HTTP/1.0"};
  head->minor_version = version[7] - '0';
  return {};
}

HeadError ParseField(std::string_view line, HeaderField* field) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Bad("a header line without ':'");
  field->name = line.substr(0, colon);
  field->value = TrimBlanks(line.substr(colon + 1));
  // Also refuses folded lines and blanks before the colon.
  if (!IsToken(field->name)) return Bad("a header name that is not a token");
  if (!std::ranges::all_of(field->value, IsValueByte))
    return Bad("a control character in the header '" + std::string(field->name) + "'");
  return {};
}

std::optional<uint64_t> ParseLength(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// Calls `f` with each element of a comma-separated list.
template <typename F>
void ForEachItem(std::string_view list, F&& f) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view item = TrimBlanks(list.substr(0, comma));
    if (!item.empty()) f(item);
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
}

struct Seen {
  bool host = false;
  bool transfer_encoding = false;
  bool connection_close = false;
  bool connection_keep_alive = false;
};

HeadError Interpret(const HeaderField& field, RequestHead* head, Seen* seen) {
  const auto is = [&](std::string_view name) { return EqualsIgnoreCase(field.name, name); };
  switch (Lower(field.name.front())) {
    case 'c':
      if (is("content-length")) {
        const std::optional<uint64_t> length = ParseLength(field.value);
        if (!length || head->has_content_length)
          return Bad("Content-Length is not one number of decimal digits");
        head->has_content_length = true;
        head->content_length = *length;
      } else if (is("content-type")) {
        head->content_type = field.value;
      } else if (is("content-encoding")) {
        if (!EqualsIgnoreCase(field.value, "identity")) head->content_encoding = field.value;
      } else if (is("connection")) {
        ForEachItem(field.value, [&](std::string_view item) {
          if (EqualsIgnoreCase(item, "close")) seen->connection_close = true;
          if (EqualsIgnoreCase(item, "keep-alive")) seen->connection_keep_alive = true;
        });
      }
      break;
    case 'e':
      if (is("expect")) {
        if (!EqualsIgnoreCase(field.value, "100-continue"))
          return {417, "the only expectation this server meets is 100-continue"};
        head->expect_continue = true;
      }
      break;
    case 'h':
      if (is("host")) {
        if (seen->host) return Bad("more than one Host header");
        seen->host = true;
      }
      break;
    case 't':
      if (is("transfer-encoding")) {
        if (seen->transfer_encoding) return Bad("more than one Transfer-Encoding header");
        seen->transfer_encoding = true;
        if (!EqualsIgnoreCase(field.value, "chunked"))
          return {501, "the only Transfer-Encoding this server reads is chunked"};
        head->chunked = true;
      }
      break;
    case 'x':
      if (is("x-request-id")) head->request_id = field.value;
      if (is("x-deadline-ms")) head->deadline_ms = field.value;
      if (is("x-priority")) head->priority = field.value;
      if (is("x-keep-alive")) head->model_keep_alive = field.value;
      break;
    default:
      break;
  }
  return {};
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return Lower(x) == Lower(y); });
}

size_t FindHeadEnd(std::string_view text, size_t* scanned, HeadError* error) {
  size_t at = *scanned;
  while (true) {
    const void* found = at < text.size() ? std::memchr(text.data() + at, '\n', text.size() - at) : nullptr;
    if (found == nullptr) {
      *scanned = text.size();
      return 0;
    }
    const auto lf = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    if (lf == 0 || text[lf - 1] != '\r') {
      *error = Bad("a line of the head ends in LF without CR");
      return 0;
    }
    if (lf >= 3 && text[lf - 2] == '\n') return lf + 1;
    at = lf + 1;
  }
}

HeadError ParseRequestHead(std::string_view text, size_t max_fields, RequestHead* head) {
  std::vector<HeaderField> fields = std::move(head->fields);
  fields.clear();
  *head = {};
  head->fields = std::move(fields);
  Seen seen;
  bool request_line = true;
  while (true) {
    const size_t cr = text.find("\r\n");
    if (cr == std::string_view::npos) return Bad("the head does not end in an empty line");
    const std::string_view line = text.substr(0, cr);
    text.remove_prefix(cr + 2);
    if (request_line) {
      if (HeadError error = ParseRequestLine(line, head); error.status != 0) return error;
      request_line = false;
      continue;
    }
    if (line.empty()) break;
    if (head->fields.size() == max_fields)
      return {431, "more than " + std::to_string(max_fields) + " header fields"};
    HeaderField field;
    if (HeadError error = ParseField(line, &field); error.status != 0) return error;
    if (HeadError error = Interpret(field, head, &seen); error.status != 0) return error;
    head->fields.push_back(field);
  }
  if (!text.empty()) return Bad("text after the head");
  if (head->chunked && head->has_content_length) return Bad("both Content-Length and Transfer-Encoding");
  if (head->chunked && head->minor_version == 0) return Bad("Transfer-Encoding in an HTTP/1.0 request");
  if (!seen.host && head->minor_version == 1) return Bad("an HTTP/1.1 request needs a Host header");
  head->keep_alive = !seen.connection_close && (head->minor_version == 1 || seen.connection_keep_alive);
  if (head->minor_version == 0) head->expect_continue = false;
  return {};
}

}  // namespace mlos::frontend
