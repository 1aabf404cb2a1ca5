// SPDX-License-Identifier: Apache-2.0
#include "worker/call_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/clock.h"
#include "os/futex.h"
#include "worker/link/payload.h"

namespace mlos::worker {
namespace {

// A text longer than this goes in several messages.
constexpr size_t kTextPart = 1 << 20;
// After so many looks in vain only every kLookEvery-th thread that has nothing to do looks before it sleeps.
constexpr uint32_t kMostMisses = 4;
constexpr uint32_t kLookEvery = 16;

// Keeps the mapping alive while inputs view it; the host takes their blocks back itself.
class BorrowedArena final : public TensorArena {
 public:
  explicit BorrowedArena(std::shared_ptr<os::SharedMemory> memory) : memory_(std::move(memory)) {}
  std::byte* Allocate(size_t) override { return nullptr; }
  void Free(std::byte*) override {}

 private:
  const std::shared_ptr<os::SharedMemory> memory_;
};

}  // namespace

// Hands what the plugin answers to the host.
class CallSink final : public ResponseSink {
 public:
  CallSink(CallPool& pool, uint32_t index, uint64_t call_id, std::shared_ptr<CancelToken> cancel)
      : pool_(pool), index_(index), call_id_(call_id), cancel_(std::move(cancel)) {}

  bool OnText(std::string_view piece) override {
    streamed_ = true;
    return !cancel_->cancelled() && Send(piece);
  }
  void OnDone(Status status, Response response) override {
    if (status.ok() && !streamed_ && !response.text.empty()) {
      for (std::string_view rest = response.text; !rest.empty();
           rest.remove_prefix(std::min(rest.size(), kTextPart))) {
        Send(rest.substr(0, kTextPart));
      }
    }
    pool_.Finish(index_, call_id_, status, std::move(response));
  }

 private:
  bool Send(std::string_view text) {
    return pool_.channel_.Send(MessageType::kText, call_id_, std::as_bytes(std::span(text)), true).ok();
  }

  CallPool& pool_;
  const uint32_t index_;
  const uint64_t call_id_;
  const std::shared_ptr<CancelToken> cancel_;
  bool streamed_ = false;
};

CallPool::CallPool(SharedParts parts, Channel& channel, plugin::Instance& instance, uint32_t max_threads,
                   uint32_t spin_us)
    : parts_(std::move(parts)),
      control_(parts_.control->data()),
      channel_(channel),
      instance_(instance),
      max_threads_(std::max<uint32_t>(max_threads, 1)),
      spin_ns_(int64_t{spin_us} * 1000),
      borrowed_(std::make_shared<BorrowedArena>(parts_.input)) {
  MutexLock lock(mu_);
  StartThread();
}

CallPool::~CallPool() {
  stopping_.store(true);
  ControlHeader& header = control_.header();
  header.doorbell.fetch_add(1);
  os::FutexWake(header.doorbell, static_cast<int>(kSlots));
  // No thread is started any more: only a thread that takes a request starts one, and the host sends none.
  std::vector<std::thread> threads;
  {
    MutexLock lock(mu_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void CallPool::StartThread() {
  idle_.fetch_add(1);
  threads_.emplace_back([this] { Loop(); });
}

void CallPool::Loop() {
  uint32_t index = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (!LookFor(&index)) {
      Sleep();
      continue;
    }
    if (idle_.fetch_sub(1) == 1) {
      MutexLock lock(mu_);
      if (threads_.size() < max_threads_ && !stopping_.load()) StartThread();
    }
    Serve(index);
    idle_.fetch_add(1);
  }
}

bool CallPool::LookFor(uint32_t* index) {
  if (Take(index)) return true;
  if (spin_ns_ == 0 || !WorthLooking()) return false;
  ControlHeader& header = control_.header();
  // One is enough: it wakes the next when there is more than it takes. A second would only take its CPU.
  uint32_t nobody = 0;
  if (!header.lookers.compare_exchange_strong(nobody, 1)) return false;
  const bool found = os::LookFor(
      [&] {
        return header.submit_tail.load(std::memory_order_relaxed) !=
               header.submit_head.load(std::memory_order_relaxed);
      },
      spin_ns_);
  header.lookers.store(0);
  misses_.store(found ? 0 : misses_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return Take(index);
}

// Requests that come far apart are not looked for, but for one time in a while.
bool CallPool::WorthLooking() {
  const uint32_t misses = misses_.load(std::memory_order_relaxed);
  if (misses < kMostMisses) return true;
  misses_.store(misses + 1, std::memory_order_relaxed);
  return misses % kLookEvery == 0;
}

void CallPool::Sleep() {
  ControlHeader& header = control_.header();
  header.sleepers.fetch_add(1);
  const uint32_t bell = header.doorbell.load();
  // The host raises the tail before it looks for sleepers; so one of the two sees the other.
  if (header.submit_tail.load() == header.submit_head.load() && !stopping_.load()) {
    os::FutexWait(header.doorbell, bell, -1);
  }
  header.sleepers.fetch_sub(1);
}

bool CallPool::Take(uint32_t* index) {
  ControlHeader& header = control_.header();
  bool more = false;
  {
    MutexLock lock(take_mu_);
    const uint64_t tail = header.submit_tail.load(std::memory_order_acquire);
    if (tail == head_) return false;
    *index = control_.submission(head_).load(std::memory_order_relaxed);
    header.submit_head.store(++head_);
    more = tail != head_;
  }
  // Whoever was woken or looked takes one; the next sleeper is for the next request.
  if (more && header.sleepers.load() > 0) {
    header.doorbell.fetch_add(1);
    os::FutexWake(header.doorbell, 1);
  }
  return *index < kSlots;
}

void CallPool::Serve(uint32_t index) {
  Slot& slot = control_.slot(index);
  const uint64_t call_id = slot.call_id;
  slot.started.store(1, std::memory_order_relaxed);
  Result<Request> request = Read(slot);
  const auto cancel = std::make_shared<CancelToken>();
  {
    MutexLock lock(mu_);
    running_[index] = {call_id, cancel};
  }
  // The host raises the flag before it sends Cancel; so one of the two finds the call.
  if (slot.cancel.load() != 0) cancel->Cancel();
  if (!request.ok()) {
    // The host wrote it soundly: something in this process has written over it since.
    Finish(index, call_id,
           Unavailable("the worker's shared memory is damaged (" + request.status().message() +
                       "): retry later"),
           {});
    return;
  }
  request->cancel = cancel;
  request->output_arena = parts_.output;
  instance_.Run(std::move(*request), std::make_unique<CallSink>(*this, index, call_id, cancel));
}

Result<Request> CallPool::Read(const Slot& slot) const {
  const uint32_t size = slot.request_bytes;
  const uint64_t block = slot.request_block;
  const std::span<std::byte> input(parts_.input->data(), parts_.input->size_bytes());
  if (block == kInline) {
    if (size > kPayloadBytes) return InvalidArgument("a request longer than its slot");
    std::array<std::byte, kPayloadBytes> own;
    std::memcpy(own.data(), slot.payload, size);
    return DecodeRequest(std::span(own).first(size), instance_.interface(), input, borrowed_);
  }
  if (!RangeFits(block, size, input.size())) return InvalidArgument("a request outside of the input arena");
  const std::span<const std::byte> shared = input.subspan(block, size);
  const std::vector<std::byte> own(shared.begin(), shared.end());
  return DecodeRequest(own, instance_.interface(), input, borrowed_);
}

void CallPool::Finish(uint32_t index, uint64_t call_id, const Status& status, Response response) {
  Slot& slot = control_.slot(index);
  Status placed = status.ok() ? CheckPlaced(response, *parts_.output) : status;
  Write(slot, placed, &response);
  {
    MutexLock lock(mu_);
    running_[index] = {};
  }
  slot.done.store(1);
  // The slot may be another call's from here on; a wake for nothing does no harm, and the host knows calls by their ids.
  switch (static_cast<Waiter>(slot.waiter.load())) {
    case Waiter::kNone:
      break;
    case Waiter::kFutex:
      os::FutexWake(slot.done, 1);
      break;
    case Waiter::kSocket:
      // A host that is gone needs no answer.
      (void)channel_.Send(MessageType::kComplete, call_id, {}, true);
      break;
  }
}

void CallPool::Write(Slot& slot, const Status& status, Response* response) {
  ByteWriter inline_writer(slot.payload);
  EncodeResponse(status, *response, instance_.interface(), *parts_.output, &inline_writer);
  slot.response_block = kInline;
  if (!inline_writer.fits()) {
    std::byte* const block = parts_.output->Allocate(inline_writer.size());
    if (block == nullptr) {
      response->outputs.clear();
      return Write(slot, Unavailable("the worker's memory for outputs is full: retry later"), response);
    }
    ByteWriter writer({block, inline_writer.size()});
    EncodeResponse(status, *response, instance_.interface(), *parts_.output, &writer);
    slot.response_block = *parts_.output->OffsetOf(block, inline_writer.size());
  }
  slot.response_bytes = static_cast<uint32_t>(inline_writer.size());
  // From here on the blocks are the host's, which gives them back through the release ring.
  if (!status.ok()) return;
  for (NamedTensor& output : response->outputs) {
    if (!output.tensor.data().empty()) output.tensor.Release();
  }
}

void CallPool::Cancel(uint64_t call_id) {
  std::shared_ptr<CancelToken> token;
  {
    MutexLock lock(mu_);
    const auto it =
        std::ranges::find_if(running_, [&](const Running& r) { return r.cancel && r.call_id == call_id; });
    if (it != running_.end()) token = it->cancel;
  }
  if (token) token->Cancel();
}

}  // namespace mlos::worker
