// SPDX-License-Identifier: Apache-2.0
#include "gguf_header.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "ggml.h"
#include "gguf.h"

namespace mlos::llama {
namespace {

constexpr uint64_t kMaxKeyBytes = 1024;
constexpr uint64_t kMaxStringBytes = 64 << 20;
constexpr uint64_t kMaxKeptIntegers = 4096;  // more than any model has layers
constexpr uint64_t kSmallestPair = 8 + 4 + 1;
constexpr uint64_t kSmallestTensor = 8 + 4 + 4 + 8;

Status Corrupt(const ByteSource& source, const std::string& what) {
  return Fail(SMI_CORRUPT, "damaged GGUF file: ", what, " (at byte ", source.position(), " of ",
              source.size(), ")");
}

template <typename T>
bool ReadNumber(ByteSource& source, T* value) {
  return source.Read(value, sizeof *value);
}

Status ReadString(ByteSource& source, uint64_t max_bytes, const char* what, std::string* text) {
  uint64_t size = 0;
  if (!ReadNumber(source, &size)) return Corrupt(source, std::string("the file ends inside ") + what);
  if (size > source.left()) return Corrupt(source, std::string(what) + " reaches beyond the end of the file");
  if (size > max_bytes)
    return Corrupt(source, std::string(what) + " is longer than " + std::to_string(max_bytes));
  text->resize(size);
  if (!source.Read(text->data(), size)) return Corrupt(source, std::string("cannot read ") + what);
  return Ok();
}

// Bytes of one element; 0 for strings, arrays and what is not a type.
uint64_t FixedSize(uint32_t type) {
  switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16:
      return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32:
      return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

template <typename Stored, typename Kept>
bool ReadAs(ByteSource& source, GgufValue* value) {
  Stored stored;
  if (!ReadNumber(source, &stored)) return false;
  *value = static_cast<Kept>(stored);
  return true;
}

bool ReadScalar(ByteSource& source, uint32_t type, GgufValue* value) {
  switch (type) {
    case GGUF_TYPE_UINT8:
      return ReadAs<uint8_t, uint64_t>(source, value);
    case GGUF_TYPE_INT8:
      return ReadAs<int8_t, int64_t>(source, value);
    case GGUF_TYPE_UINT16:
      return ReadAs<uint16_t, uint64_t>(source, value);
    case GGUF_TYPE_INT16:
      return ReadAs<int16_t, int64_t>(source, value);
    case GGUF_TYPE_UINT32:
      return ReadAs<uint32_t, uint64_t>(source, value);
    case GGUF_TYPE_INT32:
      return ReadAs<int32_t, int64_t>(source, value);
    case GGUF_TYPE_FLOAT32:
      return ReadAs<float, double>(source, value);
    case GGUF_TYPE_BOOL:
      return ReadAs<uint8_t, bool>(source, value);
    case GGUF_TYPE_UINT64:
      return ReadAs<uint64_t, uint64_t>(source, value);
    case GGUF_TYPE_INT64:
      return ReadAs<int64_t, int64_t>(source, value);
    case GGUF_TYPE_FLOAT64:
      return ReadAs<double, double>(source, value);
    default:
      return false;
  }
}

bool IsInteger(uint32_t type) {
  return FixedSize(type) != 0 && type != GGUF_TYPE_FLOAT32 && type != GGUF_TYPE_FLOAT64 &&
         type != GGUF_TYPE_BOOL;
}

Status ReadStringArray(ByteSource& source, const std::string& key, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t size = 0;
    if (!ReadNumber(source, &size) || size > kMaxStringBytes || !source.Skip(size)) {
      return Corrupt(source,
                     "'" + key + "' element " + std::to_string(i) + " reaches beyond the end of the file");
    }
  }
  return Ok();
}

Status ReadArray(ByteSource& source, const std::string& key, GgufValue* value) {
  uint32_t type = 0;
  GgufArray array;
  if (!ReadNumber(source, &type) || !ReadNumber(source, &array.count)) {
    return Corrupt(source, "the file ends inside '" + key + "'");
  }
  const uint64_t element = type == GGUF_TYPE_STRING ? sizeof(uint64_t) : FixedSize(type);
  if (element == 0)
    return Corrupt(source, "'" + key + "' is an array of unknown type " + std::to_string(type));
  if (array.count > source.left() / element) {
    return Corrupt(source, "'" + key + "' claims " + std::to_string(array.count) +
                               " elements, more than the file holds");
  }
  if (type == GGUF_TYPE_STRING) {
    if (Status status = ReadStringArray(source, key, array.count); !status.ok()) return status;
  } else if (IsInteger(type) && array.count <= kMaxKeptIntegers) {
    for (uint64_t i = 0; i < array.count; ++i) {
      GgufValue number;
      ReadScalar(source, type, &number);
      const uint64_t* positive = std::get_if<uint64_t>(&number);
      array.integers.push_back(positive != nullptr ? static_cast<int64_t>(*positive)
                                                   : std::get<int64_t>(number));
    }
  } else if (!source.Skip(array.count * element)) {
    return Corrupt(source, "cannot read '" + key + "'");
  }
  *value = std::move(array);
  return Ok();
}

Status ReadPair(ByteSource& source, std::map<std::string, GgufValue>* pairs) {
  std::string key;
  if (Status status = ReadString(source, kMaxKeyBytes, "a metadata key", &key); !status.ok()) return status;
  if (key.empty()) return Corrupt(source, "a metadata key is empty");
  uint32_t type = 0;
  if (!ReadNumber(source, &type)) return Corrupt(source, "the file ends inside '" + key + "'");
  GgufValue value;
  if (type == GGUF_TYPE_ARRAY) {
    if (Status status = ReadArray(source, key, &value); !status.ok()) return status;
  } else if (type == GGUF_TYPE_STRING) {
    std::string text;
    if (Status status = ReadString(source, kMaxStringBytes, ("'" + key + "'").c_str(), &text); !status.ok()) {
      return status;
    }
    value = std::move(text);
  } else if (FixedSize(type) == 0) {
    return Corrupt(source, "'" + key + "' has the unknown type " + std::to_string(type));
  } else if (!ReadScalar(source, type, &value)) {
    return Corrupt(source, "the file ends inside '" + key + "'");
  }
  if (!pairs->emplace(std::move(key), std::move(value)).second)
    return Corrupt(source, "a metadata key comes twice");
  return Ok();
}

// Sets size_bytes; false when the numbers do not fit the type or 63 bits.
bool SizeTensor(GgufTensor* tensor) {
  if (tensor->type < 0 || tensor->type >= GGML_TYPE_COUNT) return false;
  const auto type = static_cast<ggml_type>(tensor->type);
  const int64_t block = ggml_blck_size(type);
  const uint64_t block_bytes = ggml_type_size(type);
  if (block <= 0 || block_bytes == 0 || tensor->dims[0] % block != 0) return false;
  uint64_t bytes = static_cast<uint64_t>(tensor->dims[0] / block);
  if (__builtin_mul_overflow(bytes, block_bytes, &bytes)) return false;
  for (int i = 1; i < 4; ++i) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(tensor->dims[i]), &bytes)) return false;
  }
  tensor->size_bytes = bytes;
  return bytes <= INT64_MAX;
}

Status ReadTensor(ByteSource& source, GgufTensor* tensor) {
  if (Status status = ReadString(source, GGML_MAX_NAME - 1, "a tensor name", &tensor->name); !status.ok())
    return status;
  const std::string who = "tensor '" + tensor->name + "'";
  uint32_t n_dims = 0;
  if (!ReadNumber(source, &n_dims)) return Corrupt(source, "the file ends inside " + who);
  if (n_dims > 4)
    return Corrupt(source, who + " has " + std::to_string(n_dims) + " dimensions, at most 4 exist");
  for (uint32_t i = 0; i < n_dims; ++i) {
    if (!ReadNumber(source, &tensor->dims[i])) return Corrupt(source, "the file ends inside " + who);
    if (tensor->dims[i] < 0) return Corrupt(source, who + " has a negative dimension");
  }
  if (!ReadNumber(source, &tensor->type) || !ReadNumber(source, &tensor->offset)) {
    return Corrupt(source, "the file ends inside " + who);
  }
  if (!SizeTensor(tensor))
    return Corrupt(source, who + " has an unknown type, or dimensions that do not fit it");
  return Ok();
}

Status CheckPlaces(const ByteSource& source, const std::vector<GgufTensor>& tensors, uint64_t alignment,
                   uint64_t data_bytes) {
  for (const GgufTensor& tensor : tensors) {
    if (tensor.offset % alignment != 0) return Corrupt(source, "tensor '" + tensor.name + "' is not aligned");
    if (tensor.offset > data_bytes || tensor.size_bytes > data_bytes - tensor.offset) {
      std::ostringstream what;
      what << "tensor '" << tensor.name << "' ends at data byte " << tensor.offset << "+" << tensor.size_bytes
           << ", but the file holds " << data_bytes << " bytes of data; it was probably cut while copying";
      return Corrupt(source, what.str());
    }
  }
  return Ok();
}

class FileSource final : public ByteSource {
 public:
  FileSource(std::FILE* file, uint64_t size) : ByteSource(size), file_(file) {}

 private:
  bool DoRead(void* to, uint64_t count) override { return std::fread(to, 1, count, file_) == count; }
  bool DoSkip(uint64_t count) override {
    // Short skips stay inside stdio's buffer; seeking would throw it away each time.
    char sink[256];
    if (count <= sizeof sink) return std::fread(sink, 1, count, file_) == count;
    return fseeko(file_, static_cast<off_t>(count), SEEK_CUR) == 0;
  }
  std::FILE* file_;
};

}  // namespace

bool ByteSource::Read(void* to, uint64_t count) {
  if (count > left() || !DoRead(to, count)) return false;
  position_ += count;
  return true;
}

bool ByteSource::Skip(uint64_t count) {
  if (count > left() || !DoSkip(count)) return false;
  position_ += count;
  return true;
}

bool MemorySource::DoRead(void* to, uint64_t count) {
  if (count != 0) std::memcpy(to, next_, count);
  next_ += count;
  return true;
}

bool MemorySource::DoSkip(uint64_t count) {
  next_ += count;
  return true;
}

Status GgufHeader::Read(ByteSource& source, GgufHeader* header) {
  char magic[4];
  uint32_t version = 0;
  uint64_t n_tensors = 0;
  uint64_t n_pairs = 0;
  if (!source.Read(magic, sizeof magic) || std::memcmp(magic, "GGUF", sizeof magic) != 0) {
    return Fail(SMI_CORRUPT, "not a GGUF file: it does not begin with 'GGUF'");
  }
  if (!ReadNumber(source, &version)) return Corrupt(source, "the file ends inside the header");
  if (version < 2 || version > GGUF_VERSION) {
    return Fail(SMI_UNSUPPORTED, "GGUF version ", version, " is not supported; versions 2 to ", GGUF_VERSION,
                " in little-endian are");
  }
  if (!ReadNumber(source, &n_tensors) || !ReadNumber(source, &n_pairs)) {
    return Corrupt(source, "the file ends inside the header");
  }
  if (n_pairs > source.left() / kSmallestPair || n_tensors > source.left() / kSmallestTensor) {
    return Corrupt(source, "the header claims " + std::to_string(n_tensors) + " tensors and " +
                               std::to_string(n_pairs) + " metadata pairs, more than the file holds");
  }
  GgufHeader read;
  for (uint64_t i = 0; i < n_pairs; ++i) {
    if (Status status = ReadPair(source, &read.pairs_); !status.ok()) return status;
  }
  std::set<std::string> names;
  for (uint64_t i = 0; i < n_tensors; ++i) {
    GgufTensor tensor;
    if (Status status = ReadTensor(source, &tensor); !status.ok()) return status;
    if (!names.insert(tensor.name).second) return Corrupt(source, "tensor '" + tensor.name + "' comes twice");
    read.tensors_.push_back(std::move(tensor));
  }
  uint64_t alignment = GGUF_DEFAULT_ALIGNMENT;
  if (read.pairs_.contains(GGUF_KEY_GENERAL_ALIGNMENT)) {
    alignment = read.Uint(GGUF_KEY_GENERAL_ALIGNMENT).value_or(0);
    if (alignment == 0 || alignment > (1u << 20) || (alignment & (alignment - 1)) != 0) {
      return Corrupt(source, "general.alignment is not a power of two up to 1 MiB");
    }
  }
  read.file_bytes_ = source.size();
  read.header_bytes_ = (source.position() + alignment - 1) / alignment * alignment;
  const uint64_t data_bytes = source.size() - std::min(read.header_bytes_, source.size());
  if (Status status = CheckPlaces(source, read.tensors_, alignment, data_bytes); !status.ok()) return status;
  *header = std::move(read);
  return Ok();
}

Status GgufHeader::ReadFile(const std::string& path, GgufHeader* header) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return Fail(SMI_NOT_FOUND, path, ": cannot be opened: ", std::strerror(errno));
  if (fseeko(file.get(), 0, SEEK_END) != 0) return Fail(SMI_NOT_FOUND, path, ": ", std::strerror(errno));
  const off_t size = ftello(file.get());
  if (size < 0 || fseeko(file.get(), 0, SEEK_SET) != 0)
    return Fail(SMI_NOT_FOUND, path, ": not a regular file");
  FileSource source(file.get(), static_cast<uint64_t>(size));
  Status status = Read(source, header);
  if (!status.ok()) status.message = path + ": " + status.message;
  return status;
}

std::optional<uint64_t> GgufHeader::Uint(const std::string& key) const {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&found->second)) return *number;
  if (const auto* number = std::get_if<int64_t>(&found->second); number != nullptr && *number >= 0) {
    return static_cast<uint64_t>(*number);
  }
  return std::nullopt;
}

std::optional<bool> GgufHeader::Bool(const std::string& key) const {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(&found->second)) return *flag;
  return std::nullopt;
}

std::string GgufHeader::String(const std::string& key) const {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return {};
  const auto* text = std::get_if<std::string>(&found->second);
  return text == nullptr ? std::string() : *text;
}

uint64_t GgufHeader::ArrayCount(const std::string& key) const {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return 0;
  const auto* array = std::get_if<GgufArray>(&found->second);
  return array == nullptr ? 0 : array->count;
}

std::optional<uint64_t> GgufHeader::Largest(const std::string& key) const {
  if (std::optional<uint64_t> number = Uint(key)) return number;
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&found->second);
  if (array == nullptr || array->integers.empty()) return std::nullopt;
  const int64_t largest = *std::max_element(array->integers.begin(), array->integers.end());
  return largest < 0 ? std::nullopt : std::optional<uint64_t>(static_cast<uint64_t>(largest));
}

std::optional<uint64_t> GgufHeader::OfLayer(const std::string& key, uint64_t layer) const {
  if (std::optional<uint64_t> number = Uint(key)) return number;
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(&found->second);
  if (array == nullptr || layer >= array->integers.size() || array->integers[layer] < 0) return std::nullopt;
  return static_cast<uint64_t>(array->integers[layer]);
}

}  // namespace mlos::llama
