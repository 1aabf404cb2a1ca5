// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "os/file.h"

namespace mlos::convert {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr uint64_t kAlignment = 32;
constexpr size_t kBufferBytes = 4 << 20;

enum ValueType : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };

template <typename T>
void Put(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void PutString(std::string* out, std::string_view text) {
  Put<uint64_t>(out, text.size());
  out->append(text);
}

void PutArray(std::string* out, ValueType type, size_t count) {
  Put<uint32_t>(out, kArray);
  Put<uint32_t>(out, type);
  Put<uint64_t>(out, count);
}

uint64_t Padded(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

std::string Header(const GgufMetadata& metadata, std::span<const GgufTensorInfo> tensors) {
  std::string out = "GGUF";
  Put<uint32_t>(&out, 3);
  Put<uint64_t>(&out, tensors.size());
  Put<uint64_t>(&out, metadata.size());
  out += metadata.Serialize();
  uint64_t offset = 0;
  for (const GgufTensorInfo& tensor : tensors) {
    PutString(&out, tensor.name);
    Put<uint32_t>(&out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) {
      Put<uint64_t>(&out, static_cast<uint64_t>(*dim));
    }
    Put<uint32_t>(&out, static_cast<uint32_t>(tensor.type));
    Put<uint64_t>(&out, offset);
    offset += Padded(tensor.size_bytes());
  }
  out.resize(Padded(out.size()), '\0');
  return out;
}

// Appends to a file in large pieces.
class Appender {
 public:
  explicit Appender(const os::File& file) : file_(file) {}
  Status Add(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) MLOS_RETURN_IF_ERROR(Flush());
    if (bytes.size() > kBufferBytes) {
      MLOS_RETURN_IF_ERROR(file_.WriteAt(offset_, bytes));
      offset_ += bytes.size();
      return OkStatus();
    }
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return OkStatus();
  }
  Status Pad() {
    const uint64_t at = offset_ + buffer_.size();
    const std::string zeros(Padded(at) - at, '\0');
    return Add(std::as_bytes(std::span(zeros)));
  }
  Status Flush() {
    MLOS_RETURN_IF_ERROR(file_.WriteAt(offset_, buffer_));
    offset_ += buffer_.size();
    buffer_.clear();
    return OkStatus();
  }

 private:
  const os::File& file_;
  uint64_t offset_ = 0;
  std::string buffer_;
};

Status WriteTensors(Appender* out, std::span<const GgufTensorInfo> tensors,
                    const std::function<Status(size_t, const ByteSink&)>& data) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    uint64_t left = tensors[i].size_bytes();
    MLOS_RETURN_IF_ERROR(data(i, [&](std::span<const std::byte> bytes) -> Status {
      if (bytes.size() > left) return Internal(tensors[i].name + " is longer than was announced");
      left -= bytes.size();
      return out->Add(bytes);
    }));
    if (left > 0) return Internal(tensors[i].name + " is shorter than was announced");
    MLOS_RETURN_IF_ERROR(out->Pad());
  }
  return out->Flush();
}

}  // namespace

uint64_t ElementBytes(GgmlType type) { return type == GgmlType::kF32 ? 4 : 2; }

uint64_t GgufTensorInfo::size_bytes() const {
  uint64_t out = ElementBytes(type);
  for (const int64_t dim : shape) out *= static_cast<uint64_t>(dim);
  return out;
}

std::string& GgufMetadata::Payload(std::string_view key) {
  const auto it =
      std::find_if(values_.begin(), values_.end(), [&](const auto& value) { return value.first == key; });
  if (it == values_.end()) return values_.emplace_back(key, "").second;
  it->second.clear();
  return it->second;
}

void GgufMetadata::SetU32(std::string_view key, uint32_t value) {
  std::string& out = Payload(key);
  Put<uint32_t>(&out, kU32);
  Put(&out, value);
}

void GgufMetadata::SetF32(std::string_view key, float value) {
  std::string& out = Payload(key);
  Put<uint32_t>(&out, kF32);
  Put(&out, value);
}

void GgufMetadata::SetBool(std::string_view key, bool value) {
  std::string& out = Payload(key);
  Put<uint32_t>(&out, kBool);
  Put<uint8_t>(&out, value ? 1 : 0);
}

void GgufMetadata::SetString(std::string_view key, std::string_view value) {
  std::string& out = Payload(key);
  Put<uint32_t>(&out, kString);
  PutString(&out, value);
}

void GgufMetadata::SetStrings(std::string_view key, std::span<const std::string> values) {
  std::string& out = Payload(key);
  PutArray(&out, kString, values.size());
  for (const std::string& value : values) PutString(&out, value);
}

void GgufMetadata::SetF32s(std::string_view key, std::span<const float> values) {
  std::string& out = Payload(key);
  PutArray(&out, kF32, values.size());
  for (const float value : values) Put(&out, value);
}

void GgufMetadata::SetI32s(std::string_view key, std::span<const int32_t> values) {
  std::string& out = Payload(key);
  PutArray(&out, kI32, values.size());
  for (const int32_t value : values) Put(&out, value);
}

void GgufMetadata::SetBools(std::string_view key, const std::vector<bool>& values) {
  std::string& out = Payload(key);
  PutArray(&out, kBool, values.size());
  for (const bool value : values) Put<uint8_t>(&out, value ? 1 : 0);
}

void GgufMetadata::Append(const GgufMetadata& more) {
  for (const auto& [key, payload] : more.values_) Payload(key) = payload;
}

std::string GgufMetadata::Serialize() const {
  std::string out;
  for (const auto& [key, payload] : values_) {
    PutString(&out, key);
    out += payload;
  }
  return out;
}

Status WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                 std::span<const GgufTensorInfo> tensors,
                 const std::function<Status(size_t index, const ByteSink& sink)>& data) {
  std::filesystem::path part = path;
  part += ".part";
  const auto write = [&]() -> Status {
    MLOS_ASSIGN_OR_RETURN(os::File file, os::File::Open(part, os::File::Mode::kCreate));
    Appender out(file);
    const std::string header = Header(metadata, tensors);
    MLOS_RETURN_IF_ERROR(out.Add(std::as_bytes(std::span(header))));
    MLOS_RETURN_IF_ERROR(WriteTensors(&out, tensors, data));
    MLOS_RETURN_IF_ERROR(file.Sync());
    MLOS_RETURN_IF_ERROR(file.Close());
    std::error_code error;
    std::filesystem::rename(part, path, error);
    if (error) return PermissionDenied("cannot rename to '" + path.string() + "': " + error.message());
    return OkStatus();
  };
  const Status status = write();
  if (!status.ok()) (void)os::RemoveFile(part);
  return status;
}

}  // namespace mlos::convert
