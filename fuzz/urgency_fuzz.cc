// SPDX-License-Identifier: Apache-2.0
// X-Priority and X-Deadline-Ms.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "frontend/common/urgency.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto priority = mlos::frontend::ReadPriorityHeader(text);
  if (priority.ok() && *priority && mlos::PriorityName(**priority) != text) std::abort();
  const auto deadline = mlos::frontend::ReadDeadlineHeader(text);
  if (!deadline.ok() || !*deadline) return 0;
  const int64_t now_ns = int64_t{1} << 40;
  if (mlos::frontend::DeadlineNs(now_ns, 0, *deadline, std::nullopt) <= 0) std::abort();
  return 0;
}
