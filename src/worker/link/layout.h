// SPDX-License-Identifier: Apache-2.0
// The memory that a host and a worker share besides tensors: docs/formats/worker.md, "Control memory". Every offset here is
// part of the protocol.
//
//   0      ControlHeader
//   4096   submission ring: n_slots x uint32 slot numbers
//   ...    release ring: n_releases x uint64 offsets in the output arena
//   ...    n_slots x Slot
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mlos::worker {

inline constexpr uint32_t kProtocolVersion = 1;
inline constexpr uint64_t kControlMagic = 0x314B'5257'534F'4C4D;  // "MLOSWRK1"

inline constexpr uint32_t kSlots = 256;
inline constexpr uint32_t kReleases = 4096;
inline constexpr uint32_t kSubmitOffset = 4096;
inline constexpr uint32_t kReleaseOffset = kSubmitOffset + kSlots * sizeof(uint32_t) + 3072;
inline constexpr uint32_t kSlotsOffset = kReleaseOffset + kReleases * sizeof(uint64_t);
inline constexpr uint32_t kSlotBytes = 2048;
inline constexpr uint32_t kPayloadBytes = kSlotBytes - 64;
inline constexpr uint64_t kControlBytes = kSlotsOffset + uint64_t{kSlots} * kSlotBytes;
// In place of an offset: the payload is in the slot.
inline constexpr uint64_t kInline = ~uint64_t{0};

// How the host learns that a slot is done.
enum class Waiter : uint32_t {
  kNone = 0,    // it looks by itself
  kFutex = 1,   // it sleeps on Slot::done
  kSocket = 2,  // it wants a Complete message
};

struct ControlHeader {
  // Written by the host before the worker sees the memory, constant afterwards.
  uint64_t magic;
  uint32_t version;
  uint32_t n_slots;
  uint32_t slot_bytes;
  uint32_t n_releases;
  uint32_t submit_offset;
  uint32_t release_offset;
  uint32_t slots_offset;
  uint32_t reserved;
  uint64_t input_bytes;   // size of the input arena
  uint64_t output_bytes;  // size of the output arena
  // Counts of entries ever written and taken; the entry is the count modulo the ring's size.
  alignas(64) std::atomic<uint64_t> submit_tail;   // host
  alignas(64) std::atomic<uint64_t> submit_head;   // worker
  alignas(64) std::atomic<uint32_t> sleepers;      // worker: threads asleep on the doorbell
  std::atomic<uint32_t> lookers;                   // worker: threads that look at the tail without sleeping
  alignas(64) std::atomic<uint32_t> doorbell;      // host: raised when there are sleepers and no lookers
  alignas(64) std::atomic<uint64_t> release_tail;  // host
  alignas(64) std::atomic<uint64_t> release_head;  // worker
  // Written by the worker's event loop.
  alignas(64) std::atomic<uint64_t> heartbeat;
  std::atomic<uint64_t> tokens_prompt;
  std::atomic<uint64_t> tokens_generated;
  std::atomic<uint64_t> private_bytes;
  std::atomic<uint32_t> output_refused;  // 1: the system had no memory to back a part of the output arena
};

// One request under way. The host fills it and writes its number into the submission ring; the worker answers in place.
struct Slot {
  std::atomic<uint32_t> done;     // worker: 1 when the answer is there, last of all
  std::atomic<uint32_t> waiter;   // host: Waiter
  std::atomic<uint32_t> started;  // worker: 1 before it begins
  std::atomic<uint32_t> cancel;   // host: 1 asks it to stop
  uint64_t call_id;               // host
  uint32_t request_bytes;         // host
  uint32_t response_bytes;        // worker
  uint64_t request_block;         // host: offset in the input arena, or kInline
  uint64_t response_block;        // worker: offset in the output arena, or kInline
  uint64_t reserved[2];
  std::byte payload[kPayloadBytes];  // the request; once done the response
};

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);
static_assert(offsetof(ControlHeader, magic) == 0 && offsetof(ControlHeader, version) == 8);
static_assert(offsetof(ControlHeader, n_slots) == 12 && offsetof(ControlHeader, slot_bytes) == 16);
static_assert(offsetof(ControlHeader, n_releases) == 20 && offsetof(ControlHeader, submit_offset) == 24);
static_assert(offsetof(ControlHeader, release_offset) == 28 && offsetof(ControlHeader, slots_offset) == 32);
static_assert(offsetof(ControlHeader, input_bytes) == 40 && offsetof(ControlHeader, output_bytes) == 48);
static_assert(offsetof(ControlHeader, submit_tail) == 64 && offsetof(ControlHeader, submit_head) == 128);
static_assert(offsetof(ControlHeader, sleepers) == 192 && offsetof(ControlHeader, lookers) == 196 &&
              offsetof(ControlHeader, doorbell) == 256);
static_assert(offsetof(ControlHeader, release_tail) == 320 && offsetof(ControlHeader, release_head) == 384);
static_assert(offsetof(ControlHeader, heartbeat) == 448 && offsetof(ControlHeader, tokens_prompt) == 456);
static_assert(offsetof(ControlHeader, tokens_generated) == 464 &&
              offsetof(ControlHeader, private_bytes) == 472 &&
              offsetof(ControlHeader, output_refused) == 480);
static_assert(offsetof(Slot, done) == 0 && offsetof(Slot, waiter) == 4 && offsetof(Slot, started) == 8);
static_assert(offsetof(Slot, cancel) == 12 && offsetof(Slot, call_id) == 16 &&
              offsetof(Slot, request_bytes) == 24);
static_assert(offsetof(Slot, response_bytes) == 28 && offsetof(Slot, request_block) == 32);
static_assert(offsetof(Slot, response_block) == 40 && offsetof(Slot, payload) == 64);
static_assert(sizeof(Slot) == kSlotBytes && sizeof(ControlHeader) <= kSubmitOffset);
static_assert(kReleaseOffset == 8192 && kSlotsOffset == 40960);

// The control memory, seen by either side. The memory must be kControlBytes long and outlive this.
class ControlView {
 public:
  explicit ControlView(std::byte* base) : base_(base) {}
  ControlHeader& header() const { return *reinterpret_cast<ControlHeader*>(base_); }
  std::atomic<uint32_t>& submission(uint64_t count) const {
    return reinterpret_cast<std::atomic<uint32_t>*>(base_ + kSubmitOffset)[count % kSlots];
  }
  std::atomic<uint64_t>& release(uint64_t count) const {
    return reinterpret_cast<std::atomic<uint64_t>*>(base_ + kReleaseOffset)[count % kReleases];
  }
  // `index` < kSlots.
  Slot& slot(uint32_t index) const { return reinterpret_cast<Slot*>(base_ + kSlotsOffset)[index]; }

 private:
  std::byte* base_;
};

}  // namespace mlos::worker
