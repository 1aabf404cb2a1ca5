// SPDX-License-Identifier: Apache-2.0
// From the bytes of tokens to the text that may be shown. No engine in here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlos::llama {

// Tokens end anywhere, also inside a character: gives out whole UTF-8 characters only. Bytes that are no UTF-8 become
// U+FFFD, one for each longest invalid stretch, as Unicode recommends (chapter 3, "substitution of maximal subparts").
class Utf8Assembler {
 public:
  std::string Push(std::string_view bytes);
  // What is left when no more bytes come.
  std::string Flush();

 private:
  std::string pending_;  // the beginning of one character
};

// Finds the first stop string in a text that comes in pieces. What could be the beginning of a stop string is held back.
class StopMatcher {
 public:
  // None of `stops` is empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // Text that can be shown: it neither holds a stop string nor can become a part of one. After the first stop string
  // nothing more is given out.
  std::string Push(std::string_view text);
  bool stopped() const { return stopped_; }
  // What was held back, when no more text comes.
  std::string Flush();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace mlos::llama
