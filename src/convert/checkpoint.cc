// SPDX-License-Identifier: Apache-2.0
#include "convert/checkpoint.h"

#include <set>
#include <utility>

#include <simdjson.h>

#include "os/file.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;

constexpr char kWeights[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShards = 10'000;

Status Damaged(std::string what) { return DataLoss(std::string(kIndex) + ": " + std::move(what)); }

// A file beside the index and nothing else: no folders, no parent, nothing hidden or unprintable.
bool IsPlainFileName(std::string_view name) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (name.size() <= kSuffix.size() || name.size() > 255 || !name.ends_with(kSuffix) || name.front() == '.')
    return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '/' || c == '\\') return false;
  }
  return true;
}

std::string Join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

}  // namespace

Result<std::map<std::string, std::string>> ParseShardIndex(std::string_view json) {
  const simdjson::padded_string padded(json);
  dom::parser parser;
  dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS) {
    return Damaged(std::string("not valid JSON: ") + simdjson::error_message(error));
  }
  dom::object object;
  dom::object weight_map;
  if (root.get_object().get(object) != simdjson::SUCCESS ||
      object["weight_map"].get_object().get(weight_map) != simdjson::SUCCESS) {
    return Damaged("has no object 'weight_map'");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, value] : weight_map) {
    std::string_view file;
    if (value.get_string().get(file) != simdjson::SUCCESS)
      return Damaged("the file of '" + std::string(name) + "' is no string");
    if (!IsPlainFileName(file)) {
      return Damaged("'" + std::string(file) + "' is not the name of a .safetensors file in the same folder");
    }
    if (!shards.emplace(name, file).second) return Damaged("'" + std::string(name) + "' twice");
  }
  if (shards.empty()) return Damaged("'weight_map' is empty");
  return shards;
}

Status Checkpoint::Add(const std::filesystem::path& root, const std::string& folder,
                       const std::string& name_prefix) {
  const std::string single = Join(folder, kWeights);
  if (os::Exists(root / single)) return AddFile(root, single, name_prefix, nullptr);
  const std::string index = Join(folder, kIndex);
  if (!os::Exists(root / index)) {
    return NotFound("no " + single + " and no " + index + " in " + root.string());
  }
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(root / index, kMaxIndexBytes));
  MLOS_ASSIGN_OR_RETURN(const auto shard_of, ParseShardIndex(json));
  std::set<std::string> files;
  for (const auto& [name, file] : shard_of) files.insert(file);
  if (files.size() > kMaxShards) return Damaged("names " + std::to_string(files.size()) + " files");
  for (const std::string& file : files) {
    if (!os::Exists(root / Join(folder, file))) {
      return Damaged("file '" + file + "' is missing; install the model again");
    }
    MLOS_RETURN_IF_ERROR(AddFile(root, Join(folder, file), name_prefix, &shard_of));
  }
  for (const auto& [name, file] : shard_of) {
    if (Find(name_prefix + name) == nullptr) return Damaged("tensor '" + name + "' is not in '" + file + "'");
  }
  return OkStatus();
}

Status Checkpoint::AddFile(const std::filesystem::path& root, const std::string& file,
                           const std::string& name_prefix,
                           const std::map<std::string, std::string>* shard_of) {
  MLOS_ASSIGN_OR_RETURN(os::MappedFile mapped, os::MappedFile::Open(root / file));
  Result<SafetensorsHeader> header = ParseSafetensors(mapped.bytes());
  if (!header.ok()) return header.status().WithContext(file);
  for (TensorEntry& entry : header->tensors) {
    if (shard_of != nullptr) {
      const auto shard = shard_of->find(entry.name);
      if (shard == shard_of->end() || shard->second != std::filesystem::path(file).filename()) {
        return Damaged("does not say that tensor '" + entry.name + "' is in '" + file + "'");
      }
    }
    std::string name = name_prefix + entry.name;
    if (!tensors_.emplace(std::move(name), CheckpointTensor{std::move(entry), files_.size()}).second) {
      return DataLoss(file + ": a tensor of that name is in another file too: '" + entry.name + "'");
    }
  }
  files_.push_back(file);
  mapped_.push_back(std::move(mapped));
  return OkStatus();
}

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::span<const std::byte> Checkpoint::Bytes(const CheckpointTensor& tensor) const {
  return mapped_[tensor.file].bytes().subspan(tensor.entry.offset, tensor.entry.size_bytes);
}

}  // namespace mlos::convert
