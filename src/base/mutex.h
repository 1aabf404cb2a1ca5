// SPDX-License-Identifier: Apache-2.0
// Mutex with clang's thread-safety annotations; libstdc++'s std::mutex carries none, so GUARDED_BY would go unchecked.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MLOS_TSA_(x) __attribute__((x))
#else
#define MLOS_TSA_(x)
#endif
#define MLOS_CAPABILITY(x) MLOS_TSA_(capability(x))
#define MLOS_SCOPED_CAPABILITY MLOS_TSA_(scoped_lockable)
#define MLOS_GUARDED_BY(x) MLOS_TSA_(guarded_by(x))
#define MLOS_PT_GUARDED_BY(x) MLOS_TSA_(pt_guarded_by(x))
#define MLOS_REQUIRES(...) MLOS_TSA_(requires_capability(__VA_ARGS__))
#define MLOS_ACQUIRE(...) MLOS_TSA_(acquire_capability(__VA_ARGS__))
#define MLOS_RELEASE(...) MLOS_TSA_(release_capability(__VA_ARGS__))
#define MLOS_EXCLUDES(...) MLOS_TSA_(locks_excluded(__VA_ARGS__))
#define MLOS_NO_THREAD_SAFETY_ANALYSIS MLOS_TSA_(no_thread_safety_analysis)

namespace mlos {

class MLOS_CAPABILITY("mutex") Mutex {
 public:
  void Lock() MLOS_ACQUIRE() { mu_.lock(); }
  void Unlock() MLOS_RELEASE() { mu_.unlock(); }
  // False, without waiting, when another thread has it.
  bool TryLock() MLOS_TSA_(try_acquire_capability(true)) { return mu_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class MLOS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mu) MLOS_ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() MLOS_RELEASE() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

// Waits release the mutex, which the caller must hold, and take it again before they return.
class CondVar {
 public:
  void Wait(Mutex& mu) MLOS_REQUIRES(mu) MLOS_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // False when `timeout` passed without a notification.
  template <typename Rep, typename Period>
  bool WaitFor(Mutex& mu, std::chrono::duration<Rep, Period> timeout)
      MLOS_REQUIRES(mu) MLOS_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    const bool notified = cv_.wait_for(lock, timeout) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace mlos
