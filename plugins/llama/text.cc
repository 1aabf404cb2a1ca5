// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <algorithm>

namespace mlos::llama {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Form { kWhole, kCut, kInvalid };

// Looks at the first character of `bytes` (not empty). `size`: bytes it takes (kWhole), or bytes to give up (kInvalid).
Form FirstCharacter(std::string_view bytes, size_t* size) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = at(0);
  *size = 1;
  if (lead < 0x80) return Form::kWhole;
  if (lead < 0xC2 || lead > 0xF4) return Form::kInvalid;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range shuts out overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return Form::kCut;
    const unsigned char least = i == 1 ? low : 0x80;
    const unsigned char most = i == 1 ? high : 0xBF;
    if (at(i) < least || at(i) > most) {
      *size = i;
      return Form::kInvalid;
    }
  }
  *size = length;
  return Form::kWhole;
}

// How many bytes at the end of `text` are a beginning of `stop`, but not the whole of it.
size_t BeginningAtEnd(std::string_view text, std::string_view stop) {
  for (size_t size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.substr(text.size() - size) == stop.substr(0, size)) return size;
  }
  return 0;
}

}  // namespace

std::string Utf8Assembler::Push(std::string_view bytes) {
  pending_.append(bytes);
  std::string whole;
  std::string_view left = pending_;
  while (!left.empty()) {
    size_t size = 0;
    const Form form = FirstCharacter(left, &size);
    if (form == Form::kCut) break;
    whole.append(form == Form::kWhole ? left.substr(0, size) : kReplacement);
    left.remove_prefix(size);
  }
  pending_.erase(0, pending_.size() - left.size());
  return whole;
}

std::string Utf8Assembler::Flush() {
  const bool cut = !pending_.empty();
  pending_.clear();
  return std::string(cut ? kReplacement : std::string_view());
}

std::string StopMatcher::Push(std::string_view text) {
  if (stopped_) return {};
  held_.append(text);
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    std::string shown = held_.substr(0, first);
    held_.clear();
    return shown;
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, BeginningAtEnd(held_, stop));
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::Flush() {
  std::string rest;
  rest.swap(held_);
  return rest;
}

}  // namespace mlos::llama
