// SPDX-License-Identifier: Apache-2.0
// tokenizer.json on its way into GGUF: an error or a vocabulary, whose parts are equally long.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "convert/gguf/vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto vocabulary =
      mlos::convert::ParseTokenizerJson({reinterpret_cast<const char*>(data), size}, nullptr);
  if (!vocabulary.ok()) return 0;
  if (vocabulary->types.size() != vocabulary->tokens.size() ||
      vocabulary->scores.size() != vocabulary->tokens.size()) {
    std::abort();
  }
  return 0;
}
