// SPDX-License-Identifier: Apache-2.0
// One HTTP request of a download: a piece of a file, or the whole file where a server knows no ranges. Private to src/hub.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "hub/curl.h"
#include "hub/partial_file.h"

namespace mlos::hub {

class Transfer {
 public:
  // What the head of the answer says about its body.
  enum class Verdict {
    kUnknown,      // no body yet
    kAccepted,     // the bytes asked for
    kRefused,      // an HTTP error
    kWrongLength,  // a file of another length than listed
    kChanged,      // another version of the file than the bytes we have
    kNoRanges,     // the whole file instead of a part
  };
  using OnWritten = std::function<void(int64_t bytes)>;

  // `owner` is the downloader's job; `whole`: from the first byte to the last, without a Range header.
  Transfer(void* owner, PartialFile* partial, size_t piece, bool whole, OnWritten on_written);
  // `direct`: the URL is one a redirect led to before.
  void Configure(const Settings& settings, const std::string& url, const std::string& token, bool direct,
                 const std::atomic<bool>* interrupted);

  // An answer without a body gets its verdict here.
  void JudgeIfPending(CURLcode code);

  // Writes the buffered bytes to the file.
  Status Flush();

  void* owner() const { return owner_; }
  size_t piece() const { return piece_; }
  bool direct() const { return direct_; }
  CURL* handle() const { return curl_.get(); }
  Verdict verdict() const { return verdict_; }
  const std::string& message() const { return message_; }
  const Headers& headers() const { return headers_; }
  uint64_t received() const { return received_; }
  // All bytes asked for have come.
  bool finished() const { return position_ == end_; }
  std::string etag() const;
  int http_status() const;
  int64_t retry_after_s() const;
  bool redirected() const;
  std::string effective_url() const;
  std::string CurlMessage(CURLcode code) const;

 private:
  static size_t OnBody(char* data, size_t size, size_t count, void* user);
  static size_t OnHeader(char* data, size_t size, size_t count, void* user);
  static int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  void Judge();
  void JudgeLength(uint64_t total);
  bool Take(const char* data, size_t bytes);

  void* const owner_;
  PartialFile* const partial_;
  const size_t piece_;
  const OnWritten on_written_;
  const CurlEasy curl_;
  CurlList request_headers_;
  char error_[CURL_ERROR_SIZE] = "";
  const std::atomic<bool>* interrupted_ = nullptr;

  Headers headers_;
  Verdict verdict_ = Verdict::kUnknown;
  std::string message_;
  Status write_status_;
  bool direct_ = false;
  bool ranged_ = false;    // a Range header was sent
  uint64_t begin_ = 0;     // first byte asked for
  uint64_t position_ = 0;  // next byte, buffered ones included
  uint64_t end_ = 0;
  uint64_t size_ = 0;  // of the file
  uint64_t received_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace mlos::hub
