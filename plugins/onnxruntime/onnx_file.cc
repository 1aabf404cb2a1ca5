// SPDX-License-Identifier: Apache-2.0
#include "onnx_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "failure.h"

namespace mlos_ort {
namespace {

// Deeper subgraphs than any model has; bounds the recursion.
constexpr int kMaxDepth = 16;
constexpr uint64_t kFloat16 = 10;
constexpr uint64_t kBfloat16 = 16;

// One field of a protobuf message. `number` is the value of a varint field, `bytes` the contents of a length-delimited one.
struct Field {
  uint64_t id = 0;
  uint32_t wire = 0;
  uint64_t number = 0;
  std::span<const std::byte> bytes;
};

// Reads the fields of one message. Never goes past its bytes.
class Message {
 public:
  explicit Message(std::span<const std::byte> bytes) : rest_(bytes) {}

  // False at the end and at the first thing that is no field; ok() tells which.
  bool Next(Field* field) {
    if (rest_.empty() || !ok_) return false;
    uint64_t tag = 0;
    ok_ = Varint(&tag) && (tag >> 3) != 0;
    if (!ok_) return false;
    field->id = tag >> 3;
    field->wire = static_cast<uint32_t>(tag & 7);
    ok_ = Value(field);
    return ok_;
  }
  bool ok() const { return ok_; }
  // Varints one after another, without tags (packed fields).
  bool Varint(uint64_t* out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<uint64_t>(rest_[0]);
      rest_ = rest_.subspan(1);
      *out |= (byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool empty() const { return rest_.empty(); }

 private:
  bool Value(Field* field) {
    switch (field->wire) {
      case 0:
        return Varint(&field->number);
      case 1:
        return Skip(8);
      case 2: {
        uint64_t size = 0;
        if (!Varint(&size) || size > rest_.size()) return false;
        field->bytes = rest_.first(size);
        rest_ = rest_.subspan(size);
        return true;
      }
      case 5:
        return Skip(4);
      default:
        return false;
    }
  }
  bool Skip(size_t size) {
    if (size > rest_.size()) return false;
    rest_ = rest_.subspan(size);
    return true;
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

void AddSaturating(uint64_t* sum, uint64_t value) {
  if (__builtin_add_overflow(*sum, value, sum)) *sum = UINT64_MAX;
}

uint64_t MultiplySaturating(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// StringStringEntryProto of external data: the values of "length" and "location".
void ReadExternalEntry(std::span<const std::byte> bytes, uint64_t* length, std::string_view* location) {
  Message entry(bytes);
  Field field;
  std::string_view key;
  std::string_view value;
  while (entry.Next(&field)) {
    if (field.id == 1 && field.wire == 2) key = Text(field.bytes);
    if (field.id == 2 && field.wire == 2) value = Text(field.bytes);
  }
  if (key == "location") *location = value;
  if (key != "length") return;
  *length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return;
    *length = MultiplySaturating(*length, 10);
    AddSaturating(length, static_cast<uint64_t>(c - '0'));
  }
}

void ReadDims(const Field& field, uint64_t* elements) {
  if (field.wire == 0) *elements = MultiplySaturating(*elements, field.number);
  if (field.wire != 2) return;
  Message packed(field.bytes);
  uint64_t dim = 0;
  while (!packed.empty() && packed.Varint(&dim)) *elements = MultiplySaturating(*elements, dim);
}

bool ReadTensor(std::span<const std::byte> bytes, OnnxFile* out) {
  Message tensor(bytes);
  Field field;
  uint64_t elements = 1;
  uint64_t data_type = 0;
  uint64_t length = 0;
  std::string_view location;
  bool external = false;
  while (tensor.Next(&field)) {
    if (field.id == 1) ReadDims(field, &elements);
    if (field.id == 2 && field.wire == 0) data_type = field.number;
    if (field.id == 13 && field.wire == 2) ReadExternalEntry(field.bytes, &length, &location);
    if (field.id == 14 && field.wire == 0) external = field.number == 1;
  }
  AddSaturating(&out->parameters, elements);
  if (external) {
    AddSaturating(&out->external_bytes, length);
    if (out->external_files.size() < kMaxExternalFiles) out->external_files.emplace(location);
  }
  if (data_type == kFloat16 || data_type == kBfloat16)
    AddSaturating(&out->half_bytes, MultiplySaturating(elements, 2));
  return tensor.ok();
}

bool ReadGraph(std::span<const std::byte> bytes, int depth, OnnxFile* out);

bool ReadAttribute(std::span<const std::byte> bytes, int depth, OnnxFile* out) {
  Message attribute(bytes);
  Field field;
  bool ok = true;
  while (ok && attribute.Next(&field)) {
    if (field.wire != 2) continue;
    if (field.id == 5 || field.id == 10) ok = ReadTensor(field.bytes, out);
    if (field.id == 6 || field.id == 11) ok = ReadGraph(field.bytes, depth + 1, out);
  }
  return ok && attribute.ok();
}

bool ReadNode(std::span<const std::byte> bytes, int depth, OnnxFile* out) {
  Message node(bytes);
  Field field;
  bool ok = true;
  while (ok && node.Next(&field)) {
    if (field.id == 5 && field.wire == 2) ok = ReadAttribute(field.bytes, depth, out);
  }
  return ok && node.ok();
}

bool ReadGraph(std::span<const std::byte> bytes, int depth, OnnxFile* out) {
  if (depth > kMaxDepth) return false;
  Message graph(bytes);
  Field field;
  bool ok = true;
  while (ok && graph.Next(&field)) {
    if (field.wire != 2) continue;
    if (field.id == 1) ok = ReadNode(field.bytes, depth, out);
    if (field.id == 5) ok = ReadTensor(field.bytes, out);
  }
  return ok && graph.ok();
}

// A file, mapped to be read.
class Mapping {
 public:
  explicit Mapping(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw Failure(SMI_NOT_FOUND, "cannot open " + path + ": " + std::strerror(errno));
    struct stat info{};
    const bool known = fstat(file, &info) == 0;
    if (known && S_ISREG(info.st_mode) && info.st_size > 0) {
      size_ = static_cast<size_t>(info.st_size);
      data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    }
    const int problem = errno;
    close(file);
    if (!known || !S_ISREG(info.st_mode)) throw Failure(SMI_NOT_FOUND, path + " is no file");
    if (info.st_size == 0) throw Failure(SMI_CORRUPT, path + " is empty");
    if (data_ == MAP_FAILED)
      throw Failure(SMI_NOT_FOUND, "cannot map " + path + ": " + std::strerror(problem));
  }
  ~Mapping() {
    if (data_ != MAP_FAILED) munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = MAP_FAILED;
  size_t size_ = 0;
};

}  // namespace

bool ReadOnnxBytes(std::span<const std::byte> bytes, OnnxFile* out) noexcept {
  *out = OnnxFile();
  out->file_bytes = bytes.size();
  Message model(bytes);
  Field field;
  bool has_graph = false;
  bool ok = true;
  while (ok && model.Next(&field)) {
    if (field.id != 7 || field.wire != 2) continue;
    has_graph = true;
    ok = ReadGraph(field.bytes, 0, out);
  }
  return ok && model.ok() && has_graph;
}

OnnxFile ReadOnnxFile(const std::string& path) {
  const Mapping file(path);
  OnnxFile out;
  if (!ReadOnnxBytes(file.bytes(), &out)) {
    throw Failure(SMI_CORRUPT, path + " is no ONNX model, or is damaged: its protobuf cannot be read");
  }
  return out;
}

}  // namespace mlos_ort
