// SPDX-License-Identifier: Apache-2.0
// The one thread of a model that generates text: all running calls advance together, one engine batch a step.
//
// A step takes one token of every call that is generating, and fills the rest of the batch with prompts in order of
// arrival. How much of a prompt one step takes is bounded in time, so that those already generating keep their pace and
// a cancelled or late call is seen soon.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "call_queue.h"
#include "generation.h"
#include "llama.h"
#include "vocabulary.h"

namespace mlos::llama {

struct LoopLimits {
  uint32_t max_sequences = 1;
  uint32_t batch = 512;
  uint32_t max_queue = 256;
};

// Tokens of prompts for the next step: what is expected to take the longest a step may last, within [least, most].
// ns_per_token: measured, 0 = not yet known. `others`: calls are generating and wait for this step.
uint32_t PromptTokens(double ns_per_token, bool others, uint32_t most);

class DecodeLoop {
 public:
  // `context` (with room for limits.max_sequences whole contexts), `vocabulary` and `counters` must outlive this. Installs
  // the context's abort callback.
  DecodeLoop(llama_context* context, const Vocabulary& vocabulary, const LoopLimits& limits,
             Counters* counters);
  // Ends the thread; no call may be running.
  ~DecodeLoop();
  DecodeLoop(const DecodeLoop&) = delete;
  DecodeLoop& operator=(const DecodeLoop&) = delete;

  // Any thread. SMI_UNAVAILABLE when as many calls wait as may. Otherwise the call's sink gets its end, once.
  Status Submit(std::unique_ptr<smi_call> call);

  bool OnLoopThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  using Calls = std::vector<std::unique_ptr<Generation>>;

  void Run();
  void Admit();
  void EndStopped();
  void Step();
  void FillBatch();
  void AddToken(Generation& call, int32_t token, int32_t position, bool wants_logits);
  void AddPrompt(Generation& call, uint32_t n_tokens);
  int32_t Decode();
  void TakeLogits();
  void FailAll(const Status& status);
  void End(std::unique_ptr<Generation> call);
  static bool AbortStep(void* self);

  // Constant after construction
  llama_context* const context_;
  const Vocabulary& vocabulary_;
  const LoopLimits limits_;
  Counters* const counters_;
  CallQueue<smi_call> queue_;

  // Used by the loop's thread alone
  Calls running_;  // in order of arrival
  std::vector<int32_t> free_sequences_;
  llama_batch batch_;
  uint32_t prompt_tokens_in_batch_ = 0;
  double ns_per_prompt_token_ = 0;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace mlos::llama
