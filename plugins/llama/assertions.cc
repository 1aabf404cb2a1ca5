// SPDX-License-Identifier: Apache-2.0
#include "assertions.h"

#include <string>

#include "ggml.h"
#include "log.h"

namespace mlos::llama {
namespace {

thread_local int g_depth = 0;

void OnAbort(const char* message) {
  Log(LogLevel::kError, std::string("llama.cpp: ") + message);
  if (g_depth > 0) throw EngineAssertion(message);
}

}  // namespace

AssertionsThrow::AssertionsThrow() { ++g_depth; }
AssertionsThrow::~AssertionsThrow() { --g_depth; }

void CatchAssertions() { ggml_set_abort_callback(&OnAbort); }

}  // namespace mlos::llama
