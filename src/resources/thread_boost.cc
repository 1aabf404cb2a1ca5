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

ThreadBoost::ThreadBoost(const std::vector<int>& tids) {
  raised_.reserve(tids.size());
  for (const int tid : tids) Raise(tid);
}

void ThreadBoost::Raise(int tid) {
  const Result<os::ThreadPriority> before = os::GetThreadPriority(tid);
  if (!before.ok() || before->policy != os::ThreadPolicy::kNormal) return;
  if (os::SetThreadPriority(tid, kRealtime).ok()) {
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

}  // namespace mlos::resources
