// SPDX-License-Identifier: Apache-2.0
#include "package/zip_directory.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/checked.h"
#include "package/byte_cursor.h"

namespace mlos::package {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint32_t kEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kLocator64 = 0x07064b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kMaxComment = 65'535;

Status Damaged(const std::string& what) { return DataLoss("damaged zip archive: " + what); }

uint32_t SignatureAt(Bytes file, size_t at) { return ByteCursor(file.subspan(at)).Read<uint32_t>(); }

// Where the end record is: the last one whose comment ends with the file.
std::optional<size_t> FindEnd(Bytes file) {
  if (file.size() < kEndBytes) return std::nullopt;
  const size_t last = file.size() - kEndBytes;
  const size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (size_t at = last + 1; at-- > first;) {
    if (SignatureAt(file, at) != kEnd) continue;
    ByteCursor comment(file.subspan(at + 20));
    if (comment.Read<uint16_t>() == file.size() - at - kEndBytes) return at;
  }
  return std::nullopt;
}

struct Directory {
  uint64_t entries = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
};

Result<Directory> FindDirectory(Bytes file) {
  const auto end = FindEnd(file);
  if (!end) return Damaged("its directory is missing at the end (cut short?)");
  ByteCursor cursor(file.subspan(*end + 10));
  Directory directory;
  directory.entries = cursor.Read<uint16_t>();
  directory.size = cursor.Read<uint32_t>();
  directory.offset = cursor.Read<uint32_t>();
  if (*end < kLocatorBytes || SignatureAt(file, *end - kLocatorBytes) != kLocator64) return directory;
  ByteCursor locator(file.subspan(*end - kLocatorBytes + 8));
  const auto at = locator.Read<uint64_t>();
  if (at > file.size() || SignatureAt(file, static_cast<size_t>(at)) != kEnd64)
    return Damaged("its zip64 record is missing");
  ByteCursor record(file.subspan(static_cast<size_t>(at)));
  record.Take(32);
  directory.entries = record.Read<uint64_t>();
  directory.size = record.Read<uint64_t>();
  directory.offset = record.Read<uint64_t>();
  if (record.failed()) return Damaged("its zip64 record is cut short");
  return directory;
}

}  // namespace

Result<std::vector<std::string_view>> ReadZipDirectory(Bytes file) {
  MLOS_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(file));
  if (!RangeFits(directory.offset, directory.size, file.size()))
    return Damaged("its directory lies outside the file");
  ByteCursor cursor(file.subspan(static_cast<size_t>(directory.offset), static_cast<size_t>(directory.size)));
  std::vector<std::string_view> names;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (cursor.Read<uint32_t>() != kEntry)
      return Damaged("entry " + std::to_string(i) + " of its directory is none");
    cursor.Take(24);
    const auto name_bytes = cursor.Read<uint16_t>();
    const auto extra_bytes = cursor.Read<uint16_t>();
    const auto comment_bytes = cursor.Read<uint16_t>();
    cursor.Take(12);
    names.push_back(cursor.TakeText(name_bytes));
    cursor.Take(uint64_t{extra_bytes} + comment_bytes);
    if (cursor.failed()) return Damaged("its directory is cut short");
  }
  return names;
}

}  // namespace mlos::package
