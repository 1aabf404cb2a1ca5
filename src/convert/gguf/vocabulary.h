// SPDX-License-Identifier: Apache-2.0
// The tokenizer of a checkpoint as GGUF metadata: from tokenizer.json (byte-level BPE, or SentencePiece's BPE) or, without it,
// tokenizer.model; special tokens and chat templates from tokenizer_config.json and config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "convert/config.h"
#include "convert/gguf/gguf_file.h"

namespace mlos::convert {

// llama.cpp's numbers.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Vocabulary {
  std::string model;  // "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre;    // how text is split before BPE: "llama-bpe", "qwen2", ...; "default" for SentencePiece
  std::vector<std::string> tokens;
  std::vector<TokenType> types;
  std::vector<float> scores;        // SentencePiece
  std::vector<std::string> merges;  // BPE, "left right"
  bool add_bos = false;
  bool add_eos = false;
  bool add_space_prefix = false;            // SentencePiece
  bool strips_after_special = false;        // added tokens swallow the white space behind them (Phi-3)
  std::map<std::string, uint32_t> special;  // "bos", "eos", "unknown", "padding", ... -> id
  std::map<std::string, std::string> chat_templates;  // "" = the default one
  std::vector<std::string> notes;                     // where llama.cpp's tokenizer differs for some texts

  // Keeps tokens, types and scores equally long.
  void Set(size_t id, std::string token, TokenType type, float score);
  std::optional<uint32_t> Find(std::string_view token) const;
};

// For a model whose embedding has `rows` rows: tokens that only fill them up are marked unused. kUnimplemented names what
// llama.cpp's tokenizers cannot do; kDataLoss what contradicts itself.
Result<Vocabulary> ReadVocabulary(const std::filesystem::path& package_dir, const Config& config,
                                  int64_t rows);

void AddVocabulary(const Vocabulary& vocabulary, GgufMetadata* metadata);

// --- parts ---

// The contents of tokenizer.json; `sentence_pieces`: pieces of tokenizer.model, which then say scores and types; null without.
Result<Vocabulary> ParseTokenizerJson(std::string_view json, const Vocabulary* sentence_pieces);

// "llama-bpe" and so on for the regular expression of a Split; "" when it is none that llama.cpp knows.
std::string PreTokenizerName(std::string_view pattern, bool ignores_merges);

// Names that are control tokens although their file does not say so.
bool LooksLikeControl(std::string_view token);

}  // namespace mlos::convert
