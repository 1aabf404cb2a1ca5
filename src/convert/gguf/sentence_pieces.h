// SPDX-License-Identifier: Apache-2.0
// tokenizer.model, SentencePiece's file:
//
//   ModelProto     : pieces = 1 (SentencePiece), trainer_spec = 2, normalizer_spec = 3
//   SentencePiece  : piece = 1 (text), score = 2 (float), type = 3 (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused,
//                    6 byte; 1 when left out)
//   TrainerSpec    : model_type = 3 (1 unigram, 2 BPE, 3 word, 4 char; 1 when left out)
//   NormalizerSpec : add_dummy_prefix = 3 (true when left out)
#pragma once

#include <cstddef>
#include <span>

#include "convert/gguf/vocabulary.h"

namespace mlos::convert {

// Tokens, types, scores and add_space_prefix. kDataLoss when damaged; kUnimplemented when it is not of the BPE kind.
Result<Vocabulary> ParseSentencePieces(std::span<const std::byte> file);

}  // namespace mlos::convert
