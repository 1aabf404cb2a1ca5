// SPDX-License-Identifier: Apache-2.0
#include "package/safetensors_file.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "package/byte_cursor.h"
#include "package/path.h"

namespace mlos::package {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

struct Element {
  std::string_view name;
  uint64_t bits;
};
constexpr std::array<Element, 20> kElements = {
    {{"F64", 64},    {"I64", 64},    {"U64", 64},    {"C64", 64}, {"F32", 32},    {"I32", 32},   {"U32", 32},
     {"F16", 16},    {"BF16", 16},   {"I16", 16},    {"U16", 16}, {"I8", 8},      {"U8", 8},     {"BOOL", 8},
     {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}}};

Status Damaged(const std::string& what) { return DataLoss("damaged safetensors file: " + what); }

// One tensor of the header.
class Entry {
 public:
  static Result<Entry> Read(std::string_view name, simdjson::dom::element value) {
    Entry entry;
    const std::string who = "tensor '" + Printable(name) + "' ";
    std::string_view dtype;
    simdjson::dom::array shape, offsets;
    if (value["dtype"].get(dtype) != simdjson::SUCCESS || value["shape"].get(shape) != simdjson::SUCCESS ||
        value["data_offsets"].get(offsets) != simdjson::SUCCESS) {
      return Damaged(who + "lacks dtype, shape or data_offsets");
    }
    std::optional<uint64_t> elements = 1;
    for (const simdjson::dom::element dim : shape) {
      uint64_t size = 0;
      if (dim.get(size) != simdjson::SUCCESS)
        return Damaged(who + "has a shape that is no list of whole numbers");
      elements = elements ? CheckedMul(*elements, size) : std::nullopt;
    }
    if (offsets.size() != 2 || offsets.at(0).get(entry.begin) != simdjson::SUCCESS ||
        offsets.at(1).get(entry.end) != simdjson::SUCCESS || entry.begin > entry.end) {
      return Damaged(who + "has data_offsets that are no begin and end");
    }
    if (!elements) return Damaged(who + "has a shape that overflows");
    entry.elements = *elements;
    const auto known =
        std::find_if(kElements.begin(), kElements.end(), [&](const Element& e) { return e.name == dtype; });
    if (known == kElements.end()) return Damaged(who + "has the unknown dtype '" + Printable(dtype) + "'");
    const auto bits = CheckedMul(entry.elements, known->bits);
    if (!bits || *bits % 8 != 0 || *bits / 8 != entry.end - entry.begin) {
      return Damaged(who + "has " + std::to_string(entry.end - entry.begin) +
                     " bytes, its shape and dtype need " +
                     (bits ? std::to_string(*bits / 8) : "more than there are"));
    }
    return entry;
  }

  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t elements = 0;
};

}  // namespace

bool LooksLikeSafetensors(std::span<const std::byte> file) {
  ByteCursor cursor(file);
  const auto length = cursor.Read<uint64_t>();
  return cursor.TakeText(1) == "{" && length >= 2 && length <= kMaxHeaderBytes;
}

Result<ModelFileInfo> InspectSafetensors(std::span<const std::byte> file) {
  ByteCursor cursor(file);
  const auto length = cursor.Read<uint64_t>();
  if (cursor.failed())
    return Damaged("it has " + std::to_string(file.size()) + " bytes, too few for a header");
  if (length > kMaxHeaderBytes)
    return Damaged("its header claims " + std::to_string(length) + " bytes, the limit is " +
                   std::to_string(kMaxHeaderBytes));
  if (length > cursor.rest())
    return Damaged("its header claims " + std::to_string(length) + " bytes, the file has " +
                   std::to_string(cursor.rest()) + " (cut short?)");
  const std::string_view json = cursor.TakeText(length);
  if (!json.starts_with('{')) return Damaged("its header does not start with '{'");
  simdjson::dom::parser parser;
  simdjson::dom::object header;
  if (const auto error = parser.parse(json.data(), json.size()).get(header); error != simdjson::SUCCESS) {
    return Damaged(std::string("its header is not JSON: ") + simdjson::error_message(error));
  }
  ModelFileInfo info;
  info.format = FileFormat::kSafetensors;
  std::set<std::string_view> names;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header) {
    if (!names.insert(name).second) return Damaged("'" + Printable(name) + "' is there twice");
    if (name == "__metadata__") continue;
    MLOS_ASSIGN_OR_RETURN(const Entry entry, Entry::Read(name, value));
    entries.push_back(entry);
    info.parameter_count = CheckedAdd(info.parameter_count, entry.elements).value_or(info.parameter_count);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end)
      return Damaged("its tensors overlap or leave a hole at byte " + std::to_string(end) + " of the data");
    end = entry.end;
  }
  if (end != cursor.rest()) {
    return Damaged("its tensors need " + std::to_string(end) + " bytes, the file has " +
                   std::to_string(cursor.rest()) + (end > cursor.rest() ? " (cut short?)" : ""));
  }
  return info;
}

}  // namespace mlos::package
