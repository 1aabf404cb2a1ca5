// SPDX-License-Identifier: Apache-2.0
#include "vocabulary.h"

#include "assertions.h"

namespace mlos::llama {

Vocabulary::Vocabulary(const llama_vocab* vocab) : vocab_(vocab) {
  int32_t n_suppressed = 0;
  const llama_token* suppressed = llama_vocab_get_suppress_tokens(vocab, &n_suppressed);
  for (int32_t i = 0; i < n_suppressed; ++i) {
    if (suppressed[i] >= 0 && static_cast<uint32_t>(suppressed[i]) < size())
      suppressed_.push_back(suppressed[i]);
  }
  if (llama_vocab_get_add_bos(vocab)) begin_ = llama_vocab_bos(vocab);
}

Status Vocabulary::Tokenize(std::string_view text, bool around, Special special,
                            std::vector<int32_t>* tokens) const {
  if (text.size() > INT32_MAX / 2) {
    return Fail(SMI_BAD_INPUT, "the text has ", text.size(), " bytes; the tokenizer takes at most ",
                INT32_MAX / 2);
  }
  AssertionsThrow assertions;
  const size_t before = tokens->size();
  const auto size = static_cast<int32_t>(text.size());
  const bool parse = special == Special::kParse;
  tokens->resize(before + text.size() + 16);
  int32_t n = llama_tokenize(vocab_, text.data(), size, tokens->data() + before, size + 16, around, parse);
  if (n < 0 && n != INT32_MIN) {
    tokens->resize(before + static_cast<size_t>(-n));
    n = llama_tokenize(vocab_, text.data(), size, tokens->data() + before, -n, around, parse);
  }
  if (n < 0) return Fail(SMI_BAD_INPUT, "the text makes more tokens than the tokenizer can count");
  tokens->resize(before + static_cast<size_t>(n));
  return Ok();
}

void Vocabulary::AppendPiece(int32_t token, std::string* bytes) const {
  char piece[64];
  const int32_t n = llama_token_to_piece(vocab_, token, piece, sizeof piece, 0, /*special=*/false);
  if (n >= 0) {
    bytes->append(piece, static_cast<size_t>(n));
    return;
  }
  const size_t before = bytes->size();
  bytes->resize(before + static_cast<size_t>(-n));
  const int32_t written = llama_token_to_piece(vocab_, token, bytes->data() + before, -n, 0, false);
  bytes->resize(before + static_cast<size_t>(written < 0 ? 0 : written));
}

}  // namespace mlos::llama
