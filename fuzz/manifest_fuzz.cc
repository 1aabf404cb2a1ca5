// SPDX-License-Identifier: Apache-2.0
// Any text as a manifest: refused, or written and read back equal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "package/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto manifest = mlos::package::ParseManifest({reinterpret_cast<const char*>(data), size});
  if (!manifest.ok()) return 0;
  const auto again = mlos::package::ParseManifest(mlos::package::WriteManifest(*manifest));
  if (!again.ok() || !(*again == *manifest)) std::abort();
  return 0;
}
