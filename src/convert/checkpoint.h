// SPDX-License-Identifier: Apache-2.0
// The tensors of a checkpoint folder: one file, or shards with their index; safetensors or PyTorch (torch/torch_file.h).
// Headers are read once; the files stay mapped, so that only what is looked at is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "convert/safetensors.h"
#include "os/mapped_file.h"

namespace mlos::convert {

// A tensor and the file it is in (index into Checkpoint::files()).
struct CheckpointTensor {
  TensorEntry entry;
  size_t file = 0;
};

class Checkpoint {
 public:
  // Tensors of `root`/`folder` ("" = root itself), named `name_prefix` + their name in the file; which files, FindWeightFiles
  // says. kNotFound when the folder has no weights; kDataLoss when a shard is missing or lies; kPermissionDenied when a pickle
  // is an attack. May be called for several folders; a name may come once only.
  Status Add(const std::filesystem::path& root, const std::string& folder, const std::string& name_prefix);
  // The tensors of one file, relative to root.
  Status AddFile(const std::filesystem::path& root, const std::string& file, const std::string& name_prefix);

  // Null when there is none. Valid as long as the Checkpoint.
  const CheckpointTensor* Find(std::string_view name) const;
  const std::map<std::string, CheckpointTensor, std::less<>>& tensors() const { return tensors_; }
  // Relative to root, with '/'.
  const std::vector<std::string>& files() const { return files_; }
  // The bytes of a tensor in row-major order: in the file, or gathered once when it has strides. Not for several threads.
  std::span<const std::byte> Bytes(const CheckpointTensor& tensor) const;

 private:
  Status AddShards(const std::filesystem::path& root, const std::string& folder, const std::string& index,
                   const std::string& name_prefix);
  Status AddFile(const std::filesystem::path& root, const std::string& file, const std::string& name_prefix,
                 const std::map<std::string, std::string>* shard_of);

  std::map<std::string, CheckpointTensor, std::less<>> tensors_;
  std::vector<std::string> files_;
  std::vector<os::MappedFile> mapped_;
  mutable std::map<const CheckpointTensor*, std::vector<std::byte>> gathered_;
};

// "weight_map" of an index: tensor name -> file name. Only plain names with that ending are accepted; kDataLoss otherwise.
Result<std::map<std::string, std::string>> ParseShardIndex(std::string_view json,
                                                           std::string_view suffix = ".safetensors");

}  // namespace mlos::convert
