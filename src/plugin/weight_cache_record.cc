// SPDX-License-Identifier: Apache-2.0
#include "plugin/weight_cache_record.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/xxh64.h"

namespace mlos::plugin {
namespace {

constexpr std::string_view kHead[] = {"mlos-weight-cache 1", "engine ", "cpu ", "options "};
constexpr size_t kMaxSources = 4096;
constexpr size_t kMaxFiles = 16;

// The fields of a line, the last of which may hold blanks.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  template <typename T>
  bool Number(T* out, int base = 10) {
    const std::string_view word = Word();
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), *out, base);
    return !word.empty() && problem == std::errc() && end == word.data() + word.size();
  }
  std::string_view Word() {
    const size_t end = rest_.find(' ');
    if (end == std::string_view::npos) return {};
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return word;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Stays inside the folder it is joined to.
bool IsInside(std::string_view name) {
  const std::filesystem::path path(name);
  if (name.empty() || path.is_absolute() || name.find('\0') != std::string_view::npos) return false;
  return std::ranges::none_of(path, [](const auto& part) { return part == ".."; });
}

bool IsPlain(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == name.npos;
}

std::optional<CacheSource> SourceOf(std::string_view line) {
  CacheSource out;
  Fields fields(line);
  if (!fields.Number(&out.size_bytes) || !fields.Number(&out.modified_unix_ns) || !fields.Number(&out.inode))
    return {};
  out.digest = fields.Word();
  out.name = fields.rest();
  if ((out.digest != "-" && !IsHex(out.digest, 16)) || !IsInside(out.name)) return {};
  return out;
}

std::optional<CacheFile> FileOf(std::string_view line) {
  CacheFile out;
  Fields fields(line);
  if (!fields.Number(&out.size_bytes) || !fields.Number(&out.modified_unix_ns) ||
      !fields.Number(&out.changed_unix_ns) || !fields.Number(&out.inode) || !fields.Number(&out.digest, 16)) {
    return {};
  }
  out.name = fields.rest();
  return IsPlain(out.name) ? std::optional(out) : std::nullopt;
}

// False when the line does not belong there.
bool AddLine(size_t number, std::string_view line, CacheRecord* out) {
  const bool verdict = !out->files.empty() || !out->unusable.empty();
  if (number < std::size(kHead)) {
    out->facts.append(line).push_back('\n');
    return number == 0 ? line == kHead[0] : line.starts_with(kHead[number]);
  }
  if (line.starts_with("source ")) {
    const auto source = SourceOf(line.substr(7));
    if (!source || verdict || out->sources.size() == kMaxSources) return false;
    out->sources.push_back(*source);
    out->facts.append(line).push_back('\n');
    return true;
  }
  if (line.starts_with("unusable ")) {
    out->unusable = line.substr(9);
    return !verdict && !out->unusable.empty();
  }
  if (!line.starts_with("file ") || !out->unusable.empty() || out->files.size() == kMaxFiles) return false;
  const auto file = FileOf(line.substr(5));
  if (file) out->files.push_back(*file);
  return file.has_value();
}

}  // namespace

bool CacheFile::Matches(const os::FileInfo& info) const {
  return info.is_regular && info.size_bytes == size_bytes && info.modified_unix_ns == modified_unix_ns &&
         info.changed_unix_ns == changed_unix_ns && info.inode == inode;
}

void CacheFile::Restamp(const os::FileInfo& info) {
  size_bytes = info.size_bytes;
  modified_unix_ns = info.modified_unix_ns;
  changed_unix_ns = info.changed_unix_ns;
  inode = info.inode;
}

Result<CacheRecord> ParseCacheRecord(std::string_view text) {
  CacheRecord out;
  for (size_t number = 0; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos || !AddLine(number, text.substr(0, end), &out)) {
      return InvalidArgument("line " + std::to_string(number + 1) +
                             " of the record is not what belongs there");
    }
    text.remove_prefix(end + 1);
  }
  if (out.sources.empty() || (out.files.empty() && out.unusable.empty())) {
    return InvalidArgument("the record ends too early");
  }
  return out;
}

std::string FormatCacheRecord(const CacheRecord& record) {
  std::string out = record.facts;
  if (!record.unusable.empty()) return out + "unusable " + record.unusable + "\n";
  for (const CacheFile& file : record.files) {
    out += "file " + std::to_string(file.size_bytes) + " " + std::to_string(file.modified_unix_ns) + " " +
           std::to_string(file.changed_unix_ns) + " " + std::to_string(file.inode) + " " +
           HexOf(file.digest) + " " + file.name + "\n";
  }
  return out;
}

std::string CacheEntryName(std::string_view facts) { return HexOf(Xxh64(facts, 0)) + HexOf(Xxh64(facts, 1)); }

bool IsCacheEntryName(std::string_view name) { return IsHex(name, 32); }

}  // namespace mlos::plugin
