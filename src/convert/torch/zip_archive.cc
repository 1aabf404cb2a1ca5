// SPDX-License-Identifier: Apache-2.0
#include "convert/torch/zip_archive.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "convert/torch/bytes.h"

namespace mlos::convert {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kEntrySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocator64Bytes = 20;
constexpr size_t kLocalBytes = 30;
constexpr size_t kEntryBytes = 46;
constexpr size_t kMaxComment = 65'535;
constexpr uint16_t kEncrypted = 1U << 0U;
constexpr uint16_t kSizesFollow = 1U << 3U;
constexpr uint16_t kStrongEncryption = 1U << 6U;
constexpr uint16_t kMaskedHeaders = 1U << 13U;
constexpr uint16_t kStored = 0;
constexpr uint16_t kZip64Extra = 1;
constexpr uint16_t kIn64 = 0xFFFF;
constexpr uint32_t kIn64Wide = 0xFFFFFFFF;

Status Damaged(const std::string& what) { return DataLoss("zip archive: " + what); }

Status DamagedEntry(std::string_view name, const std::string& what) {
  return Damaged("entry '" + std::string(name) + "' " + what);
}

uint32_t SignatureAt(Bytes file, uint64_t at) {
  return at > file.size() ? 0 : ByteReader(file.subspan(static_cast<size_t>(at))).Read<uint32_t>();
}

// Where the end record is: the only one whose comment ends with the file.
Result<size_t> FindEnd(Bytes file) {
  if (file.size() < kEndBytes) return Damaged("the file is too short for one");
  const size_t last = file.size() - kEndBytes;
  const size_t first = last > kMaxComment ? last - kMaxComment : 0;
  std::optional<size_t> found;
  for (size_t at = first; at <= last; ++at) {
    if (SignatureAt(file, at) != kEndSignature) continue;
    ByteReader comment(file.subspan(at + 20));
    if (comment.Read<uint16_t>() != file.size() - at - kEndBytes) continue;
    if (found) return Damaged("it has two ends");
    found = at;
  }
  if (!found) return Damaged("its directory is missing at the end (cut short?)");
  return *found;
}

struct Directory {
  uint64_t entries = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
  uint64_t end = 0;  // where the records behind it begin
};

// What the 64-bit record says must be what the 32-bit one says, where that one has room for it.
bool Agree(uint64_t narrow, uint64_t limit, uint64_t wide) { return narrow == limit || narrow == wide; }

Status ReadEnd64(Bytes file, size_t end, Directory* directory) {
  const size_t locator_at = end - kLocator64Bytes;
  ByteReader locator(file.subspan(locator_at + 4));
  const auto volume = locator.Read<uint32_t>();
  const auto at = locator.Read<uint64_t>();
  const auto volumes = locator.Read<uint32_t>();
  if (volume != 0 || volumes > 1) return Damaged("it is one volume of several");
  if (!RangeFits(at, kEnd64Bytes, locator_at) || SignatureAt(file, at) != kEnd64Signature)
    return Damaged("its 64-bit end record is missing");
  ByteReader record(file.subspan(static_cast<size_t>(at) + 4));
  const auto record_bytes = record.Read<uint64_t>();
  if (record_bytes != locator_at - at - 12) return Damaged("its 64-bit end record has another length");
  record.Take(4);
  if (record.Read<uint32_t>() != 0 || record.Read<uint32_t>() != 0)
    return Damaged("it is one volume of several");
  const auto entries_here = record.Read<uint64_t>();
  const Directory wide = {record.Read<uint64_t>(), record.Read<uint64_t>(), record.Read<uint64_t>(), at};
  if (entries_here != wide.entries) return Damaged("it is one volume of several");
  if (!Agree(directory->entries, kIn64, wide.entries) || !Agree(directory->size, kIn64Wide, wide.size) ||
      !Agree(directory->offset, kIn64Wide, wide.offset))
    return Damaged("its two end records contradict each other");
  *directory = wide;
  return OkStatus();
}

Result<Directory> FindDirectory(Bytes file) {
  MLOS_ASSIGN_OR_RETURN(const size_t end, FindEnd(file));
  ByteReader reader(file.subspan(end + 4));
  const auto volume = reader.Read<uint16_t>();
  const auto directory_volume = reader.Read<uint16_t>();
  const auto entries_here = reader.Read<uint16_t>();
  Directory directory;
  directory.entries = reader.Read<uint16_t>();
  directory.size = reader.Read<uint32_t>();
  directory.offset = reader.Read<uint32_t>();
  directory.end = end;
  if (volume != 0 || directory_volume != 0 || entries_here != directory.entries)
    return Damaged("it is one volume of several");
  const bool has_64 =
      end >= kLocator64Bytes && SignatureAt(file, end - kLocator64Bytes) == kLocator64Signature;
  if (has_64) MLOS_RETURN_IF_ERROR(ReadEnd64(file, end, &directory));
  if (!RangeFits(directory.offset, directory.size, directory.end) ||
      directory.offset + directory.size != directory.end)
    return Damaged("its directory is not where its end record says");
  if (directory.entries > kMaxZipEntries || directory.entries > directory.size / kEntryBytes)
    return Damaged("it says it has " + std::to_string(directory.entries) + " entries");
  return directory;
}

Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > 4096) return Damaged("an entry has no usable name");
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '\\') return Damaged("an entry's name has a forbidden character");
  }
  std::string_view rest = name;
  while (true) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    const bool folder_end = slash == std::string_view::npos && part.empty() && rest.data() != name.data();
    if (part == ".." || part == "." || (part.empty() && !folder_end))
      return DamagedEntry(name, "points outside the archive");
    if (slash == std::string_view::npos) return OkStatus();
    rest = rest.substr(slash + 1);
  }
}

// The fields of a directory entry, 64-bit ones resolved.
struct Entry {
  std::string_view name;
  uint16_t flags = 0;
  uint16_t method = 0;
  uint64_t packed = 0;
  uint64_t unpacked = 0;
  uint64_t header = 0;
};

// Values that do not fit 32 bits are in the extra field, in this order, only those.
Status ReadZip64Extra(Bytes extra, Entry* entry) {
  const bool wanted =
      entry->unpacked == kIn64Wide || entry->packed == kIn64Wide || entry->header == kIn64Wide;
  bool seen = false;
  ByteReader reader(extra);
  while (reader.position() < extra.size()) {
    const auto id = reader.Read<uint16_t>();
    const auto size = reader.Read<uint16_t>();
    ByteReader field(reader.Take(size));
    if (reader.failed()) return DamagedEntry(entry->name, "has a damaged extra field");
    if (id != kZip64Extra) continue;
    if (seen) return DamagedEntry(entry->name, "has its 64-bit sizes twice");
    seen = true;
    for (uint64_t* value : {&entry->unpacked, &entry->packed, &entry->header}) {
      if (*value == kIn64Wide) *value = field.Read<uint64_t>();
    }
    if (field.failed()) return DamagedEntry(entry->name, "has damaged 64-bit sizes");
  }
  if (wanted && !seen) return DamagedEntry(entry->name, "has no 64-bit sizes");
  return OkStatus();
}

Result<Entry> ReadEntry(ByteReader* reader) {
  Entry entry;
  if (reader->Read<uint32_t>() != kEntrySignature) return Damaged("its directory is damaged");
  reader->Take(4);
  entry.flags = reader->Read<uint16_t>();
  entry.method = reader->Read<uint16_t>();
  reader->Take(8);
  entry.packed = reader->Read<uint32_t>();
  entry.unpacked = reader->Read<uint32_t>();
  const auto name_bytes = reader->Read<uint16_t>();
  const auto extra_bytes = reader->Read<uint16_t>();
  const auto comment_bytes = reader->Read<uint16_t>();
  const auto volume = reader->Read<uint16_t>();
  reader->Take(6);
  entry.header = reader->Read<uint32_t>();
  entry.name = reader->TakeText(name_bytes);
  const Bytes extra = reader->Take(extra_bytes);
  reader->Take(comment_bytes);
  if (reader->failed()) return Damaged("its directory is cut short");
  MLOS_RETURN_IF_ERROR(CheckName(entry.name));
  if (volume != 0) return Damaged("it is one volume of several");
  if ((entry.flags & (kEncrypted | kStrongEncryption | kMaskedHeaders)) != 0)
    return DamagedEntry(entry.name, "is encrypted");
  MLOS_RETURN_IF_ERROR(ReadZip64Extra(extra, &entry));
  if (entry.method == kStored && entry.packed != entry.unpacked)
    return DamagedEntry(entry.name, "is stored, but has two sizes");
  return entry;
}

// The copy of the entry that stands before its contents.
Result<ZipEntry> ReadLocal(Bytes file, const Entry& entry, uint64_t directory_offset) {
  if (!RangeFits(entry.header, kLocalBytes, directory_offset) ||
      SignatureAt(file, entry.header) != kLocalSignature)
    return DamagedEntry(entry.name, "is not where the directory says");
  ByteReader local(file.subspan(static_cast<size_t>(entry.header) + 6));
  const auto flags = local.Read<uint16_t>();
  const auto method = local.Read<uint16_t>();
  local.Take(8);
  const auto packed = local.Read<uint32_t>();
  const auto unpacked = local.Read<uint32_t>();
  const auto name_bytes = local.Read<uint16_t>();
  const auto extra_bytes = local.Read<uint16_t>();
  if (local.TakeText(name_bytes) != entry.name || method != entry.method || flags != entry.flags)
    return DamagedEntry(entry.name, "is described in two different ways");
  const bool later = (flags & kSizesFollow) != 0 && packed == 0 && unpacked == 0;
  if (!later && (!Agree(packed, kIn64Wide, entry.packed) || !Agree(unpacked, kIn64Wide, entry.unpacked)))
    return DamagedEntry(entry.name, "has two different sizes");
  ZipEntry out;
  out.name = entry.name;
  out.compressed = entry.method != kStored;
  out.offset = entry.header + kLocalBytes + name_bytes + extra_bytes;
  out.size_bytes = entry.packed;
  if (!RangeFits(out.offset, out.size_bytes, directory_offset))
    return DamagedEntry(entry.name, "reaches into the directory or beyond the file (cut short?)");
  return out;
}

}  // namespace

Result<std::vector<ZipEntry>> ReadZipArchive(Bytes file) {
  MLOS_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(file));
  const Bytes listing =
      file.subspan(static_cast<size_t>(directory.offset), static_cast<size_t>(directory.size));
  ByteReader reader(listing);
  struct Placed {
    uint64_t header;
    ZipEntry entry;
  };
  std::vector<Placed> placed;
  std::unordered_set<std::string_view> names;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    MLOS_ASSIGN_OR_RETURN(const Entry entry, ReadEntry(&reader));
    if (!names.insert(entry.name).second) return DamagedEntry(entry.name, "is there twice");
    MLOS_ASSIGN_OR_RETURN(ZipEntry local, ReadLocal(file, entry, directory.offset));
    placed.push_back({entry.header, std::move(local)});
  }
  if (reader.position() != listing.size()) return Damaged("its directory has more than its entries");
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.header < b.header; });
  std::vector<ZipEntry> entries;
  uint64_t free_from = 0;
  for (Placed& item : placed) {
    if (item.header < free_from) return DamagedEntry(item.entry.name, "shares bytes with another entry");
    free_from = item.entry.offset + item.entry.size_bytes;
    entries.push_back(std::move(item.entry));
  }
  return entries;
}

}  // namespace mlos::convert
