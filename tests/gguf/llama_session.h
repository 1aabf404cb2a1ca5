// SPDX-License-Identifier: Apache-2.0
// A GGUF file in llama.cpp, with caches of 32 bits, for comparing numbers.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <llama.h>

namespace mlos::convert {

class LlamaSession {
 public:
  explicit LlamaSession(const std::filesystem::path& path) {
    llama_log_set(
        [](ggml_log_level level, const char* text, void*) {
          if (level >= GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
        },
        nullptr);
    llama_backend_init();
    llama_model_params params = llama_model_default_params();
    params.use_extra_bufts = false;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    if (model_ == nullptr) return;
    llama_context_params context = llama_context_default_params();
    context.n_ctx = 128;  // which becomes 256
    context.n_batch = 128;
    context.n_ubatch = 128;
    context.n_threads = 1;
    context.n_threads_batch = 1;
    context.type_k = GGML_TYPE_F32;
    context.type_v = GGML_TYPE_F32;
    context.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    context_.reset(llama_init_from_model(model_.get(), context));
  }
  bool ok() const { return context_ != nullptr; }

  std::vector<int32_t> Tokens(const std::string& text) const {
    std::vector<int32_t> ids(text.size() + 16);
    const int n =
        llama_tokenize(vocabulary(), text.data(), static_cast<int32_t>(text.size()), ids.data(),
                       static_cast<int32_t>(ids.size()), /*add_special=*/true, /*parse_special=*/true);
    ids.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return ids;
  }

  // Of every position, one after another.
  std::vector<float> Logits(const std::vector<int32_t>& ids) {
    llama_memory_clear(llama_get_memory(context_.get()), true);
    const auto n = static_cast<int32_t>(ids.size());
    llama_batch batch = llama_batch_init(n, 0, 1);
    batch.n_tokens = n;
    for (int32_t i = 0; i < n; ++i) {
      batch.token[i] = ids[static_cast<size_t>(i)];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    std::vector<float> out;
    const auto rows = static_cast<size_t>(llama_vocab_n_tokens(vocabulary()));
    if (llama_decode(context_.get(), batch) == 0) {
      for (int32_t i = 0; i < n; ++i) {
        const float* logits = llama_get_logits_ith(context_.get(), i);
        out.insert(out.end(), logits, logits + rows);
      }
    }
    llama_batch_free(batch);
    return out;
  }

  const llama_vocab* vocabulary() const { return llama_model_get_vocab(model_.get()); }
  const llama_model* model() const { return model_.get(); }

 private:
  struct Free {
    void operator()(llama_model* model) const { llama_model_free(model); }
    void operator()(llama_context* context) const { llama_free(context); }
  };
  std::unique_ptr<llama_model, Free> model_;
  std::unique_ptr<llama_context, Free> context_;
};

}  // namespace mlos::convert
