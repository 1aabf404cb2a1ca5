// SPDX-License-Identifier: Apache-2.0
// What a worker, which may be hostile, says of its sandbox.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "os/sandbox.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto report = mlos::os::SandboxReport::Parse({reinterpret_cast<const char*>(data), size});
  if (!report.ok()) return 0;
  const std::string text = report->Serialize();
  const auto again = mlos::os::SandboxReport::Parse(text);
  if (!again.ok() || again->Serialize() != text) std::abort();
  return 0;
}
