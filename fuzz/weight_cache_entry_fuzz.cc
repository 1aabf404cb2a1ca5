// SPDX-License-Identifier: Apache-2.0
// Records of the weight cache: whatever is read is what would be written for it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../plugins/onnxruntime/cache_entry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos_ort::CacheEntry entry;
  if (!mlos_ort::ParseEntry({reinterpret_cast<const char*>(data), size}, &entry)) return 0;
  mlos_ort::CacheEntry again;
  if (!mlos_ort::ParseEntry(mlos_ort::FormatEntry(entry), &again) || !(again == entry)) std::abort();
  return 0;
}
