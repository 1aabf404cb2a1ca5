// SPDX-License-Identifier: Apache-2.0
// Text -> token tensors with the package's tokenizer.json, and pooling of token embeddings for graphs that do not pool.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "infer/model_interface.h"
#include "infer/request.h"

namespace mlos::preprocess {

struct TextOptions {
  std::filesystem::path tokenizer_file;
  uint32_t max_length = 0;    // tokens, special ones included; 0 = no limit
  std::string pooling;        // "", "mean", "cls", "max", "lasttoken": applied by PostProcess
  bool normalize = false;     // L2, eps 1e-12
  std::string pooling_input;  // output to pool; "" = last_hidden_state
};

struct EncodedText {
  // INT64 (INT32 where declared so) [batch, sequence], padded to the longest, or to the length that the model declares:
  // input_ids, attention_mask, token_type_ids, as far as `interface` declares them.
  std::vector<NamedTensor> inputs;
  std::vector<std::string> warnings;  // "input 2 was truncated from 312 to 256 tokens", counted from 0
  uint32_t tokens = 0;                // padding not counted
};

// Thread-safe.
class TextPipeline {
 public:
  virtual ~TextPipeline() = default;
  // kUnimplemented when the tokenizer has a component the library does not know.
  static Result<std::unique_ptr<TextPipeline>> Load(const TextOptions& options);
  // kUnprocessable for a text that is not UTF-8 (named by its index) and for no texts; kTooLarge for a text over 8 MiB
  // and for over 2^26 tokens with padding.
  virtual Result<EncodedText> Encode(const std::vector<std::string>& texts,
                                     const ModelInterface& interface) const = 0;
  // Adds "sentence_embedding" FP32 [batch, width] in front when options.pooling is set; else leaves outputs alone.
  virtual Status PostProcess(const std::vector<NamedTensor>& encoded_inputs,
                             std::vector<NamedTensor>* outputs) const = 0;
};

// What a sentence-transformers folder says (modules.json, 1_Pooling/config.json, sentence_bert_config.json,
// tokenizer_config.json): max length, pooling, normalisation. Used at install time to fill the manifest's spec.text.
struct SentenceConfig {
  bool is_sentence_transformer = false;
  std::vector<std::string> pooling;  // "mean", "cls", "max", ...: concatenated in this order
  bool normalize = false;
  bool has_dense = false;   // pooling and normalisation alone do not give its vectors
  uint32_t max_length = 0;  // tokens, special ones included; 0 = no limit known
};
// For a package that is no sentence-transformer only max_length is meaningful. kUnimplemented names what the text path cannot do
// (a module class, a prompt put before every text), kDataLoss a damaged file.
Result<SentenceConfig> ReadSentenceConfig(const std::filesystem::path& package_dir);

}  // namespace mlos::preprocess
