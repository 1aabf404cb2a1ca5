// SPDX-License-Identifier: Apache-2.0
// Writes zip archives and pickles for tests, right ones and ones that lie in one place.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mlos::convert {

inline void AppendNumber(std::string* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

struct ZipEntryToWrite {
  std::string name;
  std::string bytes;
  // What the two copies of its description say, when that is not the truth.
  std::string local_name;
  uint16_t flags = 0;
  uint16_t method = 0;
  int64_t header_shift = 0;  // added to where the directory says the entry is
  int64_t size_shift = 0;    // added to the size in the directory
};

struct ZipToWrite {
  std::vector<ZipEntryToWrite> entries;
  size_t alignment = 64;  // of contents, by padding the extra field
  bool zip64 = false;     // sizes, offsets and the directory in 64-bit fields
  int64_t directory_shift = 0;
  int64_t entries_shift = 0;
};

inline std::string ZipBytes(const ZipToWrite& zip) {
  std::string out;
  std::string directory;
  for (const ZipEntryToWrite& entry : zip.entries) {
    const uint64_t header = out.size();
    const std::string& local = entry.local_name.empty() ? entry.name : entry.local_name;
    size_t padding = (zip.alignment - (header + 30 + local.size()) % zip.alignment) % zip.alignment;
    if (padding > 0 && padding < 4) padding += zip.alignment;
    AppendNumber(&out, 0x04034b50, 4);
    AppendNumber(&out, 45, 2);
    AppendNumber(&out, entry.flags, 2);
    AppendNumber(&out, entry.method, 2);
    AppendNumber(&out, 0, 8);
    AppendNumber(&out, entry.bytes.size(), 4);
    AppendNumber(&out, entry.bytes.size(), 4);
    AppendNumber(&out, local.size(), 2);
    AppendNumber(&out, padding, 2);
    out += local;
    if (padding > 0) {
      AppendNumber(&out, 0x4246, 2);
      AppendNumber(&out, padding - 4, 2);
      out.append(padding - 4, 'Z');
    }
    out += entry.bytes;

    const uint64_t size = entry.bytes.size() + static_cast<uint64_t>(entry.size_shift);
    const uint64_t offset = header + static_cast<uint64_t>(entry.header_shift);
    AppendNumber(&directory, 0x02014b50, 4);
    AppendNumber(&directory, 45, 2);
    AppendNumber(&directory, 45, 2);
    AppendNumber(&directory, entry.flags, 2);
    AppendNumber(&directory, entry.method, 2);
    AppendNumber(&directory, 0, 8);
    AppendNumber(&directory, zip.zip64 ? 0xFFFFFFFF : size, 4);
    AppendNumber(&directory, zip.zip64 ? 0xFFFFFFFF : size, 4);
    AppendNumber(&directory, entry.name.size(), 2);
    AppendNumber(&directory, zip.zip64 ? 28 : 0, 2);
    AppendNumber(&directory, 0, 2 + 2 + 2 + 4);
    AppendNumber(&directory, zip.zip64 ? 0xFFFFFFFF : offset, 4);
    directory += entry.name;
    if (zip.zip64) {
      AppendNumber(&directory, 1, 2);
      AppendNumber(&directory, 24, 2);
      AppendNumber(&directory, size, 8);
      AppendNumber(&directory, size, 8);
      AppendNumber(&directory, offset, 8);
    }
  }
  const uint64_t at = out.size() + static_cast<uint64_t>(zip.directory_shift);
  const uint64_t count = zip.entries.size() + static_cast<uint64_t>(zip.entries_shift);
  const uint64_t end64 = out.size() + directory.size();
  out += directory;
  if (zip.zip64) {
    AppendNumber(&out, 0x06064b50, 4);
    AppendNumber(&out, 44, 8);
    AppendNumber(&out, 45, 4);
    AppendNumber(&out, 0, 8);
    AppendNumber(&out, count, 8);
    AppendNumber(&out, count, 8);
    AppendNumber(&out, directory.size(), 8);
    AppendNumber(&out, at, 8);
    AppendNumber(&out, 0x07064b50, 4);
    AppendNumber(&out, 0, 4);
    AppendNumber(&out, end64, 8);
    AppendNumber(&out, 1, 4);
  }
  AppendNumber(&out, 0x06054b50, 4);
  AppendNumber(&out, 0, 4);
  AppendNumber(&out, zip.zip64 ? 0xFFFF : count, 2);
  AppendNumber(&out, zip.zip64 ? 0xFFFF : count, 2);
  AppendNumber(&out, zip.zip64 ? 0xFFFFFFFF : directory.size(), 4);
  AppendNumber(&out, zip.zip64 ? 0xFFFFFFFF : at, 4);
  AppendNumber(&out, 0, 2);
  return out;
}

// Pieces of pickles.
inline std::string PickleText(std::string_view text) {
  std::string out = "X";
  AppendNumber(&out, text.size(), 4);
  return out + std::string(text);
}
inline std::string PickleInt(int64_t value) {
  std::string out = "\x8a\x08";
  AppendNumber(&out, static_cast<uint64_t>(value), 8);
  return out;
}
inline std::string PickleInts(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t value : values) out += PickleInt(value);
  return out + "t";
}

struct PickledTensor {
  std::string name;
  std::string storage_type = "FloatStorage";
  std::string key = "0";
  int64_t storage_elements = 0;
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

inline std::string PickleTensor(const PickledTensor& tensor) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + PickleText("storage") + "ctorch\n" + tensor.storage_type +
         "\n" + PickleText(tensor.key) + PickleText("cpu") + PickleInt(tensor.storage_elements) + "tQ" +
         PickleInt(tensor.offset) + PickleInts(tensor.shape) + PickleInts(tensor.strides) + "\x89" +
         "ccollections\nOrderedDict\n)RtR";
}

// {name: tensor, ...} without protocol and STOP, to be put into something else.
inline std::string PickleDict(const std::vector<PickledTensor>& tensors) {
  std::string out = "}(";
  for (const PickledTensor& tensor : tensors) out += PickleText(tensor.name) + PickleTensor(tensor);
  return out + "u";
}

inline std::string Pickled(const std::string& value) { return "\x80\x02" + value + "."; }

// A file of torch.save: storages 0, 1, ... hold `storages`.
inline std::string TorchZip(const std::string& data_pkl, const std::vector<std::string>& storages,
                            const std::string& byte_order = "little") {
  ZipToWrite zip;
  zip.entries = {{"m/data.pkl", data_pkl}, {"m/byteorder", byte_order}};
  for (size_t i = 0; i < storages.size(); ++i)
    zip.entries.push_back({"m/data/" + std::to_string(i), storages[i]});
  zip.entries.push_back({"m/version", "3\n"});
  return ZipBytes(zip);
}

}  // namespace mlos::convert
