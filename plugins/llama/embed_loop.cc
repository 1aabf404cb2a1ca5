// SPDX-License-Identifier: Apache-2.0
#include "embed_loop.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "assertions.h"
#include "log.h"

namespace mlos::llama {

EmbedLoop::EmbedLoop(llama_context* context, const EmbedLimits& limits, Counters* counters)
    : context_(context), limits_(limits), counters_(counters), queue_(limits.max_queue, 1) {
  batch_ = llama_batch_init(static_cast<int32_t>(limits.batch), 0, 1);
  llama_set_abort_callback(context, &EmbedLoop::AbortStep, this);
  thread_ = std::thread(&EmbedLoop::Run, this);
}

EmbedLoop::~EmbedLoop() {
  queue_.Close();
  thread_.join();
  llama_set_abort_callback(context_, nullptr, nullptr);
  llama_batch_free(batch_);
}

Status EmbedLoop::Submit(std::unique_ptr<smi_call> call) {
  ++counters_->running;
  if (queue_.Push(call)) return Ok();
  --counters_->running;
  return Fail(SMI_UNAVAILABLE, limits_.max_queue, " calls wait for the model already: retry later");
}

void EmbedLoop::Run() {
  while (queue_.Wait()) {
    for (std::unique_ptr<smi_call>& stopped : queue_.TakeStopped(NowNs())) {
      auto& call = static_cast<Embedding&>(*stopped);
      const int64_t now = NowNs();
      call.Done(StopStatus(WhyStop(call, now)), now, counters_);
    }
    std::unique_ptr<smi_call> next = queue_.Pop();
    if (next == nullptr) continue;
    auto& call = static_cast<Embedding&>(*next);
    const int64_t started = NowNs();
    Status status;
    try {
      status = Work(call);
    } catch (const std::exception& error) {
      status = Fail(SMI_INTERNAL, "the engine failed: ", error.what());
    }
    queue_.PlaceFreed();
    call.Done(std::move(status), started, counters_);
  }
}

Status EmbedLoop::Work(Embedding& call) {
  const uint32_t threads =
      call.n_threads() == 0 ? limits_.n_threads : std::min(call.n_threads(), limits_.n_threads);
  llama_set_n_threads(context_, static_cast<int32_t>(threads), static_cast<int32_t>(threads));
  working_on_ = &call;
  float* vectors = call.Vectors(limits_.width);
  for (size_t first = 0; first < call.texts().size();) {
    if (const smi_code why = WhyStop(call, NowNs()); why != SMI_OK) return StopStatus(why);
    size_t n = 0;
    if (Status status = Step(call, first, vectors + first * limits_.width, &n); !status.ok()) return status;
    first += n;
  }
  return Ok();
}

Status EmbedLoop::Step(const Embedding& call, size_t first, float* vectors, size_t* n) {
  batch_.n_tokens = 0;
  int32_t sequence = 0;
  for (size_t i = first; i < call.texts().size() && sequence < static_cast<int32_t>(limits_.max_sequences);
       ++i) {
    const std::vector<int32_t>& tokens = call.texts()[i];
    if (static_cast<size_t>(batch_.n_tokens) + tokens.size() > limits_.batch) break;
    for (size_t position = 0; position < tokens.size(); ++position) {
      const int32_t row = batch_.n_tokens++;
      batch_.token[row] = tokens[position];
      batch_.pos[row] = static_cast<int32_t>(position);
      batch_.n_seq_id[row] = 1;
      batch_.seq_id[row][0] = sequence;
      batch_.logits[row] = 1;
    }
    ++sequence;
  }
  // A causal embedding model keeps a cache; each step starts with an empty one.
  if (llama_memory_t memory = llama_get_memory(context_)) llama_memory_clear(memory, /*data=*/false);
  ErrorCapture errors;
  AssertionsThrow assertions;
  const int32_t result = llama_decode(context_, batch_);
  if (result != 0) {
    const smi_code why = WhyStop(call, NowNs());
    if (why != SMI_OK) return StopStatus(why);
    return Fail(SMI_INTERNAL, "llama_decode failed with ", result, errors.text().empty() ? "" : ": ",
                errors.text());
  }
  for (int32_t i = 0; i < sequence; ++i) {
    if (Status status = CopyVector(i, vectors + static_cast<size_t>(i) * limits_.width); !status.ok())
      return status;
  }
  *n = static_cast<size_t>(sequence);
  return Ok();
}

Status EmbedLoop::CopyVector(int32_t sequence, float* to) const {
  const float* from = llama_get_embeddings_seq(context_, sequence);
  if (from == nullptr) return Fail(SMI_INTERNAL, "the engine gave no vector for a text");
  double squares = 0;
  for (uint32_t i = 0; i < limits_.width; ++i) squares += double{from[i]} * from[i];
  if (!std::isfinite(squares)) {
    return Fail(SMI_INTERNAL, "the model's output is not finite; its weights are probably damaged");
  }
  const double scale = limits_.normalize && squares > 0 ? 1 / std::sqrt(squares) : 1;
  for (uint32_t i = 0; i < limits_.width; ++i) to[i] = static_cast<float>(from[i] * scale);
  return Ok();
}

// Called by the engine between the parts of a step: true gives it up.
bool EmbedLoop::AbortStep(void* self) {
  const Embedding* call = static_cast<const EmbedLoop*>(self)->working_on_;
  return call != nullptr && MustStop(*call);
}

}  // namespace mlos::llama
