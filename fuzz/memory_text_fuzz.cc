// SPDX-License-Identifier: Apache-2.0
// Any text as what the kernel says of memory, as a budget, as a keep-alive and as the answer to GET /ps: refused or within bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "client/processes.h"
#include "infer/keep_alive.h"
#include "os/memory_info.h"
#include "resources/budget.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto memory = mlos::os::ParseSmapsRollup(text); memory.ok()) {
    if (memory->private_bytes() < memory->anonymous) std::abort();
  }
  (void)mlos::os::ParseProcessStatus(text);
  (void)mlos::os::ParseMeminfo(text);
  (void)mlos::os::ParseCgroupEvents(text);
  const auto budget = mlos::resources::ResolveBudget(text, {.total = uint64_t{1} << 34}, {});
  if (budget.ok() && text.ends_with('%') && budget->bytes > (uint64_t{1} << 34)) std::abort();
  if (const auto keep = mlos::ParseKeepAlive(text); keep.ok()) {
    const auto again = mlos::ParseKeepAlive(mlos::KeepAliveText(*keep));
    // The text is rounded to milliseconds.
    if (!again.ok() || *again > *keep || *keep - *again >= 1'000'000) std::abort();
  }
  (void)mlos::client::ParseProcesses(text);
  return 0;
}
