// SPDX-License-Identifier: Apache-2.0
#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include "base/mutex.h"
#include "hub/curl.h"
#include "hub/hasher.h"
#include "hub/partial_file.h"
#include "hub/transfer.h"
#include "package/digest.h"

namespace mlos::hub {
namespace {

constexpr uint64_t kMinPiece = 16U << 20U;
constexpr uint64_t kMaxPiece = 64U << 20U;
constexpr int kMaxRestarts = 2;
constexpr int kHashThreads = 2;

int64_t NowMs() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// One file on its way.
struct Job {
  explicit Job(PartialFile p) : partial(std::move(p)) {}
  size_t index = 0;
  const DownloadItem* item = nullptr;
  PartialFile partial;
  HashJob hash;
  std::set<size_t> active_pieces;
  std::string direct_url;  // where the first redirect ended; other ranges go there at once
  int max_parallel = 1;
  int failures = 0;  // in a row without a new byte
  int restarts = 0;
  int whole_tries = 0;
  int64_t not_before_ms = 0;
  bool resumed = false;    // holds bytes of an earlier try
  bool no_ranges = false;  // the server sends whole files only
  bool complete = false;   // handed over
};

class Engine {
 public:
  Engine(const std::vector<DownloadItem>& items, const Settings& settings, const DownloadOptions& options,
         const HttpSubject& subject, DownloadObserver* observer, const OnComplete& on_complete)
      : items_(items),
        settings_(settings),
        options_(options),
        subject_(subject),
        observer_(*observer),
        on_complete_(on_complete),
        multi_(curl_multi_init()),
        hasher_(kHashThreads,
                [this](HashJob* job, Result<std::string> sha256) { OnHashed(job, std::move(sha256)); }) {}

  ~Engine() {
    for (auto& transfer : transfers_) curl_multi_remove_handle(multi_.get(), transfer->handle());
  }

  Status Run();

 private:
  struct HashResult {
    Job* job;
    Status status;
    bool bad_bytes;
  };

  Status OpenJobs();
  void StartTransfers();
  std::optional<size_t> NextPiece(const Job& job) const;
  void Start(Job* job, size_t piece);
  Status HandleFinished();
  Status OnTransferDone(Transfer* transfer, CURLcode code);
  Status Refused(Job* job, const Transfer& transfer);
  Status RetryLater(Job* job, const std::string& reason, int64_t retry_after_s);
  Status DropBytes(Job* job);
  Status StartOver(Job* job, const std::string& why);
  Status HandleHashed();
  void OnHashed(HashJob* hash, Result<std::string> sha256);
  Status CheckAndHandOver(Job* job, const Result<std::string>& sha256, bool* bad_bytes);
  HttpSubject SubjectOf(const Job& job) const;
  void StopTransfersOf(Job* job);
  bool Interrupted() const { return options_.interrupted != nullptr && options_.interrupted->load(); }

  const std::vector<DownloadItem>& items_;
  const Settings& settings_;
  const DownloadOptions& options_;
  const HttpSubject& subject_;
  DownloadObserver& observer_;
  const OnComplete& on_complete_;
  const CurlMulti multi_;
  std::deque<std::unique_ptr<Job>> jobs_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  Mutex mu_;
  std::vector<HashResult> hashed_ MLOS_GUARDED_BY(mu_);
  Hasher hasher_;  // last: its threads end before what they use
};

Status Engine::OpenJobs() {
  for (size_t i = 0; i < items_.size(); ++i) {
    const DownloadItem& item = items_[i];
    const uint64_t size = item.file.size_bytes;
    const uint64_t piece =
        options_.piece_bytes != 0 ? options_.piece_bytes : std::clamp(size / 16, kMinPiece, kMaxPiece);
    MLOS_ASSIGN_OR_RETURN(PartialFile partial,
                          PartialFile::Open(item.target, size, piece, size >= options_.resumable_bytes));
    auto job = std::make_unique<Job>(std::move(partial));
    job->index = i;
    job->item = &item;
    job->hash.owner = job.get();
    job->hash.partial = &job->partial;
    job->hash.size_bytes = size;
    job->max_parallel = std::max(1, options_.connections_per_file);
    job->resumed = job->partial.TotalDone() > 0;
    if (job->resumed) observer_.OnResumed(i, job->partial.TotalDone());
    hasher_.Notify(&job->hash);
    jobs_.push_back(std::move(job));
  }
  return OkStatus();
}

std::optional<size_t> Engine::NextPiece(const Job& job) const {
  for (size_t piece = 0; piece < job.partial.pieces(); ++piece) {
    if (job.partial.PieceDone(piece) < job.partial.PieceLength(piece) && job.active_pieces.count(piece) == 0)
      return piece;
  }
  return std::nullopt;
}

void Engine::StartTransfers() {
  const int64_t now = NowMs();
  for (const auto& job : jobs_) {
    // Without ranges there is one transfer, from the first byte. The first request tells whether there are ranges and
    // where redirects lead, so the others wait for it.
    const bool known = !job->partial.etag().empty() || job->partial.TotalDone() > 0;
    const size_t parallel = job->no_ranges || !known ? 1 : static_cast<size_t>(job->max_parallel);
    while (!job->complete && job->not_before_ms <= now && job->active_pieces.size() < parallel) {
      if (transfers_.size() >= static_cast<size_t>(options_.max_connections)) return;
      const std::optional<size_t> piece = NextPiece(*job);
      if (!piece) break;
      Start(job.get(), *piece);
    }
  }
}

void Engine::Start(Job* job, size_t piece) {
  const bool direct = !job->direct_url.empty();
  const std::string& url = direct ? job->direct_url : job->item->source.url;
  const bool own_host = !direct || HostOf(url) == HostOf(job->item->source.url);
  auto transfer =
      std::make_unique<Transfer>(job, &job->partial, piece, job->no_ranges, [this, job](int64_t bytes) {
        observer_.OnBytes(job->index, bytes);
        job->failures = 0;
        hasher_.Notify(&job->hash);
      });
  transfer->Configure(settings_, url, own_host ? job->item->source.bearer_token : "", direct,
                      options_.interrupted);
  job->active_pieces.insert(piece);
  curl_multi_add_handle(multi_.get(), transfer->handle());
  transfers_.push_back(std::move(transfer));
}

HttpSubject Engine::SubjectOf(const Job& job) const {
  HttpSubject subject = subject_;
  subject.file = job.item->file.path;
  return subject;
}

void Engine::StopTransfersOf(Job* job) {
  std::erase_if(transfers_, [&](const std::unique_ptr<Transfer>& transfer) {
    if (transfer->owner() != job) return false;
    curl_multi_remove_handle(multi_.get(), transfer->handle());
    job->active_pieces.erase(transfer->piece());
    return true;
  });
}

Status Engine::RetryLater(Job* job, const std::string& reason, int64_t retry_after_s) {
  ++job->failures;
  if (job->failures >= options_.retry.attempts) {
    return Unavailable("download of '" + job->item->file.path + "' from " + HostOf(job->item->source.url) +
                       " failed " + std::to_string(job->failures) + " times: " + reason +
                       "; what was downloaded is kept, run the command again to go on");
  }
  const int64_t delay = options_.retry.DelayMs(job->failures, retry_after_s);
  job->not_before_ms = NowMs() + delay;
  observer_.OnRetry(job->index, reason, delay);
  return OkStatus();
}

Status Engine::DropBytes(Job* job) {
  StopTransfersOf(job);
  hasher_.Reset(&job->hash);
  observer_.OnBytes(job->index, -static_cast<int64_t>(job->partial.TotalDone()));
  job->direct_url.clear();
  return job->partial.Restart();
}

// Drops the bytes, but not for ever: a hub that never sends what it lists ends in kDataLoss.
Status Engine::StartOver(Job* job, const std::string& why) {
  MLOS_RETURN_IF_ERROR(DropBytes(job));
  const bool again = job->resumed || job->restarts < kMaxRestarts;
  job->resumed = false;
  ++job->restarts;
  if (!again) {
    MLOS_RETURN_IF_ERROR(job->partial.Drop());
    return DataLoss("'" + job->item->file.path + "' from " + HostOf(job->item->source.url) + ": " + why +
                    "; the partial file was removed");
  }
  observer_.OnRetry(job->index, why, 0);
  return OkStatus();
}

Status Engine::Refused(Job* job, const Transfer& transfer) {
  const int status = transfer.http_status();
  if (IsRetryableHttpStatus(status)) {
    const Status status_text = HttpRefusal(status, transfer.headers(), SubjectOf(*job));
    const Status later = RetryLater(job, status_text.message(), transfer.retry_after_s());
    return later.ok() ? later : Status(status_text.code(), later.message());
  }
  if (status == 416) {
    job->restarts = kMaxRestarts;  // one more try if old bytes may be to blame, else the end
    return StartOver(job, HttpRefusal(status, transfer.headers(), SubjectOf(*job)).message());
  }
  // The address behind a redirect runs out; the hub gives a new one.
  if (transfer.direct()) {
    job->direct_url.clear();
    return OkStatus();
  }
  // Some hubs forbid more than one connection for a file.
  if (status == 403 && job->max_parallel > 1 && job->partial.TotalDone() > 0) {
    job->max_parallel = 1;
    return RetryLater(job, "HTTP 403 for a further connection", 0);
  }
  return HttpRefusal(status, transfer.headers(), SubjectOf(*job));
}

Status Engine::OnTransferDone(Transfer* transfer, CURLcode code) {
  Job* job = static_cast<Job*>(transfer->owner());
  transfer->JudgeIfPending(code);
  const Status flushed = transfer->Flush();
  job->active_pieces.erase(transfer->piece());
  switch (transfer->verdict()) {
    case Transfer::Verdict::kRefused:
      return Refused(job, *transfer);
    case Transfer::Verdict::kWrongLength:
      job->restarts = std::max(job->restarts, kMaxRestarts);
      job->resumed = false;
      return StartOver(job, transfer->message());
    case Transfer::Verdict::kChanged:
      return StartOver(job, transfer->message());
    case Transfer::Verdict::kNoRanges:
      // A whole file comes instead of a part: take whole files from now on.
      job->no_ranges = true;
      return StartOver(job, transfer->message());
    case Transfer::Verdict::kAccepted:
    case Transfer::Verdict::kUnknown:
      break;
  }
  if (!flushed.ok()) return flushed;
  if (code == CURLE_OK && transfer->finished()) {
    if (job->direct_url.empty() && transfer->redirected()) job->direct_url = transfer->effective_url();
    return OkStatus();
  }
  if (Interrupted()) return Cancelled("interrupted");
  const std::string reason = code == CURLE_OK
                                 ? "the answer ended after " + std::to_string(transfer->received()) + " bytes"
                                 : transfer->CurlMessage(code);
  if (job->no_ranges) {
    // No way to go on in the middle.
    MLOS_RETURN_IF_ERROR(DropBytes(job));
    job->failures = job->whole_tries++;
  }
  return RetryLater(job, reason, 0);
}

Status Engine::HandleFinished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                    [&](const auto& t) { return t->handle() == message->easy_handle; });
    if (found == transfers_.end()) continue;
    const std::unique_ptr<Transfer> transfer = std::move(*found);
    transfers_.erase(found);
    curl_multi_remove_handle(multi_.get(), transfer->handle());
    MLOS_RETURN_IF_ERROR(OnTransferDone(transfer.get(), code));
  }
  return OkStatus();
}

Status Engine::CheckAndHandOver(Job* job, const Result<std::string>& sha256, bool* bad_bytes) {
  if (!sha256.ok()) return sha256.status();
  const RemoteFile& file = job->item->file;
  if (!file.sha256.empty() && *sha256 != file.sha256) {
    *bad_bytes = true;
    return DataLoss("sha256 is " + *sha256 + ", the hub's list says " + file.sha256);
  }
  if (file.sha256.empty() && !file.git_sha1.empty()) {
    MLOS_ASSIGN_OR_RETURN(const std::string git_sha1, package::GitBlobSha1File(job->partial.path()));
    if (git_sha1 != file.git_sha1) {
      *bad_bytes = true;
      return DataLoss("git blob id is " + git_sha1 + ", the hub's list says " + file.git_sha1);
    }
  }
  MLOS_RETURN_IF_ERROR(job->partial.Finish());
  return on_complete_(*job->item, *sha256);
}

// On a hashing thread.
void Engine::OnHashed(HashJob* hash, Result<std::string> sha256) {
  Job* job = static_cast<Job*>(hash->owner);
  bool bad_bytes = false;
  Status status = CheckAndHandOver(job, sha256, &bad_bytes);
  const MutexLock lock(mu_);
  hashed_.push_back({job, std::move(status), bad_bytes});
  curl_multi_wakeup(multi_.get());
}

Status Engine::HandleHashed() {
  std::vector<HashResult> results;
  {
    const MutexLock lock(mu_);
    results.swap(hashed_);
  }
  for (const HashResult& result : results) {
    if (result.bad_bytes) {
      // Bytes of an earlier try may be to blame (the machine crashed); fresh ones are the hub's fault.
      result.job->restarts = kMaxRestarts;
      MLOS_RETURN_IF_ERROR(StartOver(result.job, result.status.message()));
      continue;
    }
    MLOS_RETURN_IF_ERROR(result.status);
    result.job->complete = true;
  }
  return OkStatus();
}

Status Engine::Run() {
  if (multi_ == nullptr) return Internal("libcurl gives no multi handle");
  curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(options_.max_connections));
  MLOS_RETURN_IF_ERROR(OpenJobs());
  for (;;) {
    if (Interrupted())
      return Cancelled("interrupted; what was downloaded is kept, run the command again to go on");
    MLOS_RETURN_IF_ERROR(HandleHashed());
    if (std::all_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return job->complete; }))
      return OkStatus();
    StartTransfers();
    int running = 0;
    if (const CURLMcode code = curl_multi_perform(multi_.get(), &running); code != CURLM_OK) {
      return Internal(std::string("libcurl: ") + curl_multi_strerror(code));
    }
    MLOS_RETURN_IF_ERROR(HandleFinished());
    curl_multi_poll(multi_.get(), nullptr, 0, 50, nullptr);
  }
}

}  // namespace

bool ParseContentRange(const std::string& value, uint64_t* begin, uint64_t* total) {
  std::string_view text = value;
  if (!text.starts_with("bytes ")) return false;
  text.remove_prefix(6);
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return false;
  const auto parse = [](std::string_view digits, uint64_t* out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  return parse(text.substr(0, dash), begin) && parse(text.substr(slash + 1), total);
}

Status Download(const std::vector<DownloadItem>& items, const Settings& settings,
                const DownloadOptions& options, const HttpSubject& subject, DownloadObserver* observer,
                const OnComplete& on_complete) {
  EnsureCurl();
  return Engine(items, settings, options, subject, observer, on_complete).Run();
}

}  // namespace mlos::hub
