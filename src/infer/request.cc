// SPDX-License-Identifier: Apache-2.0
#include "infer/request.h"

#include <utility>

namespace mlos {

void CancelToken::Cancel() {
  if (cancelled_.exchange(true, std::memory_order_acq_rel)) return;
  MutexLock lock(mu_);
  if (listener_) std::exchange(listener_, nullptr)();
}

void CancelToken::SetListener(std::function<void()> listener) {
  MutexLock lock(mu_);
  listener_ = std::move(listener);
  // A Cancel() that has set the flag but not yet the lock finds no listener.
  if (listener_ && cancelled()) std::exchange(listener_, nullptr)();
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

}  // namespace mlos
