// SPDX-License-Identifier: Apache-2.0
#include "resources/tensor_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "resources/backend.h"

namespace mlos::resources {
namespace {

class TensorPoolTest : public testing::Test {
 protected:
  TensorPool Make(uint32_t blocks, uint32_t block_bytes) {
    backend_ = MakeUserspaceBackend();
    buffer_ = std::move(
        *backend_->Allocate({.name = "pool", .size_bytes = *TensorPool::BytesFor(blocks, block_bytes)}));
    return *TensorPool::Create(buffer_->bytes(), block_bytes);
  }
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<TensorBuffer> buffer_;
};

TEST_F(TensorPoolTest, EveryBlockIsHandedOutOnceAndComesBack) {
  TensorPool pool = Make(100, 100);
  EXPECT_EQ(pool.blocks(), 100u);
  EXPECT_EQ(pool.block_bytes(), 128u);
  {
    TensorPoolCache cache(pool, 1);
    std::set<uint32_t> taken;
    while (const std::optional<uint32_t> block = cache.Acquire()) {
      ASSERT_LT(*block, 100u);
      ASSERT_TRUE(taken.insert(*block).second);
      std::memset(pool.Bytes(*block).data(), static_cast<int>(*block), pool.block_bytes());
    }
    EXPECT_EQ(taken.size(), 100u);
    for (const uint32_t block : taken) {
      for (const std::byte byte : pool.Bytes(block)) ASSERT_EQ(byte, static_cast<std::byte>(block));
      cache.Release(block);
    }
  }
  EXPECT_EQ(pool.FreeBlocks(), 100u);
}

TEST_F(TensorPoolTest, WhatAnotherCacheGivesBackCanBeTaken) {
  TensorPool pool = Make(8, 64);
  TensorPoolCache a(pool, 1), b(pool, 1);
  std::vector<uint32_t> taken;
  while (const std::optional<uint32_t> block = a.Acquire()) taken.push_back(*block);
  EXPECT_FALSE(b.Acquire());
  for (const uint32_t block : taken) b.Release(block);
  EXPECT_FALSE(a.Acquire());
  b.Flush();
  EXPECT_TRUE(a.Acquire());
}

TEST_F(TensorPoolTest, ThreadsNeverHoldTheSameBlock) {
  TensorPool pool = Make(200, 64);
  std::vector<std::atomic<int>> holders(200);
  std::atomic<int> conflicts{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      TensorPoolCache cache(pool, t + 1);
      std::vector<uint32_t> mine;
      uint32_t seed = t + 1;
      for (int step = 0; step < 20000; ++step) {
        seed = seed * 1664525 + 1013904223;
        if (mine.size() < 45 && (seed >> 16) % 2) {
          const std::optional<uint32_t> block = cache.Acquire();
          if (!block) continue;
          conflicts += holders[*block].fetch_add(1) != 0;
          mine.push_back(*block);
        } else if (!mine.empty()) {
          holders[mine.back()].fetch_sub(1);
          cache.Release(mine.back());
          mine.pop_back();
        }
      }
      for (const uint32_t block : mine) {
        holders[block].fetch_sub(1);
        cache.Release(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(conflicts, 0);
  EXPECT_EQ(pool.FreeBlocks(), 200u);
}

TEST_F(TensorPoolTest, BlocksOfAProcessThatDiedComeBack) {
  TensorPool pool = Make(50, 64);
  const pid_t child = fork();
  if (child == 0) {
    TensorPoolCache cache(*TensorPool::Attach(buffer_->bytes()), 77);
    for (int i = 0; i < 20; ++i) {
      if (const auto block = cache.Acquire()) std::memset(pool.Bytes(*block).data(), 0xab, 64);
    }
    _exit(0);  // without a destructor: as if it had been killed
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_LT(pool.FreeBlocks(), 50u - 19u);
  EXPECT_EQ(pool.Reclaim(78), 0u);
  EXPECT_GE(pool.Reclaim(77), 20u);
  EXPECT_EQ(pool.FreeBlocks(), 50u);
  EXPECT_EQ(pool.Reclaim(77), 0u);
}

TEST_F(TensorPoolTest, MemoryThatHoldsNoPoolIsRefused) {
  alignas(TensorPool::kAlignment) std::byte memory[4096] = {};
  EXPECT_EQ(TensorPool::Attach(memory).status().code(), Code::kDataLoss);
  EXPECT_EQ(TensorPool::Attach(std::span(memory).first(8)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TensorPool::Create(std::span(memory).subspan(8), 64).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TensorPool::Create(memory, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TensorPool::Create(memory, 4096).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TensorPool::Create(memory, ~0u).status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(TensorPool::Create(memory, 64).ok());
  EXPECT_EQ(TensorPool::Attach(std::span(memory).first(2048)).status().code(), Code::kDataLoss);
  EXPECT_TRUE(TensorPool::Attach(memory).ok());
}

// Another process wrote nonsense where the stack is: blocks are lost, nothing is handed out twice beyond the pool.
TEST_F(TensorPoolTest, NonsenseInSharedMemoryLeadsNobodyOutOfThePool) {
  TensorPool pool = Make(16, 64);
  const std::span<std::byte> all = buffer_->bytes();
  for (size_t at = 0; at < all.size() - pool.blocks() * 64; ++at) {
    ASSERT_TRUE(TensorPool::Create(all, 64).ok());
    all[at] = std::byte{0xff};
    const Result<TensorPool> attached = TensorPool::Attach(all);
    for (const TensorPool& view : {pool, attached.ok() ? *attached : pool}) {
      TensorPoolCache cache(view, 3);
      for (uint32_t i = 0; i < 2 * view.blocks(); ++i) {
        const std::optional<uint32_t> block = cache.Acquire();
        if (block) {
          ASSERT_LT(*block, view.blocks());
        }
      }
      EXPECT_LE(view.FreeBlocks(), view.blocks());
    }
  }
}

}  // namespace
}  // namespace mlos::resources
