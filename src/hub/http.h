// SPDX-License-Identifier: Apache-2.0
// Small HTTP exchanges with a hub (listings, headers), and what its refusals mean. Big bodies: hub/download.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "hub/settings.h"

namespace mlos::hub {

// When to try again. Delays grow from base to cap, each multiplied by a random factor in [0.5, 1]; what the server asks
// for in Retry-After is obeyed up to max_retry_after.
struct RetryPolicy {
  int attempts = 6;  // in a row without progress
  int64_t base_delay_ms = 500;
  int64_t cap_delay_ms = 20'000;
  int64_t max_retry_after_ms = 300'000;

  // `failures` so far, at least 1; `retry_after_s` 0 when the server did not say.
  int64_t DelayMs(int failures, int64_t retry_after_s) const;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // of the last answer; names in lower case
  std::string body;
  std::string effective_url;  // after redirects

  std::string Header(const std::string& lower_case_name) const;
};

// What a refusal is about, so that the message can say it.
struct HttpSubject {
  std::string hub_host;      // "huggingface.co"
  std::string repository;    // "org/name"
  std::string revision;      // "main"; may be empty
  std::string file;          // may be empty
  std::string token_origin;  // where the token that was sent came from; empty: none was sent
};

// Status for an HTTP status that is not 2xx.
Status HttpRefusal(int status, const std::map<std::string, std::string>& headers, const HttpSubject& subject);

bool IsRetryableHttpStatus(int status);

// "host[:port]" of a URL; empty when there is none.
std::string HostOf(std::string_view url);

// Everything but unreserved characters as %XX; "/" stays when keep_slash.
std::string PercentEncode(std::string_view text, bool keep_slash);

// GETs with retries. Not thread-safe.
class HttpClient {
 public:
  HttpClient(const Settings& settings, RetryPolicy retry, const std::atomic<bool>* interrupted)
      : settings_(settings), retry_(retry), interrupted_(interrupted) {}

  // The answer whatever its HTTP status; an error Status when no answer came (kUnavailable) or the body is over
  // `max_bytes` (kTooLarge). 408, 429 and 5xx are tried again before they are answered.
  Result<HttpAnswer> Get(const std::string& url, bool send_token, uint64_t max_bytes = 64U << 20U);

 private:
  Result<HttpAnswer> GetOnce(const std::string& url, bool send_token, uint64_t max_bytes, bool* retryable);

  const Settings settings_;
  const RetryPolicy retry_;
  const std::atomic<bool>* const interrupted_;
};

// Sleeps in small steps; false when interrupted.
bool SleepUnlessInterrupted(int64_t ms, const std::atomic<bool>* interrupted);

}  // namespace mlos::hub
