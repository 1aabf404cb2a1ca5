// SPDX-License-Identifier: Apache-2.0
// The one thread of an embedding model: calls in order of arrival, the texts of a call packed into as few steps as fit.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "call_queue.h"
#include "embedding.h"
#include "llama.h"

namespace mlos::llama {

struct EmbedLimits {
  uint32_t max_sequences = 1;  // texts of one step
  uint32_t batch = 512;        // tokens of one step
  uint32_t max_queue = 256;
  uint32_t n_threads = 1;
  uint32_t width = 0;  // numbers of a vector
  bool normalize = true;
};

class EmbedLoop {
 public:
  // `context` and `counters` must outlive this. Installs the context's abort callback.
  EmbedLoop(llama_context* context, const EmbedLimits& limits, Counters* counters);
  // Ends the thread; no call may be running.
  ~EmbedLoop();
  EmbedLoop(const EmbedLoop&) = delete;
  EmbedLoop& operator=(const EmbedLoop&) = delete;

  // Any thread. SMI_UNAVAILABLE when as many calls wait as may. Otherwise the call's sink gets its end, once.
  Status Submit(std::unique_ptr<smi_call> call);

  bool OnLoopThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Run();
  Status Work(Embedding& call);
  // Embeds texts [first, ...) as far as one step goes; `*n` = how many.
  Status Step(const Embedding& call, size_t first, float* vectors, size_t* n);
  Status CopyVector(int32_t sequence, float* to) const;
  static bool AbortStep(void* self);

  // Constant after construction
  llama_context* const context_;
  const EmbedLimits limits_;
  Counters* const counters_;
  CallQueue<smi_call> queue_;

  // Used by the loop's thread alone
  const Embedding* working_on_ = nullptr;
  llama_batch batch_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace mlos::llama
