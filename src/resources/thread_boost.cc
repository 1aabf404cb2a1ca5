// SPDX-License-Identifier: Apache-2.0
#include "resources/thread_boost.h"

namespace mlos::resources {
namespace {

constexpr os::ThreadPriority kRealtime = {.policy = os::ThreadPolicy::kRealtime, .realtime = 1};
constexpr int kRaisedNice = -10;

bool Same(const os::ThreadPriority& a, const os::ThreadPriority& b) {
  return a.policy == b.policy && a.realtime == b.realtime && a.nice == b.nice;
}

}  // namespace

ThreadBoost::ThreadBoost(BoostMode mode, const std::vector<int>& tids) {
  if (mode == BoostMode::kOff) return;
  raised_.reserve(tids.size());
  for (const int tid : tids) Raise(mode, tid);
}

void ThreadBoost::Raise(BoostMode mode, int tid) {
  const Result<os::ThreadPriority> before = os::GetThreadPriority(tid);
  if (!before.ok() || before->policy != os::ThreadPolicy::kNormal) return;
  if (mode == BoostMode::kRealtime && os::SetThreadPriority(tid, kRealtime).ok()) {
    raised_.push_back({tid, *before, kRealtime});
    how_ = "realtime";
    return;
  }
  const os::ThreadPriority nicer = {.nice = kRaisedNice};
  if (before->nice > kRaisedNice && os::SetThreadPriority(tid, nicer).ok()) {
    raised_.push_back({tid, *before, nicer});
    if (how_.empty()) how_ = "nice";
    return;
  }
  refused_ = true;
}

ThreadBoost::~ThreadBoost() {
  for (const Raised& r : raised_) {
    const Result<os::ThreadPriority> now = os::GetThreadPriority(r.tid);
    // A thread that has ended, or has chosen something else since, needs nothing.
    if (now.ok() && Same(*now, r.made)) (void)os::SetThreadPriority(r.tid, r.before);
  }
}

std::shared_ptr<const ThreadBoost> ProcessBoost::Hold(int64_t pid) {
  if (mode_ == BoostMode::kOff || pid <= 0) return nullptr;
  MutexLock lock(mu_);
  std::shared_ptr<const ThreadBoost> boost = held_.lock();
  if (boost == nullptr) {
    boost = std::make_shared<const ThreadBoost>(mode_, os::ThreadsOf(pid));
    held_ = boost;
  }
  return boost;
}

}  // namespace mlos::resources
