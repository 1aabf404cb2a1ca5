// SPDX-License-Identifier: Apache-2.0
// What a model file and the load options come to: which kind of model, how much context, how many sequences, how much
// memory at most. Made from the header alone, so that an estimate and a load agree. No engine in here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf_header.h"
#include "options.h"
#include "status.h"

namespace mlos::llama {

struct ModelPlan {
  std::string architecture;
  bool embeds = false;  // an embedding model; otherwise it generates text
  Pooling pooling = Pooling::kFromFile;
  uint32_t context_length = 0;  // tokens of one sequence
  uint32_t max_sequences = 0;
  uint32_t batch = 0;         // tokens of one step
  uint64_t cache_tokens = 0;  // tokens that all sequences together may hold
  uint32_t n_threads = 1;
  bool repack = false;  // interleave weights in private memory for speed
  uint64_t parameter_count = 0;
  uint32_t embedding_length = 0;
  // Upper bounds.
  uint64_t mapped_bytes = 0;
  uint64_t cache_bytes = 0;
  uint64_t repacked_bytes = 0;
  uint64_t compute_bytes = 0;
  uint64_t private_bytes() const;
};

// `headers`: of the model's file, or of all its splits in order. SMI_UNSUPPORTED when the file is fine but nothing this
// plugin runs; SMI_INVALID_ARGUMENT when the options do not fit the model.
Status MakePlan(const std::vector<GgufHeader>& headers, const LoadOptions& options, ModelPlan* plan);

// Most memory that the default number of sequences may take for their caches.
inline constexpr uint64_t kDefaultCacheBytes = uint64_t{1} << 30;
inline constexpr uint32_t kDefaultContext = 4096;
inline constexpr uint32_t kDefaultSequences = 4;
inline constexpr uint32_t kMaxSequences = 256;  // LLAMA_MAX_SEQ
inline constexpr uint32_t kMaxContext = 1u << 24;

}  // namespace mlos::llama
