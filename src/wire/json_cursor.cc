// SPDX-License-Identifier: Apache-2.0
#include "wire/json_cursor.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

namespace mlos::wire {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Quoted(std::string_view text) {
  std::string out = "'";
  out += text;
  out += '\'';
  return out;
}

void AppendUtf8(std::string* out, uint32_t code_point) {
  const auto tail = [](uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (code_point < 0x80) {
    *out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    *out += static_cast<char>(0xC0 | (code_point >> 6));
    *out += tail(code_point);
  } else if (code_point < 0x10000) {
    *out += static_cast<char>(0xE0 | (code_point >> 12));
    *out += tail(code_point >> 6);
    *out += tail(code_point);
  } else {
    *out += static_cast<char>(0xF0 | (code_point >> 18));
    *out += tail(code_point >> 12);
    *out += tail(code_point >> 6);
    *out += tail(code_point);
  }
}

}  // namespace

const char* ScanNumber(const char* p, const char* end) {
  if (p < end && *p == '-') ++p;
  if (p == end || !IsDigit(*p)) return nullptr;
  if (*p == '0') {
    ++p;
    if (p < end && IsDigit(*p)) return nullptr;
  } else {
    while (p < end && IsDigit(*p)) ++p;
  }
  if (p < end && *p == '.') {
    ++p;
    if (p == end || !IsDigit(*p)) return nullptr;
    while (p < end && IsDigit(*p)) ++p;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p < end && (*p == '+' || *p == '-')) ++p;
    if (p == end || !IsDigit(*p)) return nullptr;
    while (p < end && IsDigit(*p)) ++p;
  }
  return p;
}

char JsonCursor::Peek() {
  while (at_ < end_ && IsSpace(*at_)) ++at_;
  return at_ < end_ ? *at_ : '\0';
}

bool JsonCursor::TryConsume(char c) {
  if (Peek() != c || at_ == end_) return false;
  ++at_;
  return true;
}

Status JsonCursor::Consume(char c) {
  if (TryConsume(c)) return OkStatus();
  return Error("expected " + Quoted(std::string_view(&c, 1)) + ", found " + DescribeNext());
}

Status JsonCursor::ExpectEnd() {
  Peek();
  if (at_ == end_) return OkStatus();
  return Error("text after the end of the value");
}

Status JsonCursor::Error(std::string_view what) const {
  return InvalidArgument("malformed JSON at byte " + std::to_string(offset()) + ": " + std::string(what));
}

std::string JsonCursor::DescribeNext() {
  switch (Peek()) {
    case '\0':
      return at_ == end_ ? "the end of the text" : "a NUL byte";
    case '"':
      return "a string";
    case '[':
      return "an array";
    case '{':
      return "an object";
    case ']':
    case '}':
    case ',':
    case ':':
      return Quoted(std::string_view(at_, 1));
    default:
      break;
  }
  if (IsDigit(*at_) || *at_ == '-') {
    if (const char* stop = ScanNumber(at_, end_)) {
      std::string text(at_, static_cast<size_t>(std::min<std::ptrdiff_t>(stop - at_, 40)));
      if (stop - at_ > 40) text += "...";
      return "the number " + text;
    }
  }
  const char* stop = at_;
  while (stop < end_ && stop - at_ < 24 && *stop > ' ' && *stop < 127 &&
         std::strchr(",]}:\"", *stop) == nullptr)
    ++stop;
  if (stop == at_) {
    static constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(*at_);
    return std::string("byte 0x") + kHex[byte >> 4] + kHex[byte & 15];
  }
  return Quoted(std::string_view(at_, static_cast<size_t>(stop - at_)));
}

Status JsonCursor::ReadHex4(uint32_t* out) {
  if (end_ - at_ < 4) return Error("\\u needs four hexadecimal digits");
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = at_[i];
    uint32_t digit = 0;
    if (IsDigit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
      digit = static_cast<uint32_t>((c | 32) - 'a' + 10);
    } else {
      return Error("\\u needs four hexadecimal digits");
    }
    value = value << 4 | digit;
  }
  at_ += 4;
  *out = value;
  return OkStatus();
}

Status JsonCursor::ReadEscape(std::string* out) {
  if (at_ == end_) return Error("the text ends inside a string");
  const char c = *at_++;
  static constexpr char kPlain[] = "\"\\/bfnrt";
  static constexpr char kMeaning[] = "\"\\/\b\f\n\r\t";
  if (c != '\0') {
    if (const char* found = std::strchr(kPlain, c)) {
      *out += kMeaning[found - kPlain];
      return OkStatus();
    }
  }
  if (c != 'u') return Error("unknown escape in a string");
  uint32_t code = 0;
  MLOS_RETURN_IF_ERROR(ReadHex4(&code));
  if (code >= 0xDC00 && code <= 0xDFFF) return Error("a low surrogate without its high one");
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u')
      return Error("a high surrogate without its low one");
    at_ += 2;
    uint32_t low = 0;
    MLOS_RETURN_IF_ERROR(ReadHex4(&low));
    if (low < 0xDC00 || low > 0xDFFF) return Error("a high surrogate without its low one");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  AppendUtf8(out, code);
  return OkStatus();
}

Status JsonCursor::ReadString(std::string* out) {
  out->clear();
  MLOS_RETURN_IF_ERROR(Consume('"'));
  while (true) {
    const char* start = at_;
    bool ascii = true;
    while (at_ < end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) {
      ascii = ascii && static_cast<unsigned char>(*at_) < 0x80;
      ++at_;
    }
    const auto length = static_cast<size_t>(at_ - start);
    if (!ascii && !simdjson::validate_utf8(start, length)) {
      at_ = start;
      return Error("a string that is not UTF-8");
    }
    out->append(start, length);
    if (at_ == end_) return Error("the text ends inside a string");
    if (static_cast<unsigned char>(*at_) < 0x20) return Error("a raw control character in a string");
    if (*at_++ == '"') return OkStatus();
    MLOS_RETURN_IF_ERROR(ReadEscape(out));
  }
}

Status JsonCursor::ReadBool(bool* out) {
  Peek();
  const std::string_view rest(at_, remaining());
  for (const std::string_view word : {std::string_view("true"), std::string_view("false")}) {
    if (rest.starts_with(word)) {
      at_ += word.size();
      *out = word.size() == 4;
      return OkStatus();
    }
  }
  return Error("expected true or false, found " + DescribeNext());
}

Status JsonCursor::ReadNumberText(std::string_view* out) {
  Peek();
  const char* stop = ScanNumber(at_, end_);
  if (stop == nullptr) return Error("expected a number, found " + DescribeNext());
  *out = std::string_view(at_, static_cast<size_t>(stop - at_));
  at_ = stop;
  return OkStatus();
}

Status JsonCursor::SkipValue() {
  std::string open;  // one '{' or '[' per open container
  std::string scratch;
  std::string_view number;
  bool flag = false;
  const auto read_key = [&]() -> Status {
    MLOS_RETURN_IF_ERROR(ReadString(&scratch));
    return Consume(':');
  };
  while (true) {
    const char c = Peek();
    if (c == '{' || c == '[') {
      if (open.size() >= kMaxSkipDepth)
        return Error("nested more than " + std::to_string(kMaxSkipDepth) + " deep");
      ++at_;
      if (!TryConsume(c == '{' ? '}' : ']')) {
        open += c;
        if (c == '{') MLOS_RETURN_IF_ERROR(read_key());
        continue;
      }
    } else if (c == '"') {
      MLOS_RETURN_IF_ERROR(ReadString(&scratch));
    } else if (c == 't' || c == 'f') {
      MLOS_RETURN_IF_ERROR(ReadBool(&flag));
    } else if (std::string_view(at_, remaining()).starts_with("null")) {
      at_ += 4;
    } else {
      MLOS_RETURN_IF_ERROR(ReadNumberText(&number));
    }
    while (true) {
      if (open.empty()) return OkStatus();
      if (TryConsume(',')) {
        if (open.back() == '{') MLOS_RETURN_IF_ERROR(read_key());
        break;
      }
      MLOS_RETURN_IF_ERROR(Consume(open.back() == '{' ? '}' : ']'));
      open.pop_back();
    }
  }
}

}  // namespace mlos::wire
