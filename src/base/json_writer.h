// SPDX-License-Identifier: Apache-2.0
// Writes JSON text into a string: objects, arrays, escaped strings, shortest round-trip numbers.
//
//   JsonWriter w;
//   w.BeginObject().Key("status").String("ok").Key("n").Int(3).EndObject();
//   std::string body = std::move(w).Take();
//
// Commas are placed by the writer. Balanced calls are the caller's duty (checked by assert). Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlos {

class JsonWriter {
 public:
  JsonWriter() = default;
  // Continues at the end of `prefix`, which may hold other text already.
  explicit JsonWriter(std::string prefix) : out_(std::move(prefix)) {}

  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view key);
  // Invalid UTF-8 is replaced by U+FFFD, so that the output is always valid JSON.
  JsonWriter& String(std::string_view value);
  JsonWriter& Int(int64_t value);
  JsonWriter& Uint(uint64_t value);
  // Shortest text that reads back to the same value. NaN and infinities, which JSON lacks, become null.
  JsonWriter& Double(double value);
  JsonWriter& Float(float value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  // `json` must be one valid JSON value.
  JsonWriter& Raw(std::string_view json);

  const std::string& str() const { return out_; }
  std::string& buffer() { return out_; }
  std::string Take() && { return std::move(out_); }

 private:
  void Separate();

  std::string out_;
  // One entry per open container: true once it has an element.
  std::vector<bool> has_element_;
  bool after_key_ = false;
};

// `value` as a JSON string with its quotes.
std::string JsonQuote(std::string_view value);

}  // namespace mlos
