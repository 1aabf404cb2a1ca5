// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json: text to token ids and back. No truncation, no padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct mlos_tokenizer;
struct mlos_encodings;

namespace mlos::preprocess {

// One encoded text; borrows from its EncodedBatch.
struct EncodingView {
  std::span<const uint32_t> ids;
  std::span<const uint32_t> type_ids;
  std::span<const uint32_t> special_mask;  // 1 = put in by the tokenizer ([CLS] ...), not part of the text
};

class EncodedBatch {
 public:
  explicit EncodedBatch(mlos_encodings* encodings);
  size_t size() const { return size_; }
  EncodingView operator[](size_t index) const;  // index < size()

 private:
  struct Destroy {
    void operator()(mlos_encodings* encodings) const;
  };
  std::unique_ptr<mlos_encodings, Destroy> encodings_;
  size_t size_;
};

// Thread-safe.
class Tokenizer {
 public:
  // kDataLoss when the file is damaged, kUnimplemented when it has a component that the library does not know.
  static Result<Tokenizer> Load(const std::filesystem::path& file);

  // Each text with the special tokens of the template; with `pairs` (as many as texts) each together with its pair. Text that is
  // not UTF-8 is kUnprocessable and names its index.
  Result<EncodedBatch> Encode(std::span<const std::string> texts,
                              std::span<const std::string> pairs = {}) const;
  Result<std::string> Decode(std::span<const uint32_t> ids, bool skip_special) const;

  int64_t TokenId(std::string_view token) const;  // -1 = none

  // What the file says; only whoever pads and truncates needs it.
  struct Padding {
    bool given = false;
    uint32_t id = 0;
    uint32_t type_id = 0;
    bool left = false;
    bool truncate_left = false;
  };
  const Padding& padding() const { return padding_; }
  uint32_t vocabulary_size() const { return vocabulary_size_; }

 private:
  struct Destroy {
    void operator()(mlos_tokenizer* tokenizer) const;
  };
  explicit Tokenizer(mlos_tokenizer* handle);

  std::unique_ptr<mlos_tokenizer, Destroy> handle_;
  Padding padding_;
  uint32_t vocabulary_size_ = 0;
};

}  // namespace mlos::preprocess
