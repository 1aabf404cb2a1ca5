// SPDX-License-Identifier: Apache-2.0
#include "os/memory_info.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "os/memory_pressure.h"

namespace mlos::os {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRollup =
    "00400000-7ffc [rollup]\nRss:     1000 kB\nPss:      700 kB\nPss_Dirty: 1 kB\nPss_Anon:  300 kB\n"
    "Pss_File: 350 kB\nPss_Shmem: 50 kB\nAnonymous:  300 kB\nSwap: 9 kB\nSwapPss: 8 kB\n";

TEST(MemoryInfoTest, ARollupGivesPrivateAndFileSharesInBytes) {
  const Result<ProcessMemory> m = ParseSmapsRollup(kRollup);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->rss, 1000u * 1024);
  EXPECT_EQ(m->private_bytes(), (300u + 50 + 8) * 1024);
  EXPECT_EQ(m->file, 650u * 1024);
  EXPECT_EQ(m->file_pss, 350u * 1024);
}

TEST(MemoryInfoTest, ARollupWithoutItsFieldsOrWithOverflowIsRefused) {
  EXPECT_EQ(ParseSmapsRollup("").status().code(), Code::kDataLoss);
  EXPECT_EQ(ParseSmapsRollup("Rss: 1 kB\nPss: x kB\nAnonymous: 1 kB\n").status().code(), Code::kDataLoss);
  EXPECT_EQ(ParseSmapsRollup("Rss: 18446744073709551615 kB\nPss: 1 kB\nAnonymous: 1 kB\n").status().code(),
            Code::kDataLoss);
}

TEST(MemoryInfoTest, ThisProcessGrowsByWhatItTouches) {
  const Result<ProcessMemory> before = ReadProcessMemory(0);
  ASSERT_TRUE(before.ok()) << before.status().message();
  constexpr size_t kBytes = 64 << 20;
  const std::unique_ptr<char[]> block(new char[kBytes]);
  std::memset(block.get(), 1, kBytes);
  const Result<ProcessMemory> after = ReadProcessMemory(0);
  ASSERT_TRUE(after.ok());
  EXPECT_GE(after->private_bytes(), before->private_bytes() + kBytes * 9 / 10);
}

TEST(MemoryInfoTest, TheStatusOfAProcessStandsInForARollupThatMayNotBeRead) {
  const auto m =
      ParseProcessStatus("Name:\tx\nVmSwap:\t 2 kB\nRssAnon:\t 10 kB\nRssFile:\t 20 kB\nRssShmem:\t 5 kB\n");
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->private_bytes(), 17u * 1024);
  EXPECT_EQ(m->file, 20u * 1024);
  EXPECT_EQ(m->rss, 35u * 1024);
  EXPECT_EQ(ParseProcessStatus("RssAnon: 1 kB\n").status().code(), Code::kDataLoss);
  EXPECT_EQ(ParseProcessStatus("RssAnon: 9007199254740993 kB\nRssFile: 9007199254740993 kB\nRssShmem: 1 kB\n")
                .status()
                .code(),
            Code::kDataLoss);
}

TEST(MemoryInfoTest, AProcessThatIsNotThereIsNotFound) {
  EXPECT_EQ(ReadProcessMemory(4'000'000'000).status().code(), Code::kNotFound);
}

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_); }
  void TearDown() override { fs::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  const fs::path root_ =
      fs::path(testing::TempDir()) /
      (std::string("mlos_cgroup_") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(CgroupTest, TheLowestLimitOfTheGroupAndThoseAboveItCounts) {
  Write("proc/self/cgroup", "0::/slice/mlos.service\n");
  Write("sys/fs/cgroup/slice/memory.max", "1000000\n");
  Write("sys/fs/cgroup/slice/mlos.service/memory.max", "max\n");
  const CgroupMemory found = FindCgroupMemory(root_);
  EXPECT_EQ(found.version, 2);
  EXPECT_EQ(found.limit, 1000000u);
  EXPECT_EQ(found.group, root_ / "sys/fs/cgroup/slice");
  EXPECT_EQ(found.own_group, root_ / "sys/fs/cgroup/slice/mlos.service");
}

TEST_F(CgroupTest, VersionOneIsReadToo) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n");
  Write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2000000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const CgroupMemory found = FindCgroupMemory(root_);
  EXPECT_EQ(found.version, 1);
  EXPECT_EQ(found.limit, 2000000u);
}

TEST_F(CgroupTest, WithoutALimitOrWithoutGroupsThereIsNone) {
  EXPECT_EQ(FindCgroupMemory(root_).version, 0);
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cgroup.procs", "");
  EXPECT_EQ(FindCgroupMemory(root_).version, 0);
}

TEST_F(CgroupTest, EventsAreCountedFromTheLastSample) {
  Write("memory.events", "low 0\nhigh 3\nmax 5\noom 0\noom_kill 1\n");
  const auto pressure = MemoryPressure::Open({.version = 2, .own_group = root_}, "/nonexistent");
  EXPECT_NE(pressure->description().find("stalls are not watched"), std::string::npos)
      << pressure->description();
  EXPECT_FALSE(pressure->Wait(0).any());
  Write("memory.events", "low 0\nhigh 4\nmax 7\noom 0\noom_kill 1\n");
  const PressureSample sample = pressure->Wait(0);
  EXPECT_EQ(sample.high, 1u);
  EXPECT_EQ(sample.max, 2u);
  EXPECT_FALSE(pressure->Wait(0).any());
}

TEST(MemoryPressureTest, InterruptEndsAWait) {
  const auto pressure = MemoryPressure::Open(FindCgroupMemory());
  pressure->Interrupt();
  EXPECT_FALSE(pressure->Wait(int64_t{3600} * 1'000'000'000).stalled);
}

}  // namespace
}  // namespace mlos::os
