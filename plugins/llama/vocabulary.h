// SPDX-License-Identifier: Apache-2.0
// Text to tokens and back. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llama.h"
#include "status.h"

namespace mlos::llama {

enum class Special {
  kParse,      // "<|im_end|>" in the text is that token
  kPlainText,  // it is ten characters
};

class Vocabulary {
 public:
  // `vocab` must outlive this.
  explicit Vocabulary(const llama_vocab* vocab);

  // Appends the tokens of `text`. `around`: put the model's own begin (and end) tokens around it, as it was trained.
  Status Tokenize(std::string_view text, bool around, Special special, std::vector<int32_t>* tokens) const;
  // Appends the bytes of one token; nothing for control tokens.
  void AppendPiece(int32_t token, std::string* bytes) const;
  bool EndsText(int32_t token) const { return llama_vocab_is_eog(vocab_, token); }
  // Tokens that the file says are never to be generated.
  std::span<const int32_t> suppressed() const { return suppressed_; }
  // -1 when there is none, or the model does not want it in front.
  int32_t begin_token() const { return begin_; }
  uint32_t size() const { return static_cast<uint32_t>(llama_vocab_n_tokens(vocab_)); }
  const llama_vocab* engine() const { return vocab_; }

 private:
  const llama_vocab* vocab_;
  std::vector<int32_t> suppressed_;
  int32_t begin_ = -1;
};

}  // namespace mlos::llama
