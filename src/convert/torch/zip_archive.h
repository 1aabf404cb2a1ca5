// SPDX-License-Identifier: Apache-2.0
// The entries of a zip archive whose contents are used where they lie: stored, never compressed.
//
//   archive = (local-header name extra data [descriptor] padding)* directory [zip64-end zip64-locator] end
//
// Zip readers differ in which of the two copies of a name, size or offset they believe, and attackers live of the difference.
// Here both must agree, and everything is where the directory says and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::convert {

inline constexpr uint64_t kMaxZipEntries = 1'000'000;

struct ZipEntry {
  std::string name;
  bool compressed = false;  // then the bytes at `offset` are of no use
  uint64_t offset = 0;      // of the contents, from the start of the file
  uint64_t size_bytes = 0;  // of the contents as stored
};

// By offset; no two share bytes, no name comes twice, and every name is a relative path without "..". kDataLoss for archives
// that are damaged, cut short, encrypted, in several volumes, or that contradict themselves. Allocates no more than the
// directory's own size a few times over.
Result<std::vector<ZipEntry>> ReadZipArchive(std::span<const std::byte> file);

}  // namespace mlos::convert
