// SPDX-License-Identifier: Apache-2.0
// What every running call has in common. smi_call is the type that the host holds a pointer to.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "smi/smi.h"
#include "status.h"

// Owned by the loop that works on it, from Submit until sink.done() has returned.
struct smi_call {
  explicit smi_call(int64_t deadline) : deadline_ns(deadline) {}
  virtual ~smi_call() = default;
  smi_call(const smi_call&) = delete;
  smi_call& operator=(const smi_call&) = delete;

  const int64_t deadline_ns;  // CLOCK_MONOTONIC; 0 = none
  std::atomic<bool> cancelled{false};
};

namespace mlos::llama {

// CLOCK_MONOTONIC: what libstdc++'s steady_clock is on Linux.
inline int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// SMI_OK while the call may go on; otherwise SMI_CANCELLED or SMI_DEADLINE_EXCEEDED.
inline smi_code WhyStop(const smi_call& call, int64_t now_ns) {
  if (call.cancelled.load(std::memory_order_relaxed)) return SMI_CANCELLED;
  return call.deadline_ns != 0 && now_ns >= call.deadline_ns ? SMI_DEADLINE_EXCEEDED : SMI_OK;
}

// The same, reading the clock only when it matters: the engine asks hundreds of times a step.
inline bool MustStop(const smi_call& call) {
  return call.cancelled.load(std::memory_order_relaxed) ||
         (call.deadline_ns != 0 && NowNs() >= call.deadline_ns);
}

inline Status StopStatus(smi_code code) {
  if (code == SMI_CANCELLED) return {code, "the call was cancelled"};
  return {code, "the call's deadline passed before it was finished"};
}

// Of one model. Any thread.
struct Counters {
  std::atomic<uint32_t> running{0};  // accepted, done() not yet called
  std::atomic<uint64_t> calls_ok{0};
  std::atomic<uint64_t> calls_failed{0};
  std::atomic<uint64_t> busy_ns{0};
  std::atomic<uint64_t> tokens_prompt{0};
  std::atomic<uint64_t> tokens_generated{0};

  // Before done() is called, so that a host told that the last call ended can unload at once.
  void Finished(smi_code code, int64_t wall_ns) {
    ++(code == SMI_OK ? calls_ok : calls_failed);
    busy_ns += static_cast<uint64_t>(wall_ns);
    --running;
  }
};

}  // namespace mlos::llama
