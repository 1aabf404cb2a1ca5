// SPDX-License-Identifier: Apache-2.0
#include "cache_entry.h"

#include <charconv>
#include <cinttypes>
#include <cstdio>

namespace mlos_ort {
namespace {

constexpr std::string_view kMagic = "mlos-weight-cache 1\n";
constexpr size_t kMaxFiles = 16;

// Up to the separator, which is taken away too. False when it is not there.
bool TakeUntil(std::string_view* text, char separator, std::string_view* part) {
  const size_t end = text->find(separator);
  if (end == std::string_view::npos) return false;
  *part = text->substr(0, end);
  text->remove_prefix(end + 1);
  return true;
}

template <typename T>
bool TakeNumber(std::string_view* line, T* out, int base = 10) {
  std::string_view part;
  if (!TakeUntil(line, ' ', &part)) return false;
  const auto [end, problem] = std::from_chars(part.data(), part.data() + part.size(), *out, base);
  return problem == std::errc() && end == part.data() + part.size();
}

// A plain file name: it is joined to the entry's folder.
bool IsName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

bool ParseFile(std::string_view line, CachedFile* out) {
  const bool ok = TakeNumber(&line, &out->stamp.size) && TakeNumber(&line, &out->stamp.mtime_ns) &&
                  TakeNumber(&line, &out->stamp.ctime_ns) && TakeNumber(&line, &out->stamp.inode) &&
                  TakeNumber(&line, &out->digest, 16);
  out->name = std::string(line);
  return ok && IsName(line);
}

}  // namespace

std::string FormatEntry(const CacheEntry& entry) {
  std::string out = entry.facts;
  if (!entry.unusable.empty()) {
    out += "unusable ";
    for (const char c : entry.unusable) out += c == '\n' || c == '\r' ? ' ' : c;
    return out + "\n";
  }
  for (const CachedFile& file : entry.files) {
    char numbers[160];
    std::snprintf(numbers, sizeof numbers,
                  "file %" PRIu64 " %" PRId64 " %" PRId64 " %" PRIu64 " %016" PRIx64 " ", file.stamp.size,
                  file.stamp.mtime_ns, file.stamp.ctime_ns, file.stamp.inode, file.digest);
    out += numbers + file.name + "\n";
  }
  return out;
}

bool ParseEntry(std::string_view text, CacheEntry* out) {
  *out = CacheEntry();
  if (!text.starts_with(kMagic) || text.back() != '\n') return false;
  std::string_view line;
  while (TakeUntil(&text, '\n', &line)) {
    if (!out->unusable.empty()) return false;
    if (line.starts_with("unusable ")) {
      out->unusable = std::string(line.substr(9));
      if (!out->files.empty() || out->unusable.empty()) return false;
    } else if (line.starts_with("file ")) {
      CachedFile file;
      if (out->files.size() == kMaxFiles || !ParseFile(line.substr(5), &file)) return false;
      out->files.push_back(std::move(file));
    } else {
      if (!out->files.empty()) return false;
      out->facts.append(line).push_back('\n');
    }
  }
  return !out->unusable.empty() || !out->files.empty();
}

}  // namespace mlos_ort
