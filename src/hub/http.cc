// SPDX-License-Identifier: Apache-2.0
#include "hub/http.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "base/version.h"
#include "hub/curl.h"

namespace mlos::hub {
namespace {

const std::string kUserAgent = std::string("axon/") + kVersion;

struct BodySink {
  std::string* body;
  uint64_t max_bytes;
  bool too_large = false;
};

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto* sink = static_cast<BodySink*>(user);
  const size_t bytes = size * count;
  if (sink->body->size() + bytes > sink->max_bytes) {
    sink->too_large = true;
    return 0;
  }
  sink->body->append(data, bytes);
  return bytes;
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  AddHeaderLine(std::string_view(data, size * count), static_cast<Headers*>(user));
  return size * count;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* interrupted = static_cast<const std::atomic<bool>*>(user);
  return interrupted != nullptr && interrupted->load(std::memory_order_relaxed) ? 1 : 0;
}

std::string_view TrimView(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  return text;
}

// A hub's own words, shortened and without control characters.
std::string ServerMessage(const Headers& headers) {
  const auto found = headers.find("x-error-message");
  if (found == headers.end() || found->second.empty()) return "";
  std::string text = found->second.substr(0, 200);
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, ' ');
  return "; the hub says: " + text;
}

std::string What(const HttpSubject& s) {
  std::string text = "'" + s.repository + "'";
  if (!s.revision.empty()) text += " at revision '" + s.revision + "'";
  if (!s.file.empty()) text = "file '" + s.file + "' of " + text;
  return text;
}

Status Forbidden(int status, const std::string& error_code, const HttpSubject& s, const std::string& said) {
  const std::string where = " on " + s.hub_host + " (HTTP " + std::to_string(status) + ")";
  if (error_code == "GatedRepo") {
    const std::string how = s.token_origin.empty()
                                ? "; accept its terms on its page, then set HF_TOKEN to an access token"
                                : "; the account of the token from " + s.token_origin +
                                      " has no access yet: accept its terms on its page";
    return PermissionDenied(What(s) + " is gated" + where + how + said);
  }
  if (status == 403) return PermissionDenied("access to " + What(s) + " is forbidden" + where + said);
  if (s.token_origin.empty()) {
    return Unauthenticated(What(s) + " does not exist or is private" + where +
                           "; check the name, or set HF_TOKEN to an access token" + said);
  }
  return Unauthenticated("the token from " + s.token_origin + " is not accepted for " + What(s) + where +
                         ": it is wrong or expired, or the repository does not exist" + said);
}

Status Missing(const std::string& error_code, const HttpSubject& s, const std::string& said) {
  const std::string where = " on " + s.hub_host + " (HTTP 404)";
  if (error_code == "RevisionNotFound") {
    return NotFound("'" + s.repository + "' has no revision '" + s.revision + "'" + where +
                    "; a branch, a tag or a commit is wanted after '@'" + said);
  }
  if (error_code == "EntryNotFound" && !s.file.empty()) {
    return NotFound("'" + s.repository + "' has no file '" + s.file + "'" + where + said);
  }
  return NotFound("no repository " + What(s) + where + "; check the name" + said);
}

}  // namespace

int64_t RetryPolicy::DelayMs(int failures, int64_t retry_after_s) const {
  static thread_local std::minstd_rand random(std::random_device{}());
  if (retry_after_s > 0)
    return std::min(std::min<int64_t>(retry_after_s, 1'000'000) * 1000, max_retry_after_ms);
  const int doublings = std::clamp(failures - 1, 0, 20);
  const int64_t full = std::min(cap_delay_ms, base_delay_ms << doublings);
  return std::uniform_int_distribution<int64_t>(full / 2, full)(random);
}

std::string HttpAnswer::Header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? "" : found->second;
}

bool IsRetryableHttpStatus(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

Status HttpRefusal(int status, const Headers& headers, const HttpSubject& subject) {
  const auto found = headers.find("x-error-code");
  const std::string error_code = found == headers.end() ? "" : found->second;
  const std::string said = ServerMessage(headers);
  const std::string where = subject.hub_host + " answered HTTP " + std::to_string(status);
  switch (status) {
    case 401:
    case 403:
      return Forbidden(status, error_code, subject, said);
    case 404:
    case 410:
      return Missing(error_code, subject, said);
    case 416:
      return DataLoss(where + " (range not satisfiable) for " + What(subject) +
                      ": the file is shorter than the hub's own list says" + said);
    case 429:
      return ResourceExhausted(where + " (too many requests) for " + What(subject) +
                               "; wait a while, or set HF_TOKEN for a higher limit" + said);
    default:
      break;
  }
  if (IsRetryableHttpStatus(status))
    return Unavailable(where + " for " + What(subject) + "; try again later" + said);
  return Status(Code::kInternal, where + " for " + What(subject) + said);
}

std::string HostOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const size_t at = url.rfind('@'); at != std::string_view::npos) url.remove_prefix(at + 1);
  return std::string(url);
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || (keep_slash && c == '/');
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

bool SleepUnlessInterrupted(int64_t ms, const std::atomic<bool>* interrupted) {
  const auto is_interrupted = [&] {
    return interrupted != nullptr && interrupted->load(std::memory_order_relaxed);
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!is_interrupted()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::milliseconds(0)) return true;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, std::chrono::milliseconds(50)));
  }
  return false;
}

void AddHeaderLine(std::string_view line, Headers* headers) {
  if (line.starts_with("HTTP/")) {
    headers->clear();
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  (*headers)[name] = std::string(TrimView(line.substr(colon + 1)));
}

void EnsureCurl() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)result;
}

void ConfigureCurl(CURL* handle, const Settings& settings, const std::string& url,
                   const std::string& bearer_token) {
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_USERAGENT, kUserAgent.c_str());
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(settings.connect_timeout_s));
  // Not a limit for the whole transfer: a limit for silence.
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall_timeout_s));
  if (!settings.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, settings.ca_file.c_str());
  if (!bearer_token.empty()) {
    // libcurl keeps these to the first host: another host, port or scheme in a redirect gets no Authorization.
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(handle, CURLOPT_XOAUTH2_BEARER, bearer_token.c_str());
    curl_easy_setopt(handle, CURLOPT_UNRESTRICTED_AUTH, 0L);
  }
}

Result<HttpAnswer> HttpClient::GetOnce(const std::string& url, bool send_token, uint64_t max_bytes,
                                       bool* retryable) {
  EnsureCurl();
  *retryable = false;
  const CurlEasy curl(curl_easy_init());
  if (curl == nullptr) return Internal("libcurl cannot be loaded or gives no handle");
  HttpAnswer answer;
  BodySink sink{&answer.body, max_bytes};
  char error[CURL_ERROR_SIZE] = "";
  ConfigureCurl(curl.get(), settings_, url, send_token ? settings_.token : "");
  curl_easy_setopt(curl.get(), CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &answer.headers);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(interrupted_));
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_ABORTED_BY_CALLBACK) return Cancelled("interrupted");
  if (sink.too_large) {
    return TooLarge("the answer of " + HostOf(url) + " is over " + std::to_string(max_bytes) + " bytes");
  }
  if (code != CURLE_OK) {
    *retryable = code != CURLE_URL_MALFORMAT && code != CURLE_UNSUPPORTED_PROTOCOL &&
                 code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_PEER_FAILED_VERIFICATION &&
                 code != CURLE_TOO_MANY_REDIRECTS;
    return Unavailable("cannot reach " + HostOf(url) + ": " +
                       (error[0] != 0 ? error : curl_easy_strerror(code)));
  }
  long status = 0;
  char* effective = nullptr;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl.get(), CURLINFO_EFFECTIVE_URL, &effective);
  answer.status = static_cast<int>(status);
  answer.effective_url = effective == nullptr ? url : effective;
  curl_off_t retry_after_s = 0;  // understands dates too
  if (curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &retry_after_s) == CURLE_OK && retry_after_s > 0) {
    answer.headers["retry-after"] = std::to_string(retry_after_s);
  }
  *retryable = IsRetryableHttpStatus(answer.status);
  return answer;
}

Result<HttpAnswer> HttpClient::Get(const std::string& url, bool send_token, uint64_t max_bytes) {
  for (int failures = 1;; ++failures) {
    bool retryable = false;
    Result<HttpAnswer> answer = GetOnce(url, send_token, max_bytes, &retryable);
    // A refused connection is not worth the patience a busy hub is.
    const int attempts = answer.ok() ? retry_.attempts : std::min(retry_.attempts, 3);
    if (!retryable || failures >= attempts) return answer;
    int64_t retry_after_s = 0;
    if (answer.ok()) retry_after_s = std::atoll(answer->Header("retry-after").c_str());
    if (!SleepUnlessInterrupted(retry_.DelayMs(failures, retry_after_s), interrupted_))
      return Cancelled("interrupted");
  }
}

}  // namespace mlos::hub
