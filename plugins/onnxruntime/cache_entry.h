// SPDX-License-Identifier: Apache-2.0
// The record in each folder of the weight cache (docs/formats/weight-cache.md): what the entry was made from, and its files.
//
//   record   = facts verdict
//   facts    = "mlos-weight-cache 1\n" "engine " text "\n" "cpu " text "\n" "options " text "\n" 1*source
//   source   = "source " size " " mtime_ns " " inode " " digest " " path "\n"         digest "-" = not taken
//   verdict  = 1*file / "unusable " text "\n"
//   file     = "file " size " " mtime_ns " " ctime_ns " " inode " " digest " " name "\n"
//
// Numbers are decimal, digests 16 hexadecimal digits, texts hold no line break.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlos_ort {

// One file as the file system knows it. Writing to a file, however that is done, changes one of these.
struct Stamp {
  uint64_t size = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  uint64_t inode = 0;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

struct CachedFile {
  std::string name;
  Stamp stamp;
  uint64_t digest = 0;
  friend bool operator==(const CachedFile&, const CachedFile&) = default;
};

struct CacheEntry {
  std::string facts;
  std::string unusable;  // why this model cannot be cached; then there are no files
  std::vector<CachedFile> files;
  friend bool operator==(const CacheEntry&, const CacheEntry&) = default;
};

std::string FormatEntry(const CacheEntry& entry);

// False when the text is no record as FormatEntry writes it; *out is then not to be used.
bool ParseEntry(std::string_view text, CacheEntry* out);

}  // namespace mlos_ort
