// SPDX-License-Identifier: Apache-2.0
#include "os/memory_placement.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace mlos::os {
namespace {

class MemoryPlacementTest : public testing::Test {
 protected:
  static constexpr size_t kBytes = size_t{64} << 12;
  MemoryPlacementTest()
      : memory_(static_cast<std::byte*>(
                    mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
                kBytes) {}
  ~MemoryPlacementTest() override { munmap(memory_.data(), kBytes); }
  std::span<std::byte> memory_;
};

TEST_F(MemoryPlacementTest, WhatIsPinnedIsThere) {
  EXPECT_EQ(ResidentBytes(memory_).value(), 0u);
  ASSERT_TRUE(PinMemory(memory_).ok());
  EXPECT_EQ(ResidentBytes(memory_).value(), kBytes);
  EXPECT_TRUE(UnpinMemory(memory_).ok());
}

TEST_F(MemoryPlacementTest, PrefetchingAndWaitingBringsThePages) {
  memory_[0] = std::byte{1};
  ASSERT_TRUE(PrefetchMemory(memory_, true).ok());
  EXPECT_EQ(ResidentBytes(memory_).value(), kBytes);
  EXPECT_TRUE(PrefetchMemory(memory_, false).ok());
}

TEST_F(MemoryPlacementTest, NodeZeroIsThereAndAnImpossibleOneIsNot) {
  EXPECT_GE(MemoryNodes(), 1);
  const Status bound = BindMemory(memory_, 0, true);
  EXPECT_TRUE(bound.ok() || bound.code() == Code::kUnimplemented) << bound.ToString();
  if (bound.ok()) {
    EXPECT_EQ(BindMemory(memory_, 1000, true).code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(BindMemory(memory_, -1, false).code(), Code::kInvalidArgument);
  EXPECT_EQ(BindMemory(memory_, 5000, false).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace mlos::os
