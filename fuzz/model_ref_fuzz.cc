// SPDX-License-Identifier: Apache-2.0
// Any text as a model reference: refused, or free of what could leave a folder, and read back equal.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "package/path.h"
#include "package/ref.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto ref = mlos::package::ParseModelRef({reinterpret_cast<const char*>(data), size});
  if (!ref.ok()) return 0;
  const auto again = mlos::package::ParseModelRef(ref->ToString());
  if (!again.ok() || !(*again == *ref)) std::abort();
  if (!mlos::package::CheckPackagePath(ref->namespace_ + "/" + ref->name).ok()) std::abort();
  if (!mlos::package::CheckPackagePath(ref->revision).ok() && ref->revision != mlos::package::kManifestName)
    std::abort();
  return 0;
}
