// SPDX-License-Identifier: Apache-2.0
// Hashes files while they are being downloaded, on threads of its own. Private to src/hub.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "hub/partial_file.h"
#include "package/digest.h"

namespace mlos::hub {

// One file to hash, owned by the downloader.
struct HashJob {
  void* owner = nullptr;
  PartialFile* partial = nullptr;
  uint64_t size_bytes = 0;

  // Of the thread that holds `busy`.
  uint64_t position = 0;
  package::Sha256 sha256;

  // Guarded by Hasher's mutex.
  bool queued = false;
  bool busy = false;
  std::atomic<bool> stop{false};
};

class Hasher {
 public:
  // `finish` is called once for each job whose bytes are all hashed (or could not be read), by a hashing thread.
  using Finish = std::function<void(HashJob* job, Result<std::string> sha256)>;
  Hasher(int threads, Finish finish);
  // Ends the threads; unfinished jobs are left.
  ~Hasher();

  // There may be new bytes at the contiguous end of the job's file.
  void Notify(HashJob* job);
  // Waits until no thread works on the job, then forgets what was hashed.
  void Reset(HashJob* job);

 private:
  void Run();
  // True when the job has reached its end, or failed.
  bool Advance(HashJob* job, Result<std::string>* result);

  const Finish finish_;
  Mutex mu_;
  CondVar changed_;
  std::deque<HashJob*> queue_ MLOS_GUARDED_BY(mu_);
  bool ending_ MLOS_GUARDED_BY(mu_) = false;
  std::atomic<bool> ending_hint_{false};
  std::vector<std::thread> threads_;
};

}  // namespace mlos::hub
