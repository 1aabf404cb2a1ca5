// SPDX-License-Identifier: Apache-2.0
// One generate() call from its parameters to its last piece of text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "call.h"
#include "sampler.h"
#include "smi/smi.h"
#include "status.h"
#include "text.h"
#include "vocabulary.h"

namespace mlos::llama {

struct GenerationParams {
  SamplingParams sampling;
  std::vector<std::string> stop;
  uint32_t max_tokens = 0;  // 0 = until the context is full
  int64_t deadline_ns = 0;
};

// Checks ranges and copies; SMI_INVALID_ARGUMENT names the parameter. Draws a seed when params.seed is 0.
Status ParseGenerateParams(const smi_generate_params& params, GenerationParams* parsed);

// Used by one thread at a time: the caller's until Submit, then the decode loop's.
class Generation final : public smi_call {
 public:
  // `prompt` is not empty and shorter than `context_length`.
  Generation(GenerationParams params, std::vector<int32_t> prompt, uint32_t context_length,
             const smi_text_sink& sink);

  // --- the prompt
  std::span<const int32_t> prompt_left() const { return std::span(prompt_).subspan(prompt_done_); }
  void PromptDone(size_t n_tokens) { prompt_done_ += n_tokens; }
  bool in_prompt() const { return prompt_done_ < prompt_.size(); }

  // --- the answer
  // Takes the logits after the last token: draws the next token and hands out what text is complete. False when the
  // generation is over; then outcome() and finish() are set.
  bool Next(std::span<float> logits, const Vocabulary& vocabulary);
  int32_t last_token() const { return last_token_; }
  // Position of the next token to be decoded.
  int32_t position() const { return static_cast<int32_t>(prompt_done_ + decoded_); }
  void LastTokenDecoded() { ++decoded_; }
  void Stop(Status status) { outcome_ = std::move(status); }

  void Started(int64_t now_ns) { started_ns_ = now_ns; }

  // Calls sink.done(), after `counters` are up to date. Last.
  void Done(Counters* counters);

  // Constant while a loop owns the call
  int32_t sequence = -1;   // of the engine's cache
  int32_t batch_row = -1;  // row of this step's batch whose logits are wanted; -1 = none

 private:
  bool Emit(std::string text);
  bool Finish(smi_finish finish);

  // Constant after construction
  const GenerationParams params_;
  const std::vector<int32_t> prompt_;
  const uint32_t most_tokens_;  // of the answer
  smi_text_sink sink_;
  const int64_t accepted_ns_;

  Sampler sampler_;
  Utf8Assembler assembler_;
  StopMatcher stops_;
  size_t prompt_done_ = 0;
  size_t decoded_ = 0;
  int32_t last_token_ = -1;
  uint32_t drawn_ = 0;   // tokens of the answer
  uint32_t untold_ = 0;  // of those, not yet told to the sink
  int64_t started_ns_ = 0;
  int64_t first_token_ns_ = 0;
  smi_finish finish_ = SMI_FINISH_NONE;
  Status outcome_;
};

}  // namespace mlos::llama
