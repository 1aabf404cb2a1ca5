// SPDX-License-Identifier: Apache-2.0
// tokenizer.model: whatever the bytes are, an error or a vocabulary, whose parts are equally long.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "convert/gguf/sentence_pieces.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto vocabulary = mlos::convert::ParseSentencePieces(std::as_bytes(std::span(data, size)));
  if (!vocabulary.ok()) return 0;
  if (vocabulary->tokens.empty() || vocabulary->types.size() != vocabulary->tokens.size() ||
      vocabulary->scores.size() != vocabulary->tokens.size()) {
    std::abort();
  }
  return 0;
}
