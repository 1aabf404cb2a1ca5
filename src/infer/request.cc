// SPDX-License-Identifier: Apache-2.0
#include "infer/request.h"

#include <utility>

namespace mlos {

void CancelToken::Cancel() {
  if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
  MutexLock lock(mu_);
  for (auto& [id, listener] : listeners_) listener();
  listeners_.clear();
}

uint64_t CancelToken::AddListener(std::function<void()> listener) {
  MutexLock lock(mu_);
  // The flag is read under the lock: a Cancel() that has set it and waits for the lock finds the listener not listed.
  if (cancelled()) {
    listener();
  } else {
    listeners_.emplace_back(last_id_ + 1, std::move(listener));
  }
  return ++last_id_;
}

void CancelToken::RemoveListener(uint64_t id) {
  MutexLock lock(mu_);
  std::erase_if(listeners_, [id](const auto& entry) { return entry.first == id; });
}

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kNone:
      break;
  }
  return "";
}

std::string_view PriorityName(Priority priority) {
  switch (priority) {
    case Priority::kRealtime:
      return "realtime";
    case Priority::kHigh:
      return "high";
    case Priority::kNormal:
      return "normal";
    case Priority::kBatch:
      return "batch";
  }
  return "unknown";
}

std::optional<Priority> ParsePriority(std::string_view name) {
  for (const Priority each : {Priority::kRealtime, Priority::kHigh, Priority::kNormal, Priority::kBatch}) {
    if (name == PriorityName(each)) return each;
  }
  return std::nullopt;
}

}  // namespace mlos
