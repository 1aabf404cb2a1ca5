// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json through the C interface: an error or a tokenizer that encodes, never an unwinding panic.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "preprocess/tokenizers_c/tokenizers_c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlos_tokenizer* tokenizer = nullptr;
  mlos_text error{};
  if (mlos_tokenizer_create({reinterpret_cast<const char*>(data), size}, &tokenizer, &error) != 0) {
    if (error.size == 0) std::abort();  // an error says something
    mlos_tokenizers_free_text(error);
    return 0;
  }
  const char* words = "hello World, caf\xC3\xA9!";
  const mlos_text text = {words, std::strlen(words)};
  mlos_encodings* encodings = nullptr;
  if (mlos_tokenizer_encode(tokenizer, &text, nullptr, 1, MLOS_TOKENIZE_SPECIAL | MLOS_TOKENIZE_OFFSETS,
                            &encodings, &error) == 0) {
    mlos_encoding view;
    mlos_encodings_get(encodings, 0, &view);
    mlos_text decoded{};
    if (mlos_tokenizer_decode(tokenizer, view.ids, view.size, 1, &decoded, &error) == 0) {
      mlos_tokenizers_free_text(decoded);
    } else {
      mlos_tokenizers_free_text(error);
    }
    mlos_encodings_destroy(encodings);
  } else {
    mlos_tokenizers_free_text(error);
  }
  mlos_tokenizer_destroy(tokenizer);
  return 0;
}
