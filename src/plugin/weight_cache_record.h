// SPDX-License-Identifier: Apache-2.0
// The record of an entry of the weight cache as the host reads and writes it. docs/formats/weight-cache.md is the grammar;
// plugins/onnxruntime/cache_entry.h is the plugin's side of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "os/file.h"

namespace mlos::plugin {

// A file the entry was made from.
struct CacheSource {
  uint64_t size_bytes = 0;
  int64_t modified_unix_ns = 0;
  uint64_t inode = 0;
  std::string digest;  // 16 digits, "-" = not taken
  std::string name;    // relative to the folder of the graph
};

// A file of the entry.
struct CacheFile {
  uint64_t size_bytes = 0;
  int64_t modified_unix_ns = 0;
  int64_t changed_unix_ns = 0;
  uint64_t inode = 0;
  uint64_t digest = 0;
  std::string name;

  bool Matches(const os::FileInfo& info) const;
  void Restamp(const os::FileInfo& info);
};

struct CacheRecord {
  std::string facts;  // the lines that say what it was made from, as they stand
  std::vector<CacheSource> sources;
  std::string unusable;  // why the model cannot be cached; then there are no files
  std::vector<CacheFile> files;
};

// kInvalidArgument, with the line, for what is no record.
Result<CacheRecord> ParseCacheRecord(std::string_view text);
std::string FormatCacheRecord(const CacheRecord& record);

// The folder that an entry with these facts has.
std::string CacheEntryName(std::string_view facts);
// Whether this can be the name of an entry's folder.
bool IsCacheEntryName(std::string_view name);

}  // namespace mlos::plugin
