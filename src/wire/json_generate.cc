// SPDX-License-Identifier: Apache-2.0
#include "wire/json_generate.h"

#include <limits>

#include "wire/number_run.h"

namespace mlos::wire {
namespace {

constexpr size_t kMaxStopStrings = 64;
constexpr size_t kMaxMessages = 10'000;

Status WrongType(JsonCursor& cursor, const std::string& key, std::string_view wanted) {
  return Unprocessable("'" + key + "': wanted " + std::string(wanted) + ", got " + cursor.DescribeNext());
}

// Reads a number of the type `dtype` names.
template <typename T>
Status ReadNumber(JsonCursor& cursor, const std::string& key, DType dtype, std::string_view wanted, T* out) {
  JsonCursor start = cursor;
  std::string_view text;
  const char next = cursor.Peek();
  if (next != '-' && (next < '0' || next > '9')) return WrongType(start, key, wanted);
  MLOS_RETURN_IF_ERROR(cursor.ReadNumberText(&text));
  const RunResult run = RunParserFor(dtype)(text.data(), text.data() + text.size(), out, 1);
  return run.count == 1 ? OkStatus() : WrongType(start, key, wanted);
}

Status ReadFloat(JsonCursor& cursor, const std::string& key, std::string_view wanted, bool (*in_range)(float),
                 float* out) {
  JsonCursor start = cursor;
  float value = 0;
  MLOS_RETURN_IF_ERROR(ReadNumber(cursor, key, DType::kFp32, wanted, &value));
  if (!in_range(value)) return WrongType(start, key, wanted);
  *out = value;
  return OkStatus();
}

Status ReadStop(JsonCursor& cursor, const std::string& key, Generation* out) {
  constexpr std::string_view kWanted = "a string or a list of strings, none empty";
  const auto read_one = [&]() -> Status {
    JsonCursor start = cursor;
    if (cursor.Peek() != '"') return WrongType(start, key, kWanted);
    std::string text;
    MLOS_RETURN_IF_ERROR(cursor.ReadString(&text));
    if (text.empty())
      return Unprocessable("'" + key + "': wanted " + std::string(kWanted) + ", got an empty string");
    if (out->stop.size() == kMaxStopStrings) {
      return Unprocessable("'" + key + "': at most " + std::to_string(kMaxStopStrings) + " stop strings");
    }
    out->stop.push_back(std::move(text));
    return OkStatus();
  };
  if (cursor.Peek() != '[') return read_one();
  return cursor.ForEachElement([&](size_t) { return read_one(); });
}

Status ReadMessage(JsonCursor& cursor, size_t index, Generation* out) {
  const std::string where = "'messages[" + std::to_string(index) + "]'";
  if (cursor.Peek() != '{')
    return Unprocessable(where + ": wanted {role, content}, got " + cursor.DescribeNext());
  ChatMessage message;
  bool has_role = false;
  bool has_content = false;
  MLOS_RETURN_IF_ERROR(cursor.ForEachMember([&](const std::string& key) -> Status {
    if (key != "role" && key != "content")
      return Unprocessable(where + ": unknown key '" + key + "'; a message has role and content");
    if (cursor.Peek() != '"')
      return Unprocessable(where + ": wanted a string for '" + key + "', got " + cursor.DescribeNext());
    (key == "role" ? has_role : has_content) = true;
    return cursor.ReadString(key == "role" ? &message.role : &message.content);
  }));
  if (!has_role || !has_content) return Unprocessable(where + ": a message has both role and content");
  if (out->messages.size() == kMaxMessages)
    return Unprocessable("'messages': at most " + std::to_string(kMaxMessages));
  out->messages.push_back(std::move(message));
  return OkStatus();
}

Status ReadMessages(JsonCursor& cursor, Generation* out) {
  if (cursor.Peek() != '[') return WrongType(cursor, "messages", "a list of {role, content}");
  MLOS_RETURN_IF_ERROR(cursor.ForEachElement([&](size_t index) { return ReadMessage(cursor, index, out); }));
  return out->messages.empty() ? Unprocessable("'messages': the list is empty") : OkStatus();
}

}  // namespace

Result<bool> DecodeGenerationKey(JsonCursor& cursor, const std::string& key, Generation* out) {
  Status status;
  if (key == "messages") {
    status = ReadMessages(cursor, out);
  } else if (key == "max_tokens" || key == "max_new_tokens") {
    constexpr std::string_view kWanted = "an integer from 1 to 4294967295";
    JsonCursor start = cursor;
    status = ReadNumber(cursor, key, DType::kUint32, kWanted, &out->max_tokens);
    if (status.ok() && out->max_tokens == 0) status = WrongType(start, key, kWanted);
  } else if (key == "temperature") {
    status = ReadFloat(
        cursor, key, "a number from 0 to 100", [](float v) { return v >= 0 && v <= 100; }, &out->temperature);
  } else if (key == "top_p") {
    status = ReadFloat(
        cursor, key, "a number above 0, at most 1", [](float v) { return v > 0 && v <= 1; }, &out->top_p);
  } else if (key == "min_p") {
    status = ReadFloat(
        cursor, key, "a number from 0, below 1", [](float v) { return v >= 0 && v < 1; }, &out->min_p);
  } else if (key == "repeat_penalty" || key == "repetition_penalty") {
    status = ReadFloat(
        cursor, key, "a number above 0, at most 100", [](float v) { return v > 0 && v <= 100; },
        &out->repeat_penalty);
  } else if (key == "top_k") {
    constexpr std::string_view kWanted = "an integer from 0 (off) to 2147483647";
    JsonCursor start = cursor;
    status = ReadNumber(cursor, key, DType::kInt32, kWanted, &out->top_k);
    if (status.ok() && out->top_k < 0) status = WrongType(start, key, kWanted);
  } else if (key == "seed") {
    status = ReadNumber(cursor, key, DType::kUint64, "an integer from 0 to 18446744073709551615", &out->seed);
  } else if (key == "stop") {
    status = ReadStop(cursor, key, out);
  } else {
    return false;
  }
  if (!status.ok()) return status;
  return true;
}

}  // namespace mlos::wire
