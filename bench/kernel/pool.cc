// SPDX-License-Identifier: Apache-2.0
// Blocks of 4 KiB taken and given back: the pool in shared memory against malloc and a list behind a mutex. Prints lines of JSON.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "resources/backend.h"
#include "resources/tensor_pool.h"

namespace {

using mlos::resources::TensorPool;
using mlos::resources::TensorPoolCache;

constexpr uint32_t kBlockBytes = 4096;
constexpr int kRounds = 7;

int64_t NowNs() { return mlos::Clock::Real().MonotonicNs(); }

// Pairs a second of each thread, in millions, when `threads` run `loop(pairs)` at once.
template <typename Loop>
double Measure(int threads, uint64_t pairs, const Loop& loop) {
  std::atomic<int> ready{0};
  std::vector<std::thread> running;
  std::vector<double> rates(threads);
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      ready.fetch_add(1);
      while (ready.load() != threads) std::this_thread::yield();
      const int64_t start = NowNs();
      loop(pairs);
      rates[t] = static_cast<double>(pairs) * 1e3 / static_cast<double>(NowNs() - start);
    });
  }
  for (std::thread& thread : running) thread.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum / threads;
}

void Print(const char* name, int threads, int round, double rate) {
  std::printf("{\"part\":\"pool\",\"name\":\"%s\",\"threads\":%d,\"round\":%d,\"million_a_second\":%.3f}\n",
              name, threads, round, rate);
}

// What the compiler must not see through.
template <typename T>
void Use(T& value) {
  asm volatile("" : "+r"(value) : : "memory");
}

void PoolLoop(TensorPool pool, uint64_t pairs) {
  TensorPoolCache cache(pool, 1);
  for (uint64_t i = 0; i < pairs; ++i) {
    uint32_t block = *cache.Acquire();
    Use(block);
    cache.Release(block);
  }
}

// Forty at a time: more than a cache holds, so that every other time goes to the stack all threads share.
void DeepLoop(TensorPool pool, uint64_t pairs) {
  TensorPoolCache cache(pool, 1);
  uint32_t taken[40];
  for (uint64_t i = 0; i < pairs / 40; ++i) {
    for (uint32_t& block : taken) block = *cache.Acquire();
    for (const uint32_t block : taken) cache.Release(block);
  }
}

void MallocLoop(uint64_t pairs) {
  for (uint64_t i = 0; i < pairs; ++i) {
    void* block = std::malloc(kBlockBytes);
    Use(block);
    std::free(block);
  }
}

class LockedList {
 public:
  explicit LockedList(uint32_t blocks) {
    for (uint32_t i = 0; i < blocks; ++i) free_.push_back(i);
  }
  void Loop(uint64_t pairs) {
    for (uint64_t i = 0; i < pairs; ++i) {
      uint32_t block = Take();
      Use(block);
      Give(block);
    }
  }

 private:
  uint32_t Take() {
    const std::scoped_lock lock(mu_);
    const uint32_t block = free_.back();
    free_.pop_back();
    return block;
  }
  void Give(uint32_t block) {
    const std::scoped_lock lock(mu_);
    free_.push_back(block);
  }
  std::mutex mu_;
  std::vector<uint32_t> free_;
};

}  // namespace

int main() {
  const auto backend = mlos::resources::MakeUserspaceBackend();
  auto buffer = backend->Allocate({.name = "pool", .size_bytes = *TensorPool::BytesFor(1024, kBlockBytes)});
  if (!buffer.ok()) return 1;
  const TensorPool pool = *TensorPool::Create((*buffer)->bytes(), kBlockBytes);
  LockedList list(1024);
  for (int round = 0; round < kRounds; ++round) {
    for (const int threads : {1, 2}) {
      Print("pool", threads, round, Measure(threads, 20'000'000, [&](uint64_t n) { PoolLoop(pool, n); }));
      Print("pool, 40 at a time", threads, round,
            Measure(threads, 4'000'000, [&](uint64_t n) { DeepLoop(pool, n); }));
      Print("malloc", threads, round, Measure(threads, 4'000'000, MallocLoop));
      Print("list behind a mutex", threads, round,
            Measure(threads, 1'000'000, [&](uint64_t n) { list.Loop(n); }));
    }
  }
  return 0;
}
