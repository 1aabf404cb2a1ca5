// SPDX-License-Identifier: Apache-2.0
// What standard input, output and error are connected to.
#pragma once

#include <memory>

namespace mlos::os {

enum class StandardStream { kInput = 0, kOutput = 1, kError = 2 };

bool IsTerminal(StandardStream stream);

// Columns of the terminal; 80 when it does not say, or is none.
int TerminalColumns(StandardStream stream);

// Keys of the terminal at standard input as they are pressed: without Enter, not echoed. The terminal is as it was again
// once this is destroyed. Without a terminal no key ever comes.
class KeyReader {
 public:
  KeyReader();
  ~KeyReader();
  KeyReader(const KeyReader&) = delete;
  KeyReader& operator=(const KeyReader&) = delete;
  // 0 when none came in time.
  char Wait(int timeout_ms) const;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace mlos::os
