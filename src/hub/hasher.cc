// SPDX-License-Identifier: Apache-2.0
#include "hub/hasher.h"

#include <algorithm>

namespace mlos::hub {
namespace {
constexpr size_t kChunkBytes = 1U << 20U;
}

Hasher::Hasher(int threads, Finish finish) : finish_(std::move(finish)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Hasher::~Hasher() {
  ending_hint_.store(true);
  {
    const MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Hasher::Notify(HashJob* job) {
  const MutexLock lock(mu_);
  if (job->queued) return;
  job->queued = true;
  if (job->busy) return;  // put back by the thread that has it
  queue_.push_back(job);
  changed_.NotifyAll();
}

void Hasher::Reset(HashJob* job) {
  job->stop.store(true);
  const MutexLock lock(mu_);
  while (job->busy) changed_.Wait(mu_);
  std::erase(queue_, job);
  job->queued = false;
  job->position = 0;
  job->sha256 = package::Sha256();
  job->stop.store(false);
}

bool Hasher::Advance(HashJob* job, Result<std::string>* result) {
  std::vector<std::byte> buffer(kChunkBytes);
  while (!job->stop.load() && !ending_hint_.load()) {
    if (job->position == job->size_bytes) {
      *result = job->sha256.Finish();
      return true;
    }
    const uint64_t available = job->partial->Contiguous() - job->position;
    if (available == 0) return false;
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(available, kChunkBytes));
    const Result<size_t> got = job->partial->ReadAt(job->position, std::span(buffer.data(), wanted));
    if (!got.ok() || *got == 0) {
      *result = got.ok() ? DataLoss("'" + job->partial->path().string() + "' was cut while it was hashed")
                         : got.status();
      return true;
    }
    job->sha256.Update(std::span(buffer.data(), *got));
    job->position += *got;
  }
  return false;
}

void Hasher::Run() {
  for (;;) {
    HashJob* job = nullptr;
    {
      const MutexLock lock(mu_);
      while (queue_.empty() && !ending_) changed_.Wait(mu_);
      if (ending_) return;
      job = queue_.front();
      queue_.pop_front();
      job->queued = false;
      job->busy = true;
    }
    Result<std::string> result = Internal("");
    const bool finished = Advance(job, &result);
    if (finished) finish_(job, std::move(result));
    const MutexLock lock(mu_);
    job->busy = false;
    // More bytes may have come while it was away from the queue.
    if (job->queued && !finished) queue_.push_back(job);
    if (finished) job->queued = false;
    changed_.NotifyAll();
  }
}

}  // namespace mlos::hub
