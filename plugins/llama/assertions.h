// SPDX-License-Identifier: Apache-2.0
// The engine ends the process when one of its assertions fails, and damaged files make them fail. Where an
// AssertionsThrow lives, an assertion that fails on its thread throws instead: out of the callback the engine calls
// first, through its code, to whoever catches. Assertions on the engine's own threads still end the process.
#pragma once

#include <stdexcept>

namespace mlos::llama {

struct EngineAssertion : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class AssertionsThrow {
 public:
  AssertionsThrow();
  ~AssertionsThrow();
  AssertionsThrow(const AssertionsThrow&) = delete;
  AssertionsThrow& operator=(const AssertionsThrow&) = delete;
};

// Once a process: logs failed assertions and makes AssertionsThrow work.
void CatchAssertions();

}  // namespace mlos::llama
