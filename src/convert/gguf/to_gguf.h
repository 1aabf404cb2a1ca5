// SPDX-License-Identifier: Apache-2.0
// The door: a checkpoint folder of a decoder-only language model becomes one GGUF file that llama.cpp runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace mlos::convert {

struct GgufOptions {
  // Type of the matrices: "auto" = as in the checkpoint, "f32", "f16", "bf16". Norms and biases are always f32.
  std::string type = "auto";
  std::string weights;  // "" = as FindWeightFiles chooses; else a file of the folder
  // Called now and then while the file is written. May be empty.
  std::function<void(uint64_t bytes_done, uint64_t bytes_total)> progress;
};

struct GgufResult {
  std::string architecture;  // llama.cpp's name: "llama", "qwen2", ...
  std::string tokenizer;     // "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre_tokenizer;
  std::vector<std::string> source_files;  // weight files, relative
  std::vector<std::string> used_tensors;
  std::vector<std::string> ignored_tensors;  // with the reason in brackets
  std::vector<std::string> notes;            // what llama.cpp does differently, in rare cases
  uint64_t parameter_count = 0;
  uint64_t size_bytes = 0;  // of the tensors
  uint32_t context_length = 0;
  bool has_chat_template = false;
};

// True when the folder's config.json names a model that ConvertToGguf may know. Reads config.json only.
bool LooksLikeDecoder(const std::filesystem::path& package_dir);

// Everything ConvertToGguf checks and says, without writing. Reads headers and the tokenizer.
Result<GgufResult> ExplainGguf(const std::filesystem::path& package_dir, const GgufOptions& options);

// Writes `target` (through a temporary file beside it), tensor by tensor, a few MB of memory at a time besides the tokenizer.
// kUnimplemented names the config value, tensor or part of the tokenizer that is not supported; kDataLoss a damaged file.
Result<GgufResult> ConvertToGguf(const std::filesystem::path& package_dir,
                                 const std::filesystem::path& target, const GgufOptions& options);

}  // namespace mlos::convert
