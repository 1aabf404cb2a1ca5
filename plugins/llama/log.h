// SPDX-License-Identifier: Apache-2.0
// Routes what the engine says to the host's log. The engine's log callback is process-wide.
#pragma once

#include <string>
#include <string_view>

#include "smi/smi.h"

namespace mlos::llama {

enum class LogLevel : int32_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// From now on the engine logs to `host`, which must stay valid until StopLogging. The engine's own information is worth
// a "debug" to a host.
void StartLogging(const smi_host_api* host);
void StopLogging();

// Any thread.
void Log(LogLevel level, std::string_view message);

// While it lives, keeps the errors the engine logs on this thread, to be told to the caller.
class ErrorCapture {
 public:
  ErrorCapture();
  ~ErrorCapture();
  ErrorCapture(const ErrorCapture&) = delete;
  ErrorCapture& operator=(const ErrorCapture&) = delete;
  // The most telling one (the first), without the name of the engine's function; empty when there was none.
  std::string text() const;

 private:
  std::string errors_;
  ErrorCapture* outer_;
  friend void KeepError(std::string_view text);
};

}  // namespace mlos::llama
