// SPDX-License-Identifier: Apache-2.0
#include "convert/checkpoint.h"

#include <set>
#include <utility>

#include <simdjson.h>

#include "convert/strided.h"
#include "convert/torch/torch_file.h"
#include "convert/weight_files.h"
#include "os/file.h"

namespace mlos::convert {
namespace {

namespace dom = simdjson::dom;

constexpr uint64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShards = 10'000;

Status Damaged(std::string what) { return DataLoss("index of the shards: " + std::move(what)); }

std::string Join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

// The header of either kind of file.
Result<std::vector<TensorEntry>> ReadHeader(const std::string& file, std::span<const std::byte> bytes) {
  if (!file.ends_with(".safetensors") && LooksLikeTorchFile(bytes)) {
    MLOS_ASSIGN_OR_RETURN(std::vector<TorchTensor> tensors, ReadTorchFile(bytes));
    std::vector<TensorEntry> entries;
    for (TorchTensor& t : tensors) {
      entries.push_back(
          {std::move(t.name), t.dtype, std::move(t.shape), t.offset, t.size_bytes, std::move(t.strides)});
    }
    return entries;
  }
  // A pickle of something else, an archive, a tar file: the reader of PyTorch's says what is wrong with it.
  if (!file.ends_with(".safetensors")) return ReadTorchFile(bytes).status();
  MLOS_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensors(bytes));
  return std::move(header.tensors);
}

}  // namespace

Result<std::map<std::string, std::string>> ParseShardIndex(std::string_view json, std::string_view suffix) {
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
    if (!IsPlainFileName(file, suffix)) {
      return Damaged("'" + std::string(file) + "' is not the name of a " + std::string(suffix) +
                     " file in the same folder");
    }
    if (!shards.emplace(name, file).second) return Damaged("'" + std::string(name) + "' twice");
  }
  if (shards.empty()) return Damaged("'weight_map' is empty");
  return shards;
}

Status Checkpoint::Add(const std::filesystem::path& root, const std::string& folder,
                       const std::string& name_prefix) {
  MLOS_ASSIGN_OR_RETURN(const WeightFiles weights, FindWeightFiles(root / folder));
  if (!weights.index.empty()) return AddShards(root, folder, weights.index, name_prefix);
  return AddFile(root, Join(folder, weights.files.front()), name_prefix);
}

Status Checkpoint::AddShards(const std::filesystem::path& root, const std::string& folder,
                             const std::string& index, const std::string& name_prefix) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(root / Join(folder, index), kMaxIndexBytes));
  const Result<std::map<std::string, std::string>> shards =
      ParseShardIndex(json, index.starts_with("pytorch") ? ".bin" : ".safetensors");
  if (!shards.ok()) return shards.status().WithContext(Join(folder, index));
  const auto& shard_of = *shards;
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
                           const std::string& name_prefix) {
  return AddFile(root, file, name_prefix, nullptr);
}

Status Checkpoint::AddFile(const std::filesystem::path& root, const std::string& file,
                           const std::string& name_prefix,
                           const std::map<std::string, std::string>* shard_of) {
  MLOS_ASSIGN_OR_RETURN(os::MappedFile mapped, os::MappedFile::Open(root / file));
  Result<std::vector<TensorEntry>> entries = ReadHeader(file, mapped.bytes());
  if (!entries.ok()) return entries.status().WithContext(file);
  for (TensorEntry& entry : *entries) {
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
  const TensorEntry& entry = tensor.entry;
  if (entry.strides.empty()) return mapped_[tensor.file].bytes().subspan(entry.offset, entry.size_bytes);
  std::vector<std::byte>& gathered = gathered_[&tensor];
  if (gathered.size() != entry.size_bytes) {
    gathered.resize(entry.size_bytes);
    StridedReader(mapped_[tensor.file].bytes().subspan(entry.offset), entry.shape, entry.strides,
                  DTypeSize(entry.dtype))
        .Read(gathered);
  }
  return gathered;
}

}  // namespace mlos::convert
