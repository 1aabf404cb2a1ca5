// SPDX-License-Identifier: Apache-2.0
#include "sched/executor.h"

#include <algorithm>

namespace mlos::sched {

Executor::Executor(const ExecutorOptions& options, Clock& clock) : options_(options), clock_(clock) {
  for (int i = 0; i < std::max(1, options_.threads); ++i) threads_.emplace_back([this] { WorkerLoop(); });
}

Executor::~Executor() {
  std::array<std::map<Key, Task>, kTaskClasses> left;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    left.swap(queues_);
    queued_ = 0;
  }
  work_.NotifyAll();
  for (auto& queue : left) {
    for (auto& [key, task] : queue) task.drop(Unavailable("the server is shutting down"));
  }
  for (std::thread& thread : threads_) thread.join();
}

void Executor::Submit(Task task) {
  if (TakeInlineSlot(task)) {
    task.run();
    bool waiting = false;
    {
      MutexLock lock(mu_);
      --running_;
      waiting = queued_ > 0;
    }
    // A task may have queued up behind the inline one. A wake for nothing costs more than a short model.
    if (waiting) work_.NotifyOne();
    return;
  }
  Status refused;
  {
    MutexLock lock(mu_);
    if (stopping_) {
      refused = Unavailable("the server is shutting down");
    } else if (queued_ >= options_.max_queue) {
      refused = Unavailable("the queue is full (" + std::to_string(queued_) + " requests wait): retry later");
    } else {
      const int64_t deadline = task.deadline_ns > 0 ? task.deadline_ns : std::numeric_limits<int64_t>::max();
      auto& queue = queues_[static_cast<size_t>(task.task_class)];
      queue.emplace(Key{deadline, next_sequence_++}, std::move(task));
      ++queued_;
    }
  }
  if (refused.ok()) {
    work_.NotifyOne();
  } else {
    task.drop(std::move(refused));
  }
}

bool Executor::TakeInlineSlot(const Task& task) {
  if (task.predicted_ns <= 0 || task.predicted_ns >= options_.inline_below_ns) return false;
  if (task.deadline_ns > 0 && clock_.MonotonicNs() > task.deadline_ns) return false;
  MutexLock lock(mu_);
  if (stopping_ || queued_ > 0 || running_ >= threads_.size()) return false;
  ++running_;
  return true;
}

Task Executor::PopLocked() {
  for (auto& queue : queues_) {
    if (queue.empty()) continue;
    Task task = std::move(queue.begin()->second);
    queue.erase(queue.begin());
    --queued_;
    return task;
  }
  return {};
}

void Executor::WorkerLoop() {
  while (true) {
    Task task;
    {
      MutexLock lock(mu_);
      while (!stopping_ && (queued_ == 0 || running_ >= threads_.size())) work_.Wait(mu_);
      if (stopping_) return;
      task = PopLocked();
      ++running_;
    }
    if (task.deadline_ns > 0 && clock_.MonotonicNs() > task.deadline_ns) {
      task.drop(DeadlineExceeded("the deadline passed while the request waited in the queue"));
    } else {
      task.run();
    }
    MutexLock lock(mu_);
    --running_;
  }
}

size_t Executor::queued() const {
  MutexLock lock(mu_);
  return queued_;
}

size_t Executor::running() const {
  MutexLock lock(mu_);
  return running_;
}

}  // namespace mlos::sched
