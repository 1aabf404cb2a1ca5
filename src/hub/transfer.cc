// SPDX-License-Identifier: Apache-2.0
#include "hub/transfer.h"

#include <algorithm>

#include "hub/download.h"

namespace mlos::hub {
namespace {
constexpr size_t kBufferBytes = 256U << 10U;
}

Transfer::Transfer(void* owner, PartialFile* partial, size_t piece, bool whole, OnWritten on_written)
    : owner_(owner),
      partial_(partial),
      piece_(piece),
      on_written_(std::move(on_written)),
      curl_(curl_easy_init()) {
  const size_t last = partial->pieces() - 1;
  size_ = partial->PieceBegin(last) + partial->PieceLength(last);
  begin_ = partial->PieceBegin(piece) + partial->PieceDone(piece);
  end_ = whole ? size_ : partial->PieceBegin(piece) + partial->PieceLength(piece);
  ranged_ = begin_ != 0 || end_ != size_;
  position_ = begin_;
  buffer_.reserve(static_cast<size_t>(std::min<uint64_t>(kBufferBytes, end_ - begin_)));
}

void Transfer::Configure(const Settings& settings, const std::string& url, const std::string& token,
                         bool direct, const std::atomic<bool>* interrupted) {
  interrupted_ = interrupted;
  direct_ = direct;
  CURL* curl = curl_.get();
  ConfigureCurl(curl, settings, url, token);
  // Several connections, not several streams on one.
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10U);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, this);
  curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");
  if (ranged_) {
    curl_easy_setopt(curl, CURLOPT_RANGE, (std::to_string(begin_) + "-" + std::to_string(end_ - 1)).c_str());
    const std::string& etag = partial_->etag();
    if (etag.starts_with('"')) list = curl_slist_append(list, ("If-Range: " + etag).c_str());
  }
  request_headers_.reset(list);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
}

size_t Transfer::OnHeader(char* data, size_t size, size_t count, void* user) {
  AddHeaderLine(std::string_view(data, size * count), &static_cast<Transfer*>(user)->headers_);
  return size * count;
}

int Transfer::OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* interrupted = static_cast<Transfer*>(user)->interrupted_;
  return interrupted != nullptr && interrupted->load(std::memory_order_relaxed) ? 1 : 0;
}

size_t Transfer::OnBody(char* data, size_t size, size_t count, void* user) {
  auto* self = static_cast<Transfer*>(user);
  if (self->verdict_ == Verdict::kUnknown) self->Judge();
  if (self->verdict_ != Verdict::kAccepted) return CURL_WRITEFUNC_ERROR;
  return self->Take(data, size * count) ? size * count : CURL_WRITEFUNC_ERROR;
}

void Transfer::JudgeIfPending(CURLcode code) {
  if (code == CURLE_OK && verdict_ == Verdict::kUnknown) Judge();
}

void Transfer::JudgeLength(uint64_t total) {
  if (total == size_) return;
  verdict_ = Verdict::kWrongLength;
  message_ = "the hub lists " + std::to_string(size_) + " bytes but sends a file of " + std::to_string(total);
}

void Transfer::Judge() {
  const int status = http_status();
  if (status != 200 && status != 206) {
    verdict_ = Verdict::kRefused;
    return;
  }
  verdict_ = Verdict::kAccepted;
  if (status == 206) {
    uint64_t begin = 0;
    uint64_t total = 0;
    const auto found = headers_.find("content-range");
    if (!ranged_ || found == headers_.end() || !ParseContentRange(found->second, &begin, &total) ||
        begin != begin_) {
      verdict_ = Verdict::kNoRanges;
      message_ = "the server answers another range than was asked for";
      return;
    }
    JudgeLength(total);
    if (verdict_ == Verdict::kAccepted && !partial_->etag().empty() && !etag().empty() &&
        etag() != partial_->etag()) {
      verdict_ = Verdict::kChanged;
      message_ = "the file changed on the hub while it was downloaded";
    }
    return;
  }
  curl_off_t length = -1;
  curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length >= 0) JudgeLength(static_cast<uint64_t>(length));
  if (verdict_ != Verdict::kAccepted || !ranged_) return;
  const bool changed = !partial_->etag().empty() && etag() != partial_->etag();
  verdict_ = changed ? Verdict::kChanged : Verdict::kNoRanges;
  message_ =
      changed ? "the file changed on the hub while it was downloaded" : "the server sends whole files only";
}

bool Transfer::Take(const char* data, size_t bytes) {
  if (received_ == 0 && partial_->etag().empty()) {
    write_status_ = partial_->SetEtag(etag());
    if (!write_status_.ok()) return false;
  }
  received_ += bytes;
  if (bytes > end_ - position_) {
    verdict_ = Verdict::kWrongLength;
    message_ = "the hub sends more than the " + std::to_string(size_) + " bytes it lists";
    return false;
  }
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  buffer_.insert(buffer_.end(), begin, begin + bytes);
  position_ += bytes;
  if (buffer_.size() >= kBufferBytes) write_status_ = Flush();
  return write_status_.ok();
}

Status Transfer::Flush() {
  MLOS_RETURN_IF_ERROR(write_status_);
  uint64_t begin = position_ - buffer_.size();
  std::span<const std::byte> rest(buffer_);
  const auto total = static_cast<int64_t>(rest.size());
  while (!rest.empty()) {
    // A whole file runs through all its pieces.
    size_t piece = piece_;
    while (begin >= partial_->PieceBegin(piece) + partial_->PieceLength(piece)) ++piece;
    const uint64_t room = partial_->PieceBegin(piece) + partial_->PieceLength(piece) - begin;
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(room, rest.size()));
    write_status_ = partial_->Append(piece, rest.first(bytes));
    if (!write_status_.ok()) return write_status_;
    rest = rest.subspan(bytes);
    begin += bytes;
  }
  buffer_.clear();
  if (total > 0) on_written_(total);
  return OkStatus();
}

std::string Transfer::etag() const {
  const auto found = headers_.find("etag");
  return found == headers_.end() ? "" : found->second;
}

int Transfer::http_status() const {
  long status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

int64_t Transfer::retry_after_s() const {
  curl_off_t seconds = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RETRY_AFTER, &seconds);
  return seconds;
}

bool Transfer::redirected() const {
  long count = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_REDIRECT_COUNT, &count);
  return count > 0;
}

std::string Transfer::effective_url() const {
  char* url = nullptr;
  curl_easy_getinfo(curl_.get(), CURLINFO_EFFECTIVE_URL, &url);
  return url == nullptr ? "" : url;
}

std::string Transfer::CurlMessage(CURLcode code) const {
  return error_[0] != 0 ? error_ : curl_easy_strerror(code);
}

}  // namespace mlos::hub
