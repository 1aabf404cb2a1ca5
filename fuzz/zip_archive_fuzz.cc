// SPDX-License-Identifier: Apache-2.0
// A zip directory: entries that are accepted lie inside the file, one after another, under names of their own.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>

#include "convert/torch/zip_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto entries = mlos::convert::ReadZipArchive(std::as_bytes(std::span(data, size)));
  if (!entries.ok()) return 0;
  uint64_t end = 0;
  std::set<std::string> names;
  for (const mlos::convert::ZipEntry& entry : *entries) {
    if (entry.offset < end || entry.offset > size || entry.size_bytes > size - entry.offset) std::abort();
    if (!names.insert(entry.name).second || entry.name.find("..") == 0) std::abort();
    end = entry.offset + entry.size_bytes;
  }
  return 0;
}
