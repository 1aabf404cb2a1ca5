// SPDX-License-Identifier: Apache-2.0
#include "plugin/worker_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/clock.h"
#include "os/futex.h"

namespace mlos::plugin {

using worker::ControlHeader;
using worker::kInline;
using worker::kPayloadBytes;
using worker::kReleases;
using worker::kSlots;
using worker::MessageType;
using worker::Slot;
using worker::Waiter;

namespace {

// Written by the host into Slot::done when the worker is dead.
constexpr uint32_t kDeadMark = 2;
constexpr uint32_t kMaxPayloadBytes = 16 << 20;

}  // namespace

// The output arena as the host's tensors see it: a block that is freed goes back to the worker, by the release ring.
class WorkerLink::OutputView final : public TensorArena {
 public:
  OutputView(std::shared_ptr<os::SharedMemory> control, std::shared_ptr<os::SharedMemory> output)
      : control_(std::move(control)), output_(std::move(output)), view_(control_->data()) {}

  std::byte* Allocate(size_t) override { return nullptr; }

  void Free(std::byte* block) override {
    ControlHeader& header = view_.header();
    MutexLock lock(mu_);
    waiting_.push_back(static_cast<uint64_t>(block - output_->data()));
    const uint64_t used = tail_ - header.release_head.load(std::memory_order_acquire);
    // The worker's count may be anything; then the ring counts as full.
    uint64_t room = used <= kReleases ? kReleases - used : 0;
    for (; room > 0 && !waiting_.empty(); --room) {
      view_.release(tail_++).store(waiting_.back(), std::memory_order_relaxed);
      waiting_.pop_back();
    }
    header.release_tail.store(tail_, std::memory_order_release);
  }

 private:
  const std::shared_ptr<os::SharedMemory> control_;
  const std::shared_ptr<os::SharedMemory> output_;
  const worker::ControlView view_;
  Mutex mu_;
  uint64_t tail_ MLOS_GUARDED_BY(mu_) = 0;
  std::vector<uint64_t> waiting_ MLOS_GUARDED_BY(mu_);
};

WorkerLink::WorkerLink(std::shared_ptr<worker::Channel> channel, std::shared_ptr<os::SharedMemory> control,
                       std::shared_ptr<os::SharedMemory> output, std::shared_ptr<worker::SharedArena> inputs,
                       const ModelInterface& interface, int64_t spin_ns)
    : channel_(std::move(channel)),
      control_(std::move(control)),
      output_(std::move(output)),
      inputs_(std::move(inputs)),
      control_view_(control_->data()),
      interface_(interface),
      spin_ns_(spin_ns),
      output_view_(std::make_shared<OutputView>(control_, output_)) {
  for (uint32_t i = kSlots; i > 0; --i) free_slots_.push_back(i - 1);
}

Status WorkerLink::Submit(const std::shared_ptr<RemoteCall>& call, Waiter waiter) {
  {
    MutexLock lock(mu_);
    if (dead_.load(std::memory_order_relaxed) || retired_)
      return FailedPrecondition("the worker takes nothing more");
    if (free_slots_.empty()) {
      return Unavailable("the model's worker has " + std::to_string(kSlots) +
                         " requests already: retry later");
    }
    const uint32_t index = free_slots_.back();
    Slot& slot = control_view_.slot(index);
    worker::ByteWriter writer(slot.payload);
    EncodeRequest(call->request, interface_, *inputs_, &writer);
    slot.request_block = kInline;
    if (!writer.fits()) {
      if (writer.size() > kMaxPayloadBytes) {
        return TooLarge("a request of " + std::to_string(writer.size()) +
                        " bytes of text is too long for a worker");
      }
      call->request_block = inputs_->Allocate(writer.size());
      if (call->request_block == nullptr)
        return Unavailable("the shared memory for inputs is full: retry later");
      worker::ByteWriter big({call->request_block, writer.size()});
      EncodeRequest(call->request, interface_, *inputs_, &big);
      slot.request_block = *inputs_->OffsetOf(call->request_block, writer.size());
    }
    free_slots_.pop_back();
    call->slot = index;
    call->id = ++last_number_ * kSlots + index;
    ++call->attempts;
    slot.call_id = call->id;
    slot.request_bytes = static_cast<uint32_t>(writer.size());
    slot.done.store(0, std::memory_order_relaxed);
    slot.waiter.store(static_cast<uint32_t>(waiter), std::memory_order_relaxed);
    slot.started.store(0, std::memory_order_relaxed);
    // Whoever cancels sets stop_ns before it looks for the call here.
    slot.cancel.store(call->stop_ns.load() != 0 ? 1 : 0, std::memory_order_relaxed);
    calls_[index] = call;
    control_view_.submission(submit_tail_).store(index, std::memory_order_relaxed);
    control_view_.header().submit_tail.store(++submit_tail_);
  }
  Ring();
  return OkStatus();
}

// A thread that looks finds the request by itself, and wakes the next one when there is more than it takes.
void WorkerLink::Ring() {
  ControlHeader& header = control_view_.header();
  if (header.lookers.load() != 0 || header.sleepers.load() == 0) return;
  header.doorbell.fetch_add(1);
  os::FutexWake(header.doorbell, 1);
}

bool WorkerLink::Spin(const Slot& slot) {
  // Answers seem later than they are to a thread that sleeps, by about as much as looking may take: without that allowance, whoever
  // once slept would never look again.
  if (spin_ns_ == 0 || usual_ns() > 2 * spin_ns_) return false;
  return os::LookFor([&] { return slot.done.load(std::memory_order_acquire) != 0; }, spin_ns_);
}

WorkerLink::Outcome WorkerLink::WaitFor(const RemoteCall& call, int64_t until_ns) {
  Slot& slot = control_view_.slot(call.slot);
  const int64_t begun_ns = Clock::Real().MonotonicNs();
  if (!Spin(slot)) {
    slot.waiter.store(static_cast<uint32_t>(Waiter::kFutex));
    while (slot.done.load() == 0) {
      const int64_t left_ns = until_ns - Clock::Real().MonotonicNs();
      if (left_ns <= 0) return Outcome::kTimeout;
      os::FutexWait(slot.done, 0, left_ns);
    }
  }
  if (dead_.load() && slot.done.load() == kDeadMark) return Outcome::kDead;
  const int64_t took_ns = Clock::Real().MonotonicNs() - begun_ns;
  const int64_t before_ns = usual_ns();
  usual_ns_.store(before_ns < 0 ? took_ns : before_ns + (took_ns - before_ns) / 8, std::memory_order_relaxed);
  return Outcome::kDone;
}

bool WorkerLink::Detach(const RemoteCall& call) {
  MutexLock lock(mu_);
  if (calls_[call.slot] == nullptr || calls_[call.slot]->id != call.id) return true;
  Slot& slot = control_view_.slot(call.slot);
  slot.waiter.store(static_cast<uint32_t>(Waiter::kSocket));
  return slot.done.load() == 0;
}

void WorkerLink::FreeSlot(RemoteCall& call) {
  if (call.request_block != nullptr) inputs_->Free(std::exchange(call.request_block, nullptr));
  calls_[call.slot] = nullptr;
  free_slots_.push_back(call.slot);
}

std::optional<Result<worker::DecodedResponse>> WorkerLink::Take(const std::shared_ptr<RemoteCall>& call) {
  {
    MutexLock lock(mu_);
    if (calls_[call->slot] != call) return std::nullopt;
    // Nobody else finds it from here on; the slot itself is freed once it has been read.
    calls_[call->slot] = nullptr;
  }
  auto response = Read(*call);
  MutexLock lock(mu_);
  FreeSlot(*call);
  return response;
}

Result<worker::DecodedResponse> WorkerLink::Read(const RemoteCall& call) const {
  const Slot& slot = control_view_.slot(call.slot);
  const std::span<std::byte> output(output_->data(), output_->size_bytes());
  const uint32_t size = slot.response_bytes;
  const uint64_t block = slot.response_block;
  const std::vector<std::string>& wanted = call.request.outputs;
  if (block == kInline) {
    if (size > kPayloadBytes) return Internal("the worker's answer is longer than its slot");
    std::array<std::byte, kPayloadBytes> own;
    std::memcpy(own.data(), slot.payload, size);
    return worker::DecodeResponse(std::span(own).first(size), interface_, wanted, output, output_view_);
  }
  if (size > kMaxPayloadBytes || !RangeFits(block, size, output.size())) {
    return Internal("the worker's answer lies outside of its memory");
  }
  const std::vector<std::byte> own(output.begin() + static_cast<std::ptrdiff_t>(block),
                                   output.begin() + static_cast<std::ptrdiff_t>(block + size));
  output_view_->Free(output.data() + block);
  return worker::DecodeResponse(own, interface_, wanted, output, output_view_);
}

void WorkerLink::Retire() {
  MutexLock lock(mu_);
  retired_ = true;
}

void WorkerLink::Cancel(const RemoteCall& call) {
  uint64_t id = 0;
  {
    MutexLock lock(mu_);
    if (calls_[call.slot].get() != &call) return;
    id = call.id;
    control_view_.slot(call.slot).cancel.store(1);
  }
  // A socket that is full belongs to a worker that does not read, which the supervisor finds out.
  (void)channel_->Send(MessageType::kCancel, id, {}, false);
}

std::shared_ptr<RemoteCall> WorkerLink::Find(uint64_t call_id) {
  MutexLock lock(mu_);
  const auto& call = calls_[call_id % kSlots];
  return call != nullptr && call->id == call_id ? call : nullptr;
}

std::vector<std::shared_ptr<RemoteCall>> WorkerLink::Calls() {
  std::vector<std::shared_ptr<RemoteCall>> out;
  MutexLock lock(mu_);
  std::ranges::copy_if(calls_, std::back_inserter(out), [](const auto& call) { return call != nullptr; });
  return out;
}

std::vector<WorkerLink::Lost> WorkerLink::Die() {
  std::vector<Lost> out;
  MutexLock lock(mu_);
  dead_.store(true);
  for (const auto& call : calls_) {
    if (call == nullptr) continue;
    Slot& slot = control_view_.slot(call->slot);
    uint32_t none = 0;
    const bool answered = !slot.done.compare_exchange_strong(none, kDeadMark) && none == 1;
    out.push_back({call, slot.started.load() != 0, answered});
  }
  for (const Lost& lost : out) {
    // Whoever waits for an answer that is there takes it.
    if (!lost.answered) FreeSlot(*lost.call);
    os::FutexWake(control_view_.slot(lost.call->slot).done, 1);
  }
  return out;
}

}  // namespace mlos::plugin
