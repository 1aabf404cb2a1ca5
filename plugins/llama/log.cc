// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <atomic>

#include "ggml.h"
#include "llama.h"

namespace mlos::llama {
namespace {

std::atomic<const smi_host_api*> g_host{nullptr};
thread_local ErrorCapture* g_capture = nullptr;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

void KeepError(std::string_view text) {
  if (g_capture == nullptr || text.empty()) return;
  if (!g_capture->errors_.empty()) g_capture->errors_ += '\n';
  g_capture->errors_ += text;
}

namespace {

void EngineLog(ggml_log_level level, const char* text, void*) {
  const std::string_view message = Trim(text == nullptr ? "" : text);
  if (message.empty() || message.find_first_not_of('.') == std::string_view::npos) return;  // progress dots
  if (level == GGML_LOG_LEVEL_ERROR) KeepError(message);
  Log(level == GGML_LOG_LEVEL_ERROR  ? LogLevel::kError
      : level == GGML_LOG_LEVEL_WARN ? LogLevel::kWarning
                                     : LogLevel::kDebug,
      message);
}

}  // namespace

void StartLogging(const smi_host_api* host) {
  g_host = host;
  llama_log_set(&EngineLog, nullptr);
}

void StopLogging() { g_host = nullptr; }

void Log(LogLevel level, std::string_view message) {
  const smi_host_api* host = g_host;
  if (host == nullptr || host->log == nullptr) return;
  host->log(host->host, static_cast<int32_t>(level), {message.data(), message.size()});
}

ErrorCapture::ErrorCapture() : outer_(g_capture) { g_capture = this; }
ErrorCapture::~ErrorCapture() { g_capture = outer_; }

std::string ErrorCapture::text() const {
  std::string first = errors_.substr(0, errors_.find('\n'));
  // "llama_model_load: error loading model: ..." -> "error loading model: ..."
  const size_t colon = first.find(": ");
  if (colon != std::string::npos && first.substr(0, colon).find(' ') == std::string::npos)
    first.erase(0, colon + 2);
  return first;
}

}  // namespace mlos::llama
