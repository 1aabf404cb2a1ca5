// SPDX-License-Identifier: Apache-2.0
#include "preprocess/tokenizer.h"

#include <utility>

#include "os/file.h"
#include "preprocess/json_file.h"
#include "preprocess/tokenizers_c/tokenizers_c.h"

namespace mlos::preprocess {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 256'000'000;

mlos_text Borrow(std::string_view text) { return {text.data(), text.size()}; }

// Takes over the text and releases it.
std::string Take(mlos_text text) {
  std::string copy(text.size == 0 ? "" : text.data, text.size);
  mlos_tokenizers_free_text(text);
  return copy;
}

Status CheckUtf8(std::span<const std::string> texts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!simdjson::validate_utf8(texts[i].data(), texts[i].size())) {
      return Unprocessable("input " + std::to_string(i) + " is not valid UTF-8 text");
    }
  }
  return OkStatus();
}

std::vector<mlos_text> BorrowAll(std::span<const std::string> texts) {
  std::vector<mlos_text> borrowed;
  borrowed.reserve(texts.size());
  for (const std::string& text : texts) borrowed.push_back(Borrow(text));
  return borrowed;
}

}  // namespace

void EncodedBatch::Destroy::operator()(mlos_encodings* encodings) const { mlos_encodings_destroy(encodings); }
void Tokenizer::Destroy::operator()(mlos_tokenizer* tokenizer) const { mlos_tokenizer_destroy(tokenizer); }

EncodedBatch::EncodedBatch(mlos_encodings* encodings)
    : encodings_(encodings), size_(mlos_encodings_count(encodings)) {}

EncodingView EncodedBatch::operator[](size_t index) const {
  mlos_encoding view;
  mlos_encodings_get(encodings_.get(), index, &view);
  return {{view.ids, view.size}, {view.type_ids, view.size}, {view.special_mask, view.size}};
}

Tokenizer::Tokenizer(mlos_tokenizer* handle) : handle_(handle) {
  mlos_tokenizer_info info;
  mlos_tokenizer_get_info(handle, &info);
  padding_ = {info.has_padding != 0, info.pad_id, info.pad_type_id, info.pad_left != 0,
              info.truncate_left != 0};
  vocabulary_size_ = info.vocabulary_size;
}

Result<Tokenizer> Tokenizer::Load(const std::filesystem::path& file) {
  MLOS_ASSIGN_OR_RETURN(const std::string json, os::ReadFile(file, kMaxTokenizerBytes));
  mlos_tokenizer* handle = nullptr;
  mlos_text error{};
  if (mlos_tokenizer_create(Borrow(json), &handle, &error) == 0) return Tokenizer(handle);
  const std::string message = Take(error);
  const std::string name = file.filename().string();
  const Result<JsonDocument> document = ParseJson(json, name);
  if (!document.ok()) return document.status();
  // JSON that the library cannot use: a component it does not know, or fields it does not expect.
  return Unimplemented(name + " cannot be used: " + message);
}

Result<EncodedBatch> Tokenizer::Encode(std::span<const std::string> texts,
                                       std::span<const std::string> pairs) const {
  if (!pairs.empty() && pairs.size() != texts.size())
    return InvalidArgument("as many pairs as texts are needed");
  MLOS_RETURN_IF_ERROR(CheckUtf8(texts));
  MLOS_RETURN_IF_ERROR(CheckUtf8(pairs));
  const std::vector<mlos_text> first = BorrowAll(texts);
  const std::vector<mlos_text> second = BorrowAll(pairs);
  mlos_encodings* encodings = nullptr;
  mlos_text error{};
  if (mlos_tokenizer_encode(handle_.get(), first.data(), second.empty() ? nullptr : second.data(),
                            first.size(), MLOS_TOKENIZE_SPECIAL, &encodings, &error) != 0) {
    return Internal("tokenizing failed: " + Take(error));
  }
  return EncodedBatch(encodings);
}

Result<std::string> Tokenizer::Decode(std::span<const uint32_t> ids, bool skip_special) const {
  mlos_text text{};
  mlos_text error{};
  if (mlos_tokenizer_decode(handle_.get(), ids.data(), ids.size(), skip_special ? 1 : 0, &text, &error) !=
      0) {
    return Internal("decoding failed: " + Take(error));
  }
  return Take(text);
}

int64_t Tokenizer::TokenId(std::string_view token) const {
  return mlos_tokenizer_token_id(handle_.get(), Borrow(token));
}

}  // namespace mlos::preprocess
