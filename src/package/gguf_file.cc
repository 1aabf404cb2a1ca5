// SPDX-License-Identifier: Apache-2.0
#include "package/gguf_file.h"

#include <array>
#include <map>
#include <optional>
#include <string>

#include "base/checked.h"
#include "package/byte_cursor.h"
#include "package/path.h"

namespace mlos::package {
namespace {

constexpr uint64_t kMaxPairs = 100'000;
constexpr uint64_t kMaxTensors = 1'000'000;
constexpr uint64_t kMaxKeyBytes = 65'535;
constexpr uint64_t kMaxNameBytes = 1'024;
constexpr uint32_t kMaxDims = 4;
// Longer texts (none that is looked at) are skipped.
constexpr size_t kMaxTextBytes = 4'096;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// ggml's tensor types: elements and bytes of one block.
struct BlockType {
  uint32_t type;
  uint32_t elements;
  uint32_t bytes;
};
constexpr std::array<BlockType, 35> kBlockTypes = {{
    {0, 1, 4},       // f32
    {1, 1, 2},       // f16
    {2, 32, 18},     // q4_0
    {3, 32, 20},     // q4_1
    {6, 32, 22},     // q5_0
    {7, 32, 24},     // q5_1
    {8, 32, 34},     // q8_0
    {9, 32, 36},     // q8_1
    {10, 256, 84},   // q2_K
    {11, 256, 110},  // q3_K
    {12, 256, 144},  // q4_K
    {13, 256, 176},  // q5_K
    {14, 256, 210},  // q6_K
    {15, 256, 292},  // q8_K
    {16, 256, 66},   // iq2_xxs
    {17, 256, 74},   // iq2_xs
    {18, 256, 98},   // iq3_xxs
    {19, 256, 50},   // iq1_s
    {20, 32, 18},    // iq4_nl
    {21, 256, 110},  // iq3_s
    {22, 256, 82},   // iq2_s
    {23, 256, 136},  // iq4_xs
    {24, 1, 1},      // i8
    {25, 1, 2},      // i16
    {26, 1, 4},      // i32
    {27, 1, 8},      // i64
    {28, 1, 8},      // f64
    {29, 256, 56},   // iq1_m
    {30, 1, 2},      // bf16
    {34, 256, 54},   // tq1_0
    {35, 256, 66},   // tq2_0
    {39, 32, 17},    // mxfp4
    {40, 64, 36},    // nvfp4
    {41, 128, 18},   // q1_0
    {42, 64, 18},    // q2_0
}};

Status Damaged(const std::string& what) { return DataLoss("damaged GGUF file: " + what); }

size_t ScalarSize(uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kUint64:
    case kInt64:
    case kFloat64:
      return 8;
    default:
      return 0;
  }
}

class GgufReader {
 public:
  explicit GgufReader(std::span<const std::byte> file) : cursor_(file), file_size_(file.size()) {}

  Result<ModelFileInfo> Read() {
    if (cursor_.TakeText(4) != "GGUF") return Damaged("it does not start with GGUF");
    const auto version = cursor_.Read<uint32_t>();
    if (version == 0x02000000 || version == 0x03000000)
      return Unimplemented("big-endian GGUF files are not supported");
    if (!cursor_.failed() && version != 2 && version != 3) {
      return Unimplemented("GGUF version " + std::to_string(version) + " is not supported, only 2 and 3");
    }
    const auto tensors = cursor_.Read<uint64_t>();
    const auto pairs = cursor_.Read<uint64_t>();
    if (cursor_.failed()) return CutShort("in its header");
    if (pairs > kMaxPairs) return Damaged("it claims " + std::to_string(pairs) + " metadata entries");
    if (tensors > kMaxTensors) return Damaged("it claims " + std::to_string(tensors) + " tensors");
    for (uint64_t i = 0; i < pairs; ++i) MLOS_RETURN_IF_ERROR(Pair());
    MLOS_RETURN_IF_ERROR(Tensors(tensors));
    if (Text("general.architecture").empty()) return Damaged("it names no architecture");
    return Info();
  }

 private:
  Status CutShort(const std::string& where) const {
    return Damaged("it ends after " + std::to_string(file_size_) + " bytes " + where + " (cut short?)");
  }

  Status Pair() {
    const auto key_size = cursor_.Read<uint64_t>();
    if (key_size > kMaxKeyBytes)
      return Damaged("a metadata key claims " + std::to_string(key_size) + " bytes");
    const std::string key(cursor_.TakeText(key_size));
    const auto type = cursor_.Read<uint32_t>();
    MLOS_RETURN_IF_ERROR(Value(key, type));
    return cursor_.failed() ? CutShort("in metadata '" + Printable(key) + "'") : OkStatus();
  }

  Status Value(const std::string& key, uint32_t type) {
    if (type == kArray) return Array(key);
    if (type == kString) {
      const std::string_view text = cursor_.TakeText(cursor_.Read<uint64_t>());
      if (text.size() <= kMaxTextBytes && IsUtf8(text)) texts_[key] = text;
      has_text_[key] = !text.empty();
      return OkStatus();
    }
    if (ScalarSize(type) == 0)
      return Damaged("metadata '" + Printable(key) + "' has the unknown type " + std::to_string(type));
    ReadNumber(key, type);
    return OkStatus();
  }

  // Whole numbers and flags are kept.
  void ReadNumber(const std::string& key, uint32_t type) {
    switch (type) {
      case kUint8:
      case kBool:
        numbers_[key] = cursor_.Read<uint8_t>();
        break;
      case kUint16:
        numbers_[key] = cursor_.Read<uint16_t>();
        break;
      case kUint32:
        numbers_[key] = cursor_.Read<uint32_t>();
        break;
      case kUint64:
        numbers_[key] = cursor_.Read<uint64_t>();
        break;
      case kInt32: {
        const auto value = cursor_.Read<int32_t>();
        if (value >= 0) numbers_[key] = static_cast<uint64_t>(value);
        break;
      }
      default:
        cursor_.Take(ScalarSize(type));
    }
  }

  Status Array(const std::string& key) {
    const auto type = cursor_.Read<uint32_t>();
    const auto count = cursor_.Read<uint64_t>();
    if (cursor_.failed()) return OkStatus();  // told by Pair
    if (type == kString) {
      for (uint64_t i = 0; i < count && !cursor_.failed(); ++i) cursor_.Take(cursor_.Read<uint64_t>());
      return OkStatus();
    }
    const size_t size = ScalarSize(type);
    if (size == 0)
      return Damaged("metadata '" + Printable(key) + "' is a list of the unknown type " +
                     std::to_string(type));
    const auto bytes = CheckedMul<uint64_t>(count, size);
    if (!bytes)
      return Damaged("metadata '" + Printable(key) + "' claims " + std::to_string(count) + " entries");
    cursor_.Take(*bytes);
    return OkStatus();
  }

  Status Tensors(uint64_t count) {
    struct Extent {
      std::string name;
      uint64_t offset;
      uint64_t size;
    };
    const uint64_t alignment = Number("general.alignment").value_or(32);
    if (alignment == 0 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
      return Damaged("its alignment is " + std::to_string(alignment));
    }
    std::vector<Extent> extents;
    for (uint64_t i = 0; i < count; ++i) {
      Extent e;
      MLOS_RETURN_IF_ERROR(Tensor(&e.name, &e.offset, &e.size));
      if (e.offset % alignment != 0) return Damaged("tensor '" + Printable(e.name) + "' is not aligned");
      extents.push_back(std::move(e));
    }
    // The position is at most the file's size, the alignment at most 2^20: no overflow.
    const uint64_t data = (cursor_.position() + alignment - 1) / alignment * alignment;
    for (const Extent& e : extents) {
      const uint64_t room = file_size_ > data ? file_size_ - data : 0;
      if (!RangeFits(e.offset, e.size, room)) {
        return Damaged("tensor '" + Printable(e.name) + "' needs " + std::to_string(e.size) + " bytes at " +
                       std::to_string(e.offset) + ", the file has " + std::to_string(room) +
                       " bytes of tensors (cut short?)");
      }
    }
    return OkStatus();
  }

  Status Tensor(std::string* name, uint64_t* offset, uint64_t* size) {
    const auto name_size = cursor_.Read<uint64_t>();
    if (name_size > kMaxNameBytes)
      return Damaged("a tensor's name claims " + std::to_string(name_size) + " bytes");
    *name = cursor_.TakeText(name_size);
    const auto dims = cursor_.Read<uint32_t>();
    if (dims > kMaxDims)
      return Damaged("tensor '" + Printable(*name) + "' claims " + std::to_string(dims) + " dimensions");
    std::optional<uint64_t> elements = 1;
    uint64_t first = 1;
    for (uint32_t i = 0; i < dims; ++i) {
      const auto dim = cursor_.Read<uint64_t>();
      if (i == 0) first = dim;
      elements = elements ? CheckedMul(*elements, dim) : std::nullopt;
    }
    const auto type = cursor_.Read<uint32_t>();
    *offset = cursor_.Read<uint64_t>();
    if (cursor_.failed()) return CutShort("in its list of tensors");
    if (!elements) return Damaged("tensor '" + Printable(*name) + "' has a shape that overflows");
    parameter_count_ = CheckedAdd(parameter_count_, *elements).value_or(parameter_count_);
    *size = 0;  // of a type that is newer than this list nothing is known
    for (const BlockType& block : kBlockTypes) {
      if (block.type != type) continue;
      if (first % block.elements != 0)
        return Damaged("tensor '" + Printable(*name) + "' has rows that are not whole blocks");
      const auto bytes = CheckedMul<uint64_t>(*elements / block.elements, block.bytes);
      if (!bytes) return Damaged("tensor '" + Printable(*name) + "' has a shape that overflows");
      *size = *bytes;
    }
    return OkStatus();
  }

  std::optional<uint64_t> Number(const std::string& key) const {
    const auto found = numbers_.find(key);
    return found == numbers_.end() ? std::nullopt : std::optional(found->second);
  }
  std::string Text(const std::string& key) const {
    const auto found = texts_.find(key);
    return found == texts_.end() ? "" : found->second;
  }

  ModelFileInfo Info() const {
    ModelFileInfo info;
    info.format = FileFormat::kGguf;
    info.architecture = Text("general.architecture");
    info.name = Text("general.name");
    info.parameter_count = parameter_count_;
    const auto small = [&](const std::string& key) {
      return CheckedCast<uint32_t>(Number(key).value_or(0)).value_or(0);
    };
    info.context_length = small(info.architecture + ".context_length");
    info.embedding_length = small(info.architecture + ".embedding_length");
    info.has_chat_template =
        has_text_.contains("tokenizer.chat_template") && has_text_.at("tokenizer.chat_template");
    info.split_count = small("split.count");
    // llama.cpp's pooling types: 1 mean, 2 cls, 3 last; 4 (rank) gives scores.
    const uint64_t pooling = Number(info.architecture + ".pooling_type").value_or(0);
    info.is_embedding_model = pooling >= 1 && pooling <= 3;
    if (info.is_embedding_model) {
      const int64_t width = info.embedding_length == 0 ? -1 : info.embedding_length;
      info.inputs = {{"text", DType::kBytes, {-1}, {"batch"}, false, ""}};
      info.outputs = {{"embedding", DType::kFp32, {-1, width}, {"batch", ""}, false, ""}};
    }
    return info;
  }

  ByteCursor cursor_;
  const uint64_t file_size_;
  std::map<std::string, uint64_t> numbers_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, bool> has_text_;
  uint64_t parameter_count_ = 0;
};

}  // namespace

Result<ModelFileInfo> InspectGguf(std::span<const std::byte> file) { return GgufReader(file).Read(); }

}  // namespace mlos::package
