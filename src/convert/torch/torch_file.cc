// SPDX-License-Identifier: Apache-2.0
#include "convert/torch/torch_file.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/checked.h"
#include "convert/torch/bytes.h"
#include "convert/torch/pickle.h"
#include "convert/torch/state_dict.h"
#include "convert/torch/zip_archive.h"

namespace mlos::convert {
namespace {

using Bytes = std::span<const std::byte>;
using Kind = PickleNode::Kind;
using namespace std::string_view_literals;

// 0x1950a86a20f9469cfc6c, as LONG1 writes it.
constexpr std::string_view kLegacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
constexpr int64_t kLegacyProtocol = 1001;
constexpr uint64_t kStridedAllowance = 64U << 20U;

Status Damaged(const std::string& what) { return DataLoss("PyTorch checkpoint: " + what); }

std::string_view TextOf(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

bool IsRowMajor(const StoredTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] == 0) return true;
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Where each storage begins, by key.
using StorageOffsets = std::unordered_map<std::string_view, uint64_t>;

Result<std::vector<TorchTensor>> Locate(std::vector<StoredTensor> stored, const StorageOffsets& offsets,
                                        uint64_t file_bytes) {
  std::vector<TorchTensor> tensors;
  uint64_t strided_bytes = 0;
  for (StoredTensor& from : stored) {
    const auto storage = offsets.find(from.storage.key);
    if (storage == offsets.end())
      return Damaged("tensor '" + from.name + "' lies in storage '" + std::string(from.storage.key) +
                     "', which the file does not have");
    TorchTensor tensor;
    tensor.offset = storage->second + from.storage_offset * DTypeSize(from.dtype);
    tensor.size_bytes = TensorBytes(from.dtype, from.shape).value_or(0);
    if (!IsRowMajor(from)) {
      tensor.strides = std::move(from.strides);
      strided_bytes += std::min(tensor.size_bytes, uint64_t{1} << 62U);
      // A stride of 0 makes a terabyte of four bytes.
      if (strided_bytes > 2 * file_bytes + kStridedAllowance)
        return TooLarge("PyTorch checkpoint: its strided tensors would take " +
                        std::to_string(strided_bytes) + " bytes, the file has " + std::to_string(file_bytes));
    }
    tensor.name = std::move(from.name);
    tensor.dtype = from.dtype;
    tensor.shape = std::move(from.shape);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// The entry ROOT/data.pkl, of which there must be one, and none below other folders.
Result<const ZipEntry*> FindPickle(const std::vector<ZipEntry>& entries) {
  const ZipEntry* found = nullptr;
  for (const ZipEntry& entry : entries) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash) != "/data.pkl") continue;
    if (found != nullptr) return Damaged("the archive holds two checkpoints");
    found = &entry;
  }
  if (found == nullptr) return Damaged("the archive has no data.pkl: it is a zip file, but no checkpoint");
  return found;
}

Status CheckByteOrder(Bytes file, const ZipEntry& entry) {
  if (entry.compressed || TextOf(file.subspan(entry.offset, entry.size_bytes)) != "little") {
    return Unimplemented("PyTorch checkpoint: it was written on a big-endian machine");
  }
  return OkStatus();
}

Result<std::vector<TorchTensor>> ReadZip(Bytes file) {
  MLOS_ASSIGN_OR_RETURN(const std::vector<ZipEntry> entries, ReadZipArchive(file));
  MLOS_ASSIGN_OR_RETURN(const ZipEntry* description, FindPickle(entries));
  const std::string root = description->name.substr(0, description->name.size() - "data.pkl"sv.size());
  const std::string data = root + "data/";
  std::unordered_map<std::string_view, const ZipEntry*> records;
  for (const ZipEntry& entry : entries) {
    const bool used = &entry == description || entry.name.starts_with(data);
    if (used && entry.compressed) {
      return Unimplemented("PyTorch checkpoint: entry '" + entry.name +
                           "' of the archive is compressed; torch.save does not do that");
    }
    if (entry.name == root + "byteorder") MLOS_RETURN_IF_ERROR(CheckByteOrder(file, entry));
    if (entry.name.starts_with(data))
      records.emplace(std::string_view(entry.name).substr(data.size()), &entry);
  }
  if (description->size_bytes > kMaxPickleBytes)
    return TooLarge("PyTorch checkpoint: data.pkl has " + std::to_string(description->size_bytes) + " bytes");
  size_t end = 0;
  MLOS_ASSIGN_OR_RETURN(const Pickle pickle,
                        Pickle::Read(file.subspan(description->offset, description->size_bytes), &end));
  if (end != description->size_bytes) return Damaged("data.pkl has bytes behind its end");
  MLOS_ASSIGN_OR_RETURN(std::vector<StoredTensor> stored, ReadStateDict(pickle));
  StorageOffsets offsets;
  for (const StoredTensor& tensor : stored) {
    const auto record = records.find(tensor.storage.key);
    if (record == records.end()) continue;
    if (record->second->size_bytes != tensor.storage.size_bytes) {
      return Damaged("storage '" + record->second->name + "' has " +
                     std::to_string(record->second->size_bytes) + " bytes, the pickle says " +
                     std::to_string(tensor.storage.size_bytes));
    }
    offsets.emplace(tensor.storage.key, record->second->offset);
  }
  return Locate(std::move(stored), offsets, file.size());
}

// Reads the pickles of a legacy file one after another.
class LegacyReader {
 public:
  explicit LegacyReader(Bytes file) : file_(file) {}

  Result<std::vector<TorchTensor>> Run() {
    MLOS_RETURN_IF_ERROR(CheckHead());
    MLOS_ASSIGN_OR_RETURN(const Pickle object, Next());
    MLOS_ASSIGN_OR_RETURN(std::vector<StoredTensor> stored, ReadStateDict(object));
    MLOS_ASSIGN_OR_RETURN(const Pickle keys, Next());
    MLOS_ASSIGN_OR_RETURN(const StorageOffsets offsets, FindStorages(object, keys));
    return Locate(std::move(stored), offsets, file_.size());
  }

 private:
  Result<Pickle> Next() {
    size_t end = 0;
    MLOS_ASSIGN_OR_RETURN(Pickle pickle, Pickle::Read(file_.subspan(position_), &end));
    position_ += end;
    return pickle;
  }

  Status CheckHead() {
    MLOS_ASSIGN_OR_RETURN(const Pickle magic, Next());
    if (magic.at(magic.root()).kind != Kind::kBigInt || magic.at(magic.root()).text != kLegacyMagic) {
      return Unimplemented("a pickle, but none of torch.save: not supported");
    }
    MLOS_ASSIGN_OR_RETURN(const Pickle protocol, Next());
    if (protocol.at(protocol.root()).kind != Kind::kInt ||
        protocol.at(protocol.root()).integer != kLegacyProtocol)
      return Unimplemented("PyTorch checkpoint: its protocol is not 1001");
    MLOS_ASSIGN_OR_RETURN(const Pickle machine, Next());
    const PickleRef little = machine.Lookup(machine.root(), "little_endian");
    if (little == kNoPickle || machine.at(little).kind != Kind::kBool || machine.at(little).integer != 1)
      return Unimplemented("PyTorch checkpoint: it was written on a big-endian machine");
    return OkStatus();
  }

  Result<StorageOffsets> FindStorages(const Pickle& object, const Pickle& keys) {
    std::map<std::string_view, TorchStorage> described;
    for (PickleRef ref = 0; ref < object.size(); ++ref) {
      if (object.at(ref).kind != Kind::kPersistent) continue;
      MLOS_ASSIGN_OR_RETURN(const TorchStorage storage, ReadStorage(object, ref));
      const auto [known, is_new] = described.emplace(storage.key, storage);
      if (!is_new && known->second.size_bytes != storage.size_bytes)
        return Damaged("storage '" + std::string(storage.key) + "' has two sizes");
    }
    StorageOffsets offsets;
    ByteReader reader(file_);
    reader.Take(position_);
    for (const PickleRef key : keys.Items(keys.root(), Kind::kList)) {
      const std::string_view name = keys.at(key).kind == Kind::kText ? keys.at(key).text : std::string_view();
      const auto storage = described.find(name);
      if (storage == described.end()) return Damaged("a storage that no tensor mentions");
      if (reader.Read<uint64_t>() != storage->second.element_count)
        return Damaged("storage '" + std::string(name) + "' has two sizes (cut short?)");
      if (!offsets.emplace(storage->first, reader.position()).second)
        return Damaged("storage '" + std::string(name) + "' is there twice");
      reader.Take(storage->second.size_bytes);
      if (reader.failed()) return Damaged("storage '" + std::string(name) + "' is cut short");
    }
    if (reader.position() != file_.size()) return Damaged("bytes at the end belong to no storage");
    return offsets;
  }

  const Bytes file_;
  size_t position_ = 0;
};

bool IsTar(std::string_view text) { return text.size() > 262 && text.substr(257, 5) == "ustar"; }

}  // namespace

bool LooksLikeTorchFile(Bytes file) {
  const std::string_view text = TextOf(file.first(std::min<size_t>(file.size(), 512)));
  return text.starts_with("PK\x03\x04") ||
         (text.size() > 13 && text[0] == '\x80' && text.substr(2).starts_with("\x8a\x0a"sv) &&
          text.substr(4).starts_with(kLegacyMagic));
}

Result<std::vector<TorchTensor>> ReadTorchFile(Bytes file) {
  const std::string_view text = TextOf(file.first(std::min<size_t>(file.size(), 512)));
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return ReadZip(file);
  if (IsTar(text)) return Unimplemented("PyTorch checkpoint: tar files of torch 0.1 are not supported");
  return LegacyReader(file).Run();
}

}  // namespace mlos::convert
