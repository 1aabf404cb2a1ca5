// SPDX-License-Identifier: Apache-2.0
// Where the time of one request went. The stages follow one another without gaps, so that they add up to the whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace mlos {

enum class Stage {
  kRead,      // first byte of the request -> its body is complete
  kDecode,    // bytes -> tensors
  kLoad,      // waited for the model to be loaded
  kAdmit,     // checks, prediction, text that is tokenized before it queues
  kQueue,     // waited for its turn
  kBatch,     // joined with the requests it ran with
  kDispatch,  // to the plugin and back: threads woken, messages to a worker
  kPrepare,   // tokenizing; the plugin's work before the engine
  kCompute,   // the engine
  kFinish,    // the plugin's work after the engine, pooling, splitting a batch
  kEncode,    // tensors -> bytes
  kWrite,     // bytes -> socket
  kCount,
};
inline constexpr size_t kStages = static_cast<size_t>(Stage::kCount);
std::string_view StageName(Stage stage);  // "read", "decode", ...

// Travels with the request and comes back with its response. Not thread-safe: whoever holds the request writes.
struct Trace {
  std::string request_id;
  std::string model_id;
  std::string model_version;  // "" when no model was reached
  std::string priority;       // "normal"
  Code code = Code::kOk;
  std::string message;            // of the error
  int64_t received_unix_ns = 0;   // wall clock
  int64_t deadline_after_ns = 0;  // from the first byte; 0 = none
  int64_t predicted_ns = 0;       // execution, as predicted when it started; 0 = not known
  uint32_t threads = 0;           // CPU threads it was given; 0 = as the model was loaded
  uint32_t batch_requests = 0;    // requests of the execution, this one included; 0 = never started
  uint32_t batch_rows = 0;        // rows of the execution
  uint32_t queued_before = 0;     // requests that waited when it came
  uint32_t slots_busy = 0;        // CPU slots taken when it came
  uint32_t slots = 0;             // CPU slots there are
  std::array<int64_t, kStages> ns{};
  int64_t begun_ns = 0;   // CLOCK_MONOTONIC of the first byte
  int64_t marked_ns = 0;  // of the last mark

  void Begin(int64_t now_ns) { begun_ns = marked_ns = now_ns; }
  // The time since the last mark belongs to `stage`.
  void Mark(Stage stage, int64_t now_ns);
  // The same for an execution of which the plugin says how it divides; what is left is dispatch.
  void MarkRun(int64_t now_ns, int64_t prepare_ns, int64_t compute_ns, int64_t finish_ns);
  // Of the time of `from`, up to `part_ns` was that of `to`.
  void Move(Stage from, Stage to, int64_t part_ns);
  int64_t of(Stage stage) const { return ns[static_cast<size_t>(stage)]; }
  int64_t total_ns() const { return marked_ns - begun_ns; }
};

}  // namespace mlos
