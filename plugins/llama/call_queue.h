// SPDX-License-Identifier: Apache-2.0
// Calls that wait for a model's thread, in order of arrival.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "call.h"

namespace mlos::llama {

// Invariants: at most `capacity` calls wait; once closed it takes none; every call taken in is handed out exactly once.
template <typename Call>
class CallQueue {
 public:
  // `places`: calls the worker works on side by side; those it would start at once do not count as waiting.
  CallQueue(size_t capacity, size_t places) : capacity_(capacity), free_places_(places) {}

  // False, and `call` untouched, when full or closed. Any thread.
  bool Push(std::unique_ptr<Call>& call) {
    std::lock_guard lock(mutex_);
    if (closed_ || calls_.size() >= capacity_ + free_places_) return false;
    calls_.push_back(std::move(call));
    ready_.notify_one();
    return true;
  }

  // One of the calls handed out by Pop() has ended: the worker could start another.
  void PlaceFreed() {
    std::lock_guard lock(mutex_);
    ++free_places_;
  }

  // Blocks until there is a call or the queue is closed; false when it is closed and empty. Worker's thread.
  bool Wait() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return closed_ || !calls_.empty(); });
    return !calls_.empty();
  }

  // The oldest, for the worker to start; null when empty.
  std::unique_ptr<Call> Pop() {
    std::lock_guard lock(mutex_);
    if (calls_.empty()) return nullptr;
    std::unique_ptr<Call> call = std::move(calls_.front());
    calls_.pop_front();
    if (free_places_ > 0) --free_places_;
    return call;
  }

  // Those that were cancelled or are too late.
  std::vector<std::unique_ptr<Call>> TakeStopped(int64_t now_ns) {
    std::vector<std::unique_ptr<Call>> stopped;
    std::lock_guard lock(mutex_);
    for (auto it = calls_.begin(); it != calls_.end();) {
      if (WhyStop(**it, now_ns) == SMI_OK) {
        ++it;
      } else {
        stopped.push_back(std::move(*it));
        it = calls_.erase(it);
      }
    }
    return stopped;
  }

  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ready_.notify_all();
  }

 private:
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable ready_;
  // Guarded by mutex_
  std::deque<std::unique_ptr<Call>> calls_;
  size_t free_places_;
  bool closed_ = false;
};

}  // namespace mlos::llama
