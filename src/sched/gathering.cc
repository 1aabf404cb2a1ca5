// SPDX-License-Identifier: Apache-2.0
#include "sched/gathering.h"

#include <algorithm>

namespace mlos::sched {
namespace {

// A hold that nobody came to costs as much credit as two good ones earn. Without credit this many batches pass before the next try.
constexpr int kMostCredit = 8;
constexpr int kFirstCredit = 4;
constexpr int kLoss = 2;
constexpr int kPause = -32;
// Below, waking a thread at the right time costs more than a fuller batch brings.
constexpr int64_t kLeastNs = 50'000;

}  // namespace

int64_t Gathering::HoldNs(int64_t alone_ns, int64_t batch_ns) {
  const int64_t hold_ns = std::min((alone_ns - batch_ns) / 4, batch_ns / 16);
  return hold_ns < kLeastNs ? 0 : hold_ns;
}

void Gathering::Ended(const EndedBatch& batch, int64_t now_ns) {
  if (batch.group == 0 || batch.members < 2 || batch.hold_ns <= 0) return;
  if (credit_.size() >= kMaxGroups) credit_.clear();
  int& credit = credit_.try_emplace(batch.group, kFirstCredit).first->second;
  if (credit <= 0 && ++credit <= 0) return;
  const size_t all = batch.waiting + batch.members + batch.running;
  const auto slots = static_cast<size_t>(std::max(batch.slots, 1));
  const size_t share = (all + slots - 1) / slots;
  group_ = batch.group;
  found_ = batch.waiting;
  wanted_ = std::min(batch.members, share);
  until_ns_ = now_ns + batch.hold_ns;
}

bool Gathering::Holds(uint64_t group, size_t waiting, int64_t now_ns) const {
  return group != 0 && group == group_ && waiting < wanted_ && now_ns < until_ns_;
}

void Gathering::Started(uint64_t group, size_t waiting) {
  if (group == 0 || group != group_) return;
  group_ = 0;
  // There was nothing to wait for.
  if (found_ >= wanted_) return;
  const auto it = credit_.find(group);
  if (it == credit_.end()) return;
  int& credit = it->second;
  // Others than the one that is started anyway.
  if (waiting > std::max<size_t>(found_, 1)) {
    credit = std::min(credit + 1, kMostCredit);
  } else if ((credit -= kLoss) <= 0) {
    credit = kPause;
  }
}

}  // namespace mlos::sched
