// SPDX-License-Identifier: Apache-2.0
#include "decode_loop.h"

#include <algorithm>
#include <exception>

#include "assertions.h"
#include "log.h"

namespace mlos::llama {
namespace {

// Long enough that a prompt runs near full speed in pieces; short enough for the calls it holds up.
constexpr double kStepWithOthersNs = 200e6;
constexpr double kStepAloneNs = 1e9;
constexpr uint32_t kLeastWithOthers = 16;
constexpr uint32_t kLeastAlone = 64;

// The engine's word for each result of llama_decode.
constexpr int32_t kDecoded = 0;
constexpr int32_t kNoCacheSlot = 1;
constexpr int32_t kAborted = 2;

}  // namespace

uint32_t PromptTokens(double ns_per_token, bool others, uint32_t most) {
  const uint32_t least = std::min(others ? kLeastWithOthers : kLeastAlone, most);
  if (ns_per_token <= 0) return others ? least : std::min(most, 2 * kLeastAlone);
  const double fits = (others ? kStepWithOthersNs : kStepAloneNs) / ns_per_token;
  return fits >= most ? most : std::max(least, static_cast<uint32_t>(fits));
}

DecodeLoop::DecodeLoop(llama_context* context, const Vocabulary& vocabulary, const LoopLimits& limits,
                       Counters* counters)
    : context_(context),
      vocabulary_(vocabulary),
      limits_(limits),
      counters_(counters),
      queue_(limits.max_queue, limits.max_sequences) {
  for (uint32_t i = limits.max_sequences; i > 0; --i) free_sequences_.push_back(static_cast<int32_t>(i - 1));
  batch_ = llama_batch_init(static_cast<int32_t>(limits.batch), 0, 1);
  llama_set_abort_callback(context, &DecodeLoop::AbortStep, this);
  thread_ = std::thread(&DecodeLoop::Run, this);
}

DecodeLoop::~DecodeLoop() {
  queue_.Close();
  thread_.join();
  llama_set_abort_callback(context_, nullptr, nullptr);
  llama_batch_free(batch_);
}

Status DecodeLoop::Submit(std::unique_ptr<smi_call> call) {
  ++counters_->running;
  if (queue_.Push(call)) return Ok();
  --counters_->running;
  return Fail(SMI_UNAVAILABLE, "all ", limits_.max_sequences, " sequences are busy and ", limits_.max_queue,
              " calls wait already: retry later");
}

void DecodeLoop::Run() {
  while (!running_.empty() || queue_.Wait()) {
    try {
      Admit();
      EndStopped();
      if (!running_.empty()) Step();
    } catch (const std::exception& error) {
      FailAll(Fail(SMI_INTERNAL, "the engine failed: ", error.what()));
    }
  }
}

void DecodeLoop::Admit() {
  while (!free_sequences_.empty()) {
    std::unique_ptr<smi_call> next = queue_.Pop();
    if (next == nullptr) break;
    std::unique_ptr<Generation> call(static_cast<Generation*>(next.release()));
    call->sequence = free_sequences_.back();
    free_sequences_.pop_back();
    call->Started(NowNs());
    running_.push_back(std::move(call));
  }
}

void DecodeLoop::EndStopped() {
  const int64_t now = NowNs();
  for (std::unique_ptr<smi_call>& waiting : queue_.TakeStopped(now)) {
    std::unique_ptr<Generation> call(static_cast<Generation*>(waiting.release()));
    call->Stop(StopStatus(WhyStop(*call, now)));
    End(std::move(call));
  }
  for (size_t i = 0; i < running_.size();) {
    const smi_code why = WhyStop(*running_[i], now);
    if (why == SMI_OK) {
      ++i;
      continue;
    }
    std::unique_ptr<Generation> call = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<ptrdiff_t>(i));
    call->Stop(StopStatus(why));
    End(std::move(call));
  }
}

void DecodeLoop::End(std::unique_ptr<Generation> call) {
  if (call->sequence >= 0) {
    llama_memory_seq_rm(llama_get_memory(context_), call->sequence, -1, -1);
    free_sequences_.push_back(call->sequence);
    queue_.PlaceFreed();
  }
  call->Done(counters_);
}

void DecodeLoop::AddToken(Generation& call, int32_t token, int32_t position, bool wants_logits) {
  const int32_t row = batch_.n_tokens++;
  batch_.token[row] = token;
  batch_.pos[row] = position;
  batch_.n_seq_id[row] = 1;
  batch_.seq_id[row][0] = call.sequence;
  batch_.logits[row] = wants_logits ? 1 : 0;
  if (wants_logits) call.batch_row = row;
}

void DecodeLoop::AddPrompt(Generation& call, uint32_t n_tokens) {
  const std::span<const int32_t> left = call.prompt_left();
  const size_t n = std::min<size_t>(n_tokens, left.size());
  int32_t position = call.position();
  for (size_t i = 0; i < n; ++i) AddToken(call, left[i], position++, i + 1 == left.size());
  call.PromptDone(n);
  prompt_tokens_in_batch_ += static_cast<uint32_t>(n);
}

void DecodeLoop::FillBatch() {
  batch_.n_tokens = 0;
  prompt_tokens_in_batch_ = 0;
  for (const auto& call : running_) {
    call->batch_row = -1;
    if (call->in_prompt()) continue;
    AddToken(*call, call->last_token(), call->position(), true);
    call->LastTokenDecoded();
  }
  const auto generating = static_cast<uint32_t>(batch_.n_tokens);
  const uint32_t most = PromptTokens(ns_per_prompt_token_, generating > 0, limits_.batch - generating);
  for (const auto& call : running_) {
    if (prompt_tokens_in_batch_ >= most) break;
    if (call->in_prompt()) AddPrompt(*call, most - prompt_tokens_in_batch_);
  }
}

// Called by the engine between the parts of a step: true gives the step up, when nobody wants its result any more.
bool DecodeLoop::AbortStep(void* self) {
  const auto& loop = *static_cast<const DecodeLoop*>(self);
  return std::all_of(loop.running_.begin(), loop.running_.end(),
                     [](const auto& call) { return MustStop(*call); });
}

int32_t DecodeLoop::Decode() {
  const int64_t before = NowNs();
  const int32_t result = llama_decode(context_, batch_);
  if (result == kDecoded && prompt_tokens_in_batch_ >= kLeastWithOthers) {
    const double ns = static_cast<double>(NowNs() - before) / batch_.n_tokens;
    // The newest counts most: the speed changes with the length of the context and with what else runs.
    ns_per_prompt_token_ = ns_per_prompt_token_ == 0 ? ns : 0.5 * (ns_per_prompt_token_ + ns);
  }
  return result;
}

void DecodeLoop::TakeLogits() {
  for (size_t i = 0; i < running_.size();) {
    Generation& call = *running_[i];
    bool goes_on = true;
    if (call.batch_row >= 0) {
      float* logits = llama_get_logits_ith(context_, call.batch_row);
      if (logits == nullptr) {
        call.Stop(Fail(SMI_INTERNAL, "the engine gave no output for a token"));
        goes_on = false;
      } else {
        goes_on = call.Next(std::span(logits, vocabulary_.size()), vocabulary_);
      }
    }
    if (goes_on) {
      ++i;
      continue;
    }
    std::unique_ptr<Generation> ended = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<ptrdiff_t>(i));
    End(std::move(ended));
  }
}

void DecodeLoop::Step() {
  FillBatch();
  ErrorCapture errors;
  AssertionsThrow assertions;
  switch (const int32_t result = Decode()) {
    case kDecoded:
      TakeLogits();
      break;
    case kAborted:
      EndStopped();  // every running call was stopped, or the step would not have been given up
      break;
    case kNoCacheSlot:
      FailAll(Fail(SMI_UNAVAILABLE, "the model's cache is full: retry later"));
      break;
    default:
      FailAll(Fail(SMI_INTERNAL, "llama_decode failed with ", result, errors.text().empty() ? "" : ": ",
                   errors.text()));
  }
}

void DecodeLoop::FailAll(const Status& status) {
  Calls failed;
  failed.swap(running_);
  for (auto& call : failed) {
    call->Stop(status);
    End(std::move(call));
  }
  llama_memory_clear(llama_get_memory(context_), true);
}

}  // namespace mlos::llama
