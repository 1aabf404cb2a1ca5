// SPDX-License-Identifier: Apache-2.0
// A strict pull reader over one JSON text (RFC 8259): the caller walks, nothing is built. Errors are kInvalidArgument with
// the byte offset. Never recurses, so nesting costs no stack.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mlos::wire {

// Borrows the text. Copying saves a position to return to.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

  size_t offset() const { return static_cast<size_t>(at_ - begin_); }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  const char* at() const { return at_; }
  const char* end() const { return end_; }
  // `at` lies between at() and end().
  void MoveTo(const char* at) { at_ = at; }

  // Skips white space; the next byte, or 0 at the end.
  char Peek();
  // Skips white space; consumes `c` if it is next.
  bool TryConsume(char c);
  Status Consume(char c);
  // Nothing but white space is left.
  Status ExpectEnd();

  // Each skips white space, then reads one value of that type.
  Status ReadString(std::string* out);  // UTF-8, checked; escapes decoded
  Status ReadBool(bool* out);
  // The number's text, checked against the JSON grammar, borrowed.
  Status ReadNumberText(std::string_view* out);
  // Any value, checked, whatever its depth up to kMaxSkipDepth.
  Status SkipValue();
  static constexpr size_t kMaxSkipDepth = 1000;

  // Walks an object or array: `on_member(key)` / `on_element(index)` is called with the cursor at the value and must consume
  // it. Duplicate keys of one object are refused.
  template <typename F>
  Status ForEachMember(F&& on_member);
  template <typename F>
  Status ForEachElement(F&& on_element);

  // kInvalidArgument "malformed JSON at byte <offset>: <what>".
  Status Error(std::string_view what) const;
  // What stands here, for messages: "a string", "the number 1.5", "an array" ...
  std::string DescribeNext();

 private:
  Status ReadEscape(std::string* out);
  Status ReadHex4(uint32_t* out);

  const char* begin_;
  const char* at_;
  const char* end_;
};

// End of the JSON number that starts at `p`, or nullptr when there is none or it breaks the grammar ("01", "1.", "+1").
const char* ScanNumber(const char* p, const char* end);

template <typename F>
Status JsonCursor::ForEachMember(F&& on_member) {
  MLOS_RETURN_IF_ERROR(Consume('{'));
  if (TryConsume('}')) return OkStatus();
  std::vector<std::string> seen;
  do {
    std::string key;
    if (Peek() != '"') return Error("expected a key in double quotes");
    const JsonCursor key_start = *this;
    MLOS_RETURN_IF_ERROR(ReadString(&key));
    for (const std::string& other : seen) {
      if (other == key) return key_start.Error("the key '" + key + "' stands twice");
    }
    MLOS_RETURN_IF_ERROR(Consume(':'));
    MLOS_RETURN_IF_ERROR(on_member(std::as_const(key)));
    seen.push_back(std::move(key));
  } while (TryConsume(','));
  return Consume('}');
}

template <typename F>
Status JsonCursor::ForEachElement(F&& on_element) {
  MLOS_RETURN_IF_ERROR(Consume('['));
  if (TryConsume(']')) return OkStatus();
  size_t index = 0;
  do {
    MLOS_RETURN_IF_ERROR(on_element(index++));
  } while (TryConsume(','));
  return Consume(']');
}

}  // namespace mlos::wire
