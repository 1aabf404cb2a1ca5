// SPDX-License-Identifier: Apache-2.0
// Fetches many files over HTTP at once, big ones in several ranges at once, and knows the digest of each when its last
// byte arrives: the contiguous beginning is hashed while later parts are still on their way.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "hub/adapter.h"
#include "hub/http.h"

namespace mlos::hub {

struct DownloadItem {
  RemoteFile file;
  FileSource source;             // its url
  std::filesystem::path target;  // where the bytes are gathered; an earlier try's bytes there are used
};

struct DownloadOptions {
  int max_connections = 8;
  int connections_per_file = 4;
  uint64_t piece_bytes = 0;              // 0: a 16th of the file, at least 16 MiB, at most 64 MiB
  uint64_t resumable_bytes = 1U << 20U;  // smaller files start afresh
  RetryPolicy retry;
  const std::atomic<bool>* interrupted =
      nullptr;  // may be null; kCancelled soon after it is set, all bytes kept
};

// Called by the thread that runs Download.
class DownloadObserver {
 public:
  virtual ~DownloadObserver() = default;
  // `bytes` of item `index` are on disk now; negative when they had to be thrown away.
  virtual void OnBytes(size_t index, int64_t bytes) = 0;
  // Bytes an earlier try left.
  virtual void OnResumed(size_t index, uint64_t bytes) = 0;
  virtual void OnRetry(size_t index, const std::string& reason, int64_t delay_ms) = 0;
};

// The file at item.target is complete, its digests match what the hub said, nobody has it open any more. Called by one of
// the hashing threads; several may be at it at once. An error stops the whole download with that error.
using OnComplete = std::function<Status(const DownloadItem& item, const std::string& sha256)>;

// OK when every item is complete. On error what was downloaded is kept for the next try, except bytes that are known to be
// wrong (digest or length), which are removed: those are kDataLoss. A full disk is kResourceExhausted.
Status Download(const std::vector<DownloadItem>& items, const Settings& settings,
                const DownloadOptions& options, const HttpSubject& subject, DownloadObserver* observer,
                const OnComplete& on_complete);

// "bytes 0-99/1234" -> 0 and 1234; false when it is no such value.
bool ParseContentRange(const std::string& value, uint64_t* begin, uint64_t* total);

}  // namespace mlos::hub
