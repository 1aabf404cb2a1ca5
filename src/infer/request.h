// SPDX-License-Identifier: Apache-2.0
// One inference, independent of the protocol it came by: what is asked (Request), what is answered (Response), where
// the answer goes (ResponseSink).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "infer/trace.h"
#include "tensor/tensor.h"

namespace mlos {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

enum class Priority { kRealtime, kHigh, kNormal, kBatch };
std::string_view PriorityName(Priority priority);  // "realtime", "high", "normal", "batch"
// One of these names; nothing for any other text.
std::optional<Priority> ParsePriority(std::string_view name);
inline constexpr std::string_view kPriorityNames = "realtime, high, normal, batch";

// Set once by whoever gives up; looked at, or listened to, by whoever works. Thread-safe.
class CancelToken {
 public:
  // Calls the listeners on this thread before it returns.
  void Cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // `listener` runs at most once: in Cancel(), or at once when that has been called already. It must be short and must
  // neither add nor remove listeners. Returns the id to remove it by.
  uint64_t AddListener(std::function<void()> listener);
  // Waits for the listener if it is running; afterwards it never runs.
  void RemoveListener(uint64_t id);

 private:
  std::atomic<bool> cancelled_{false};
  Mutex mu_;
  uint64_t last_id_ MLOS_GUARDED_BY(mu_) = 0;
  std::vector<std::pair<uint64_t, std::function<void()>>> listeners_ MLOS_GUARDED_BY(mu_);
};

struct ChatMessage {
  std::string role;
  std::string content;
};

// Text generation. Ranges as in smi_generate_params; the front end has checked them.
struct Generation {
  std::string prompt;                 // used when messages is empty
  std::vector<ChatMessage> messages;  // formatted with the model's chat template
  std::vector<std::string> stop;
  uint32_t max_tokens = 0;  // 0 = until the context is full
  float temperature = 0.8F;
  float top_p = 0.95F;
  float min_p = 0.05F;
  float repeat_penalty = 1.0F;
  int32_t top_k = 40;
  uint64_t seed = 0;    // 0 = random
  bool stream = false;  // text goes to ResponseSink::OnText piece by piece
};

struct Request {
  std::string model_id;    // "namespace/name@version"
  std::string request_id;  // of the client, or made by the front end
  // Exactly one of the three is filled.
  std::vector<NamedTensor> inputs;
  std::vector<std::string> texts;  // for a model whose package tokenizes (ModelInterface::accepts_text)
  std::optional<Generation> generation;

  std::vector<std::string> outputs;  // names wanted; empty = all
  Priority priority = Priority::kNormal;
  int64_t deadline_ns = 0;                    // CLOCK_MONOTONIC; 0 = none
  std::shared_ptr<CancelToken> cancel;        // may be null
  uint32_t n_threads = 0;                     // most CPU threads for this execution; 0 = as loaded
  std::shared_ptr<TensorArena> output_arena;  // where outputs are best put; may be null
  // How long the model stays loaded after this request, in nanoseconds; negative = for ever; unset = the model's own.
  std::optional<int64_t> keep_alive_ns;
  // Where the front end wants to be told of the time; comes back in Response::trace, refused or not. May be null.
  std::unique_ptr<Trace> trace;
};

enum class FinishReason { kNone, kStop, kLength, kCancelled };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", "cancelled", ""

// All times in nanoseconds.
struct Timing {
  int64_t queue_ns = 0;    // admitted -> started
  int64_t prepare_ns = 0;  // tokenizing, defaults
  int64_t compute_ns = 0;  // inside the engine; for generation: prompt + evaluation
  int64_t finish_ns = 0;   // outputs copied, pooled
  int64_t total_ns = 0;    // admitted -> answered
  int64_t prompt_ns = 0;   // generation only
  int64_t eval_ns = 0;     // generation only
};

struct Response {
  std::vector<NamedTensor> outputs;
  std::string text;  // generation: all of it, also when it was streamed
  FinishReason finish = FinishReason::kNone;
  uint32_t prompt_tokens = 0;  // generation, and text inputs that were tokenized
  uint32_t completion_tokens = 0;
  std::vector<std::string> warnings;  // for people: "input 2 was truncated from 312 to 256 tokens"
  std::string model_version;
  Timing timing;
  std::unique_ptr<Trace> trace;  // the request's
  // Of a refusal (kUnavailable, kResourceExhausted): when to try again; 0 = not known.
  int64_t retry_after_ns = 0;
};

// Calls never overlap; they come from any thread. OnDone comes exactly once and last.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  // Streamed text, whole UTF-8 characters. False = stop generating; OnDone follows.
  virtual bool OnText(std::string_view piece) {
    (void)piece;
    return true;
  }
  // `response` is meaningful only when `status` is OK, but for trace and retry_after_ns.
  virtual void OnDone(Status status, Response response) = 0;
};

}  // namespace mlos
