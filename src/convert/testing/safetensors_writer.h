// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files for tests: valid ones, and ones whose header length is chosen (to misalign the data).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "convert/safetensors.h"

namespace mlos::convert {

struct TensorToWrite {
  std::string name;
  std::string dtype;  // as in the file: "F32"
  Shape shape;
  std::string bytes;
};

// `header` and then `data`, with a length that is right.
inline std::string SafetensorsBytes(std::string_view header, std::string_view data) {
  std::string out;
  for (int shift = 0; shift < 64; shift += 8)
    out.push_back(static_cast<char>(static_cast<uint64_t>(header.size()) >> shift & 0xFF));
  out += header;
  out += data;
  return out;
}

// The header is padded with spaces to a multiple of 8 bytes, plus `misalign` more.
inline std::string SafetensorsBytes(const std::vector<TensorToWrite>& tensors, size_t misalign = 0) {
  JsonWriter json;
  std::string data;
  json.BeginObject();
  for (const TensorToWrite& tensor : tensors) {
    json.Key(tensor.name).BeginObject().Key("dtype").String(tensor.dtype).Key("shape").BeginArray();
    for (const int64_t size : tensor.shape) json.Int(size);
    json.EndArray().Key("data_offsets").BeginArray().Uint(data.size());
    data += tensor.bytes;
    json.Uint(data.size()).EndArray().EndObject();
  }
  json.EndObject();
  std::string header = std::move(json).Take();
  header.append((8 - header.size() % 8) % 8 + misalign, ' ');
  return SafetensorsBytes(header, data);
}

inline void WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace mlos::convert
