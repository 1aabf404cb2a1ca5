// SPDX-License-Identifier: Apache-2.0
#include "convert/gguf/sentence_pieces.h"

#include <cstring>

namespace mlos::convert {
namespace {

constexpr size_t kMaxPieces = 1 << 24;
constexpr uint64_t kBpe = 2;

struct Field {
  uint64_t id = 0;
  uint32_t wire = 0;
  uint64_t number = 0;  // of a varint or four bytes
  std::span<const std::byte> bytes;
};

// The fields of one protobuf message; never reads past it.
class Message {
 public:
  explicit Message(std::span<const std::byte> bytes) : rest_(bytes) {}
  // False at the end and where the bytes are no field; ok() tells which.
  bool Next(Field* field) {
    if (rest_.empty() || !ok_) return false;
    uint64_t tag = 0;
    ok_ = Varint(&tag) && tag >> 3 != 0 && Value(tag, field);
    return ok_;
  }
  bool ok() const { return ok_; }

 private:
  bool Varint(uint64_t* out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint64_t>(rest_[0]);
      rest_ = rest_.subspan(1);
      *out |= (byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool Take(uint64_t size, std::span<const std::byte>* out) {
    if (size > rest_.size()) return false;
    *out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return true;
  }
  bool Value(uint64_t tag, Field* field) {
    *field = {tag >> 3, static_cast<uint32_t>(tag & 7), 0, {}};
    uint64_t size = 0;
    switch (field->wire) {
      case 0:
        return Varint(&field->number);
      case 1:
        return Take(8, &field->bytes);
      case 2:
        return Varint(&size) && Take(size, &field->bytes);
      case 5: {
        if (!Take(4, &field->bytes)) return false;
        uint32_t word = 0;
        std::memcpy(&word, field->bytes.data(), sizeof word);
        field->number = word;
        return true;
      }
      default:
        return false;
    }
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

bool ReadPiece(std::span<const std::byte> bytes, Vocabulary* out) {
  Message piece(bytes);
  Field field;
  std::string text;
  float score = 0;
  uint64_t type = 1;
  while (piece.Next(&field)) {
    if (field.id == 1 && field.wire == 2)
      text.assign(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
    if (field.id == 3 && field.wire == 0) type = field.number;
    if (field.id == 2 && field.wire == 5) {
      const auto word = static_cast<uint32_t>(field.number);
      std::memcpy(&score, &word, sizeof score);
    }
  }
  if (!piece.ok() || type < 1 || type > 6 || text.empty()) return false;
  out->Set(out->tokens.size(), std::move(text), static_cast<TokenType>(type), score);
  return true;
}

// The number of field `id`, or `fallback`.
bool ReadNumber(std::span<const std::byte> bytes, uint64_t id, uint64_t* value) {
  Message message(bytes);
  Field field;
  while (message.Next(&field)) {
    if (field.id == id && field.wire == 0) *value = field.number;
  }
  return message.ok();
}

}  // namespace

Result<Vocabulary> ParseSentencePieces(std::span<const std::byte> file) {
  const Status damaged = DataLoss("tokenizer.model is no SentencePiece model, or is damaged");
  Vocabulary out;
  out.model = "llama";
  out.pre = "default";
  uint64_t model_type = 1;
  uint64_t dummy_prefix = 1;
  Message model(file);
  Field field;
  while (model.Next(&field)) {
    if (field.wire != 2) continue;
    bool ok = true;
    if (field.id == 1) ok = out.tokens.size() < kMaxPieces && ReadPiece(field.bytes, &out);
    if (field.id == 2) ok = ReadNumber(field.bytes, 3, &model_type);
    if (field.id == 3) ok = ReadNumber(field.bytes, 3, &dummy_prefix);
    if (!ok) return damaged;
  }
  if (!model.ok() || out.tokens.empty()) return damaged;
  if (model_type != kBpe)
    return Unimplemented("tokenizer.model is not of the BPE kind, which llama.cpp's 'llama' tokenizer is");
  out.add_space_prefix = dummy_prefix != 0;
  out.add_bos = true;
  return out;
}

}  // namespace mlos::convert
