// SPDX-License-Identifier: Apache-2.0
#include "convert/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <simdjson.h>

#include "base/checked.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMaxRank = 16;

std::optional<DType> DTypeOf(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, DType>, 10> kNames = {{
      {"F64", DType::kFp64},
      {"F32", DType::kFp32},
      {"F16", DType::kFp16},
      {"BF16", DType::kBf16},
      {"I64", DType::kInt64},
      {"I32", DType::kInt32},
      {"I16", DType::kInt16},
      {"I8", DType::kInt8},
      {"U8", DType::kUint8},
      {"BOOL", DType::kBool},
  }};
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

Status Damaged(std::string_view what) { return DataLoss("safetensors: " + std::string(what)); }

Status DamagedTensor(std::string_view name, std::string_view what) {
  return Damaged("tensor '" + std::string(name) + "': " + std::string(what));
}

Result<Shape> ReadShape(std::string_view name, dom::element value) {
  dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return DamagedTensor(name, "shape is not a list");
  Shape shape;
  for (dom::element dimension : array) {
    uint64_t size = 0;
    if (dimension.get_uint64().get(size) != simdjson::SUCCESS || !std::in_range<int64_t>(size)) {
      return DamagedTensor(name, "shape has an entry that is not a size");
    }
    if (shape.size() == kMaxRank) return DamagedTensor(name, "more than 16 dimensions");
    shape.push_back(static_cast<int64_t>(size));
  }
  return shape;
}

// Begin and end inside the data section, which has `data_bytes` bytes.
Result<std::pair<uint64_t, uint64_t>> ReadOffsets(std::string_view name, dom::element value,
                                                  uint64_t data_bytes) {
  dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS || array.size() != 2) {
    return DamagedTensor(name, "data_offsets is not a list of two numbers");
  }
  uint64_t begin = 0;
  uint64_t end = 0;
  if (array.at(0).get_uint64().get(begin) != simdjson::SUCCESS ||
      array.at(1).get_uint64().get(end) != simdjson::SUCCESS) {
    return DamagedTensor(name, "data_offsets is not a list of two numbers");
  }
  if (begin > end) return DamagedTensor(name, "data_offsets end before they begin");
  if (end > data_bytes) {
    return DamagedTensor(name, "data_offsets reach " + std::to_string(end) + ", the file has " +
                                   std::to_string(data_bytes) + " bytes of data (cut short?)");
  }
  return std::pair(begin, end);
}

Result<TensorEntry> ReadEntry(std::string_view name, dom::element value, uint64_t data_begin,
                              uint64_t data_bytes) {
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return DamagedTensor(name, "not an object");
  TensorEntry entry;
  entry.name = name;
  std::pair<uint64_t, uint64_t> range;
  unsigned seen = 0;
  for (const auto& [key, field] : object) {
    unsigned bit = 0;
    if (key == "dtype") {
      bit = 1;
      std::string_view dtype;
      if (field.get_string().get(dtype) != simdjson::SUCCESS)
        return DamagedTensor(name, "dtype is not a string");
      const std::optional<DType> known = DTypeOf(dtype);
      if (!known) {
        return Unimplemented("safetensors: tensor '" + std::string(name) + "' has dtype " +
                             std::string(dtype) + "; supported are F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL");
      }
      entry.dtype = *known;
    } else if (key == "shape") {
      bit = 2;
      MLOS_ASSIGN_OR_RETURN(entry.shape, ReadShape(name, field));
    } else if (key == "data_offsets") {
      bit = 4;
      MLOS_ASSIGN_OR_RETURN(range, ReadOffsets(name, field, data_bytes));
    } else {
      return DamagedTensor(name, "unknown field '" + std::string(key) + "'");
    }
    if ((seen & bit) != 0) return DamagedTensor(name, "field '" + std::string(key) + "' twice");
    seen |= bit;
  }
  if (seen != 7) return DamagedTensor(name, "needs dtype, shape and data_offsets");
  entry.offset = data_begin + range.first;
  entry.size_bytes = range.second - range.first;
  const Result<size_t> bytes = TensorBytes(entry.dtype, entry.shape);
  if (!bytes.ok() || *bytes != entry.size_bytes) {
    return DamagedTensor(name, std::string(DTypeName(entry.dtype)) + " " + ShapeToString(entry.shape) +
                                   " does not take " + std::to_string(entry.size_bytes) + " bytes");
  }
  return entry;
}

Status ReadMetadata(dom::element value, std::map<std::string, std::string>* metadata) {
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return Damaged("__metadata__ is not an object");
  for (const auto& [key, field] : object) {
    std::string_view text;
    if (field.get_string().get(text) != simdjson::SUCCESS)
      return Damaged("__metadata__ holds something that is no string");
    if (!metadata->emplace(key, text).second)
      return Damaged("__metadata__ has '" + std::string(key) + "' twice");
  }
  return OkStatus();
}

// The regions must follow each other without holes or overlap from the first byte of data to the last.
Status CheckRegions(std::vector<TensorEntry>* tensors, uint64_t data_begin, uint64_t file_bytes) {
  std::sort(tensors->begin(), tensors->end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.size_bytes) < std::pair(b.offset, b.size_bytes);
  });
  uint64_t expected = data_begin;
  for (const TensorEntry& tensor : *tensors) {
    if (tensor.offset < expected) return DamagedTensor(tensor.name, "its bytes overlap another tensor's");
    if (tensor.offset > expected) return DamagedTensor(tensor.name, "bytes before it belong to no tensor");
    expected = tensor.offset + tensor.size_bytes;
  }
  if (expected != file_bytes) {
    return Damaged(std::to_string(file_bytes - expected) + " bytes at the end belong to no tensor");
  }
  return OkStatus();
}

Result<std::string_view> HeaderText(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes)
    return Damaged("the file has " + std::to_string(file.size()) + " bytes, fewer than a header");
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(file[i]) << (8 * i);
  if (length > kMaxSafetensorsHeaderBytes)
    return Damaged("header length " + std::to_string(length) + " is over 100 MB");
  if (!RangeFits(kLengthBytes, length, file.size())) {
    return Damaged("header length " + std::to_string(length) + " exceeds the file of " +
                   std::to_string(file.size()) + " bytes");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{') return Damaged("the header does not start with '{'");
  return text;
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensors(std::span<const std::byte> file) {
  MLOS_ASSIGN_OR_RETURN(const std::string_view text, HeaderText(file));
  const uint64_t data_begin = kLengthBytes + text.size();
  const uint64_t data_bytes = file.size() - data_begin;

  const simdjson::padded_string padded(text);
  dom::parser parser;
  dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS) {
    return Damaged(std::string("the header is not valid JSON: ") + simdjson::error_message(error));
  }
  dom::object object;
  if (root.get_object().get(object) != simdjson::SUCCESS) return Damaged("the header is not a JSON object");

  SafetensorsHeader header;
  std::unordered_set<std::string_view> names;
  for (const auto& [name, value] : object) {
    if (!names.insert(name).second) return Damaged("'" + std::string(name) + "' twice in the header");
    if (name == "__metadata__") {
      MLOS_RETURN_IF_ERROR(ReadMetadata(value, &header.metadata));
      continue;
    }
    MLOS_ASSIGN_OR_RETURN(TensorEntry entry, ReadEntry(name, value, data_begin, data_bytes));
    header.tensors.push_back(std::move(entry));
  }
  MLOS_RETURN_IF_ERROR(CheckRegions(&header.tensors, data_begin, file.size()));
  return header;
}

}  // namespace mlos::convert
